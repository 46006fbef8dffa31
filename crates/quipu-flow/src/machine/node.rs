//! One node of the machine: a segment's waiting tokens, its partial batch and what runs there.

use super::position::Position;
use super::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What a node needs before it starts work on a token.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    /// Births, on a worker or (`external`) whenever the world has one.
    Source { external: bool },
    /// A core; and credit, if its items may grow.
    Cpu { grows: bool },
    /// A core, and credit for the next child.
    Expand,
    /// A slot of its limit, and credit.
    Io { slots: usize },
    /// A whole batch and a core; and credit, if its items may grow.
    Gather { size_max: u64, within: Option<Duration>, grows: bool },
    /// Its one slot; and, if ordered, that nothing older is on its way.
    Sink { ordered: bool },
}

impl NodeKind {
    /// Whether its work is done by a pool worker.
    pub(crate) fn computes(&self) -> bool {
        match self {
            Self::Source { external } => !external,
            Self::Cpu { .. } | Self::Expand | Self::Gather { .. } => true,
            Self::Io { .. } | Self::Sink { .. } => false,
        }
    }

    /// Whether its work starts only where there is credit.
    pub(crate) fn is_gated(&self) -> bool {
        match self {
            Self::Source { .. } | Self::Expand | Self::Io { .. } => true,
            Self::Cpu { grows } | Self::Gather { grows, .. } => *grows,
            Self::Sink { .. } => false,
        }
    }

    pub(crate) fn is_ordered(&self) -> bool {
        matches!(self, Self::Sink { ordered: true })
    }
}

pub(crate) struct Node<V> {
    pub(crate) kind: NodeKind,
    /// Tokens that wait, oldest first.
    pub(crate) queue: BTreeMap<Position, Token<V>>,
    /// The partial batch.
    pub(crate) buffer: BTreeMap<Position, Token<V>>,
    pub(crate) buffer_size: u64,
    pub(crate) buffer_since: Option<Instant>,
    /// Whole batches, each under its oldest member's position.
    pub(crate) ready: BTreeMap<Position, Vec<Token<V>>>,
    /// Quanta that run, or back off, here.
    pub(crate) running: usize,
    /// Those of them that have given up their slot until they are tried again.
    pub(crate) backing_off: usize,
    /// Positions of what runs; kept only for an ordered sink's sake.
    pub(crate) open: BTreeSet<Position>,
    /// Tokens that are being worked on.
    pub(crate) working: usize,
    /// Tokens here, in whatever state.
    pub(crate) population: usize,
    pub(crate) bytes: u64,
    pub(crate) bytes_peak: u64,
    /// How long tokens waited here, summed.
    pub(crate) waited: Duration,
}

impl<V> Node<V> {
    pub(crate) fn new(kind: NodeKind) -> Self {
        Self {
            kind,
            queue: BTreeMap::new(),
            buffer: BTreeMap::new(),
            buffer_size: 0,
            buffer_since: None,
            ready: BTreeMap::new(),
            running: 0,
            backing_off: 0,
            open: BTreeSet::new(),
            working: 0,
            population: 0,
            bytes: 0,
            bytes_peak: 0,
            waited: Duration::ZERO,
        }
    }

    pub(crate) fn charge(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }

    pub(crate) fn has_slot(&self) -> bool {
        let in_slots = self.running - self.backing_off;
        match self.kind {
            NodeKind::Io { slots } => in_slots < slots,
            NodeKind::Sink { .. } => in_slots == 0,
            _ => true,
        }
    }

    /// The oldest token that could start here if it had its slot and its credit.
    pub(crate) fn oldest_waiting(&self) -> Option<&Position> {
        if matches!(self.kind, NodeKind::Gather { .. }) {
            return self.ready.keys().next();
        }
        self.queue.keys().next()
    }

    /// The oldest of everything here.
    pub(crate) fn oldest(&self) -> Option<&Position> {
        let waiting = [self.queue.keys().next(), self.buffer.keys().next(), self.ready.keys().next()];
        waiting.into_iter().flatten().chain(self.open.first()).min()
    }

    /// Tokens that wait here, partial and whole batches included.
    pub(crate) fn queued(&self) -> usize {
        self.population - self.working
    }
}
