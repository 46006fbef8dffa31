//! What the machine tells of itself: where each node stands, and the whole run.

use super::Machine;
use super::credit::Credit;
use super::node::{Birth, Kind};
use super::token::Load;
use crate::report::{Ended, Ends};
use std::time::Duration;

/// One node's figures, as progress and report show them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeFigures {
    pub(crate) queued: usize,
    pub(crate) running: usize,
    pub(crate) has_slot: bool,
    pub(crate) at_once: Option<usize>,
    /// Whether its rate allows no start now.
    pub(crate) is_slowed: bool,
    pub(crate) buffered: bool,
    /// Whether something could start, but for credit and a core.
    pub(crate) is_ready: bool,
    /// What holds a source up.
    pub(crate) source: Option<SourceFigures>,
    pub(crate) gated: bool,
    pub(crate) ordered: bool,
    pub(crate) bytes: u64,
    pub(crate) bytes_peak: u64,
    pub(crate) waited: Duration,
    pub(crate) starved: Duration,
    pub(crate) blocked: Duration,
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceFigures {
    Closed,
    Paused,
    /// Too much is unacknowledged.
    HeldUp,
    /// Nothing has arrived, or a birth is on its way.
    Waiting,
    /// It has something, and may have no credit for it.
    Ready,
}

/// The whole run's figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) births: u64,
    pub(crate) ends: Ends,
    pub(crate) items: u64,
    pub(crate) items_budget: u64,
    pub(crate) items_peak: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_budget: u64,
    pub(crate) bytes_peak: u64,
    pub(crate) credit_is_free: bool,
    pub(crate) source_is_busy: bool,
    /// Where the oldest item is, if others wait for it elsewhere to keep the order.
    pub(crate) holder: Option<usize>,
    pub(crate) stalls: u64,
    pub(crate) ended: Ended,
}

impl<V: Load> Machine<V> {
    pub(crate) fn node(&self, node: usize) -> NodeFigures {
        let here = &self.nodes[node];
        let candidate = self.candidate(node);
        NodeFigures {
            queued: here.population - here.working,
            running: here.running,
            has_slot: here.has_slot(),
            at_once: here.at_once(),
            is_slowed: here.is_slowed(),
            buffered: !here.buffers.is_empty(),
            source: self.source_figures(node),
            is_ready: candidate.is_some(),
            gated: candidate.is_some_and(|candidate| candidate.is_gated),
            ordered: here.kind.keeps_order(),
            bytes: here.bytes,
            bytes_peak: here.bytes_peak,
            waited: here.waited,
            starved: here.idle.starved,
            blocked: here.idle.blocked,
        }
    }

    fn source_figures(&self, node: usize) -> Option<SourceFigures> {
        let here = &self.nodes[node];
        let window = match here.kind {
            Kind::Source { window, .. } => window,
            Kind::Joint { .. } => None,
            _ => return None,
        };
        Some(match here.birth {
            Birth::Closed => SourceFigures::Closed,
            _ if self.is_paused => SourceFigures::Paused,
            _ if window.is_some_and(|window| self.live.unacknowledged(node) >= window) => {
                SourceFigures::HeldUp
            }
            _ if self.candidate(node).is_some() => SourceFigures::Ready,
            _ => SourceFigures::Waiting,
        })
    }

    pub(crate) fn figures(&self) -> Figures {
        let sum = |of: fn(&Credit) -> u64| self.regions.iter().map(|region| of(&region.credit)).sum();
        Figures {
            births: self.births,
            ends: self.ends,
            items: sum(|credit| credit.items),
            items_budget: sum(|credit| credit.items_budget),
            items_peak: sum(|credit| credit.items_peak),
            bytes: sum(|credit| credit.bytes),
            bytes_budget: sum(|credit| credit.bytes_budget),
            bytes_peak: sum(|credit| credit.bytes_peak),
            credit_is_free: self.regions.iter().all(|region| region.credit.is_free(true)),
            source_is_busy: self.nodes.iter().any(|node| matches!(node.birth, Birth::Busy { .. })),
            holder: self.holder(),
            stalls: self.stalls,
            ended: self.stopping.unwrap_or(Ended::Done),
        }
    }
    /// The node with the oldest item that others wait for: what comes too early stands before whoever keeps the order.
    fn holder(&self) -> Option<usize> {
        let waits_for_order = |&node: &usize| {
            let here = &self.nodes[node];
            let first = here.queue.first().or_else(|| here.lanes.oldest());
            here.kind.keeps_order() && first.is_some_and(|first| !self.is_next_in_order(node, first))
        };
        let waiting = (0..self.nodes.len()).find(waits_for_order)?;
        let positions = |&before: &usize| Some((self.nodes[before].oldest()?, before));
        self.nodes[waiting].upstream.iter().filter_map(positions).min().map(|(_, holder)| holder)
    }
}
