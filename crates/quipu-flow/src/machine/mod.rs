//! The engine's decisions, and no thread in sight: which token goes where, who may start, when a run is over.
//!
//! A machine is a line of nodes with tokens in them. `run` asks it what to start (`take_cpu`, `take_waiting`), does
//! that, and tells it how it ended (`finish`). The machine never calls user code and never drops a user's value: what
//! has ended is collected, and `run` drops it after it has let go of the lock.
//!
//! | file | decides |
//! | --- | --- |
//! | `position`, `token`, `credit`, `node`, `gather` | what things are |
//! | `pick` | what runs next: most-downstream first, oldest first, through the gates |
//! | `finish`, `judge` | what an ending, and what a failure, does to a token |
//! | `stall` | who goes over budget when nothing else can move |

mod credit;
mod finish;
mod gather;
mod judge;
mod node;
mod pick;
mod position;
#[cfg(test)]
mod simulation;
mod stall;
mod token;

pub(crate) use finish::Birth;
pub(crate) use judge::{Failure, Verdict};
pub(crate) use node::NodeKind;
pub(crate) use pick::Quantum;
pub use position::Position;
pub(crate) use token::{Gone, Made, Receipt, Token, Trace};

use crate::error::Failed;
use crate::report::{Ended, Ends};
use crate::supervise::DeadLetters;
use credit::Credit;
use node::Node;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many failed items are with their dead-letter sinks at once. They may share one file or table.
pub(crate) const DEAD_LETTERS_AT_ONCE: usize = 1;

/// The state of one run. `V` is what tokens carry; the machine only moves it.
pub(crate) struct Machine<V> {
    nodes: Vec<Node<V>>,
    credit: Credit,
    source: Source,
    births_of_source: u64,
    births: u64,
    ends: Ends,
    letters: BTreeMap<Position, Letter>,
    letters_running: usize,
    /// Someone who may start although there is no credit.
    licence: Option<Licence>,
    stalls: u64,
    /// Whether the sink keeps the source's order.
    ordered: bool,
    stopping: Option<Ended>,
    failure: Option<Failed>,
    gone: Vec<Gone<V>>,
    /// Set when a partial batch has got an earlier deadline than the clock knows.
    clock_is_late: bool,
}

/// A failed item on its way to a dead-letter sink.
pub(crate) struct Letter {
    pub(crate) trace: Trace,
    pub(crate) failed: Failed,
    pub(crate) to: DeadLetters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The next birth may start.
    Idle,
    /// A birth is on its way; `last` when it is to be the last.
    Busy {
        last: bool,
    },
    Closed,
}

#[derive(Debug)]
struct Licence {
    node: usize,
}

/// One node's figures, as progress and report show them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeFigures {
    pub(crate) queued: usize,
    pub(crate) running: usize,
    pub(crate) has_slot: bool,
    pub(crate) buffered: bool,
    pub(crate) bytes: u64,
    pub(crate) bytes_peak: u64,
    pub(crate) waited: Duration,
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
    pub(crate) stalls: u64,
    pub(crate) ended: Ended,
}

impl<V> Machine<V> {
    /// A machine of these nodes: the source first, the sink last.
    pub(crate) fn new(kinds: Vec<NodeKind>, items_budget: u64, bytes_budget: u64) -> Self {
        let ordered = kinds.iter().any(NodeKind::is_ordered);
        Self {
            nodes: kinds.into_iter().map(Node::new).collect(),
            credit: Credit::new(items_budget, bytes_budget),
            source: Source::Idle,
            births_of_source: 0,
            births: 0,
            ends: Ends::default(),
            letters: BTreeMap::new(),
            letters_running: 0,
            licence: None,
            stalls: 0,
            ordered,
            stopping: None,
            failure: None,
            gone: Vec::new(),
            clock_is_late: false,
        }
    }

    /// End of input: no birth after those on their way. What is in flight goes on to its end.
    pub(crate) fn drain(&mut self) {
        // A licence to be born would never be used.
        self.licence = self.licence.take().filter(|licence| licence.node != 0);
        self.source = match self.source {
            Source::Busy { .. } => Source::Busy { last: true },
            Source::Idle | Source::Closed => Source::Closed,
        };
    }

    /// Drops what waits; what runs is discarded as it ends. The first reason to stop stays.
    pub(crate) fn stop(&mut self, ended: Ended) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(ended);
        self.licence = None;
        self.drain();
        for node in 0..self.nodes.len() {
            self.nodes[node].close_batch();
            let here = &mut self.nodes[node];
            let batches = std::mem::take(&mut here.ready).into_values().flatten();
            let parked: Vec<_> = std::mem::take(&mut here.queue).into_values().chain(batches).collect();
            for token in parked {
                self.leave(node, &token.trace);
                self.end(token.trace, Some(token.value), End::Cancelled);
            }
        }
        for letter in std::mem::take(&mut self.letters).into_values() {
            self.end(letter.trace, None, End::Cancelled);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Nothing will ever happen again.
    pub(crate) fn is_over(&self) -> bool {
        self.source == Source::Closed
            && self.letters.is_empty()
            && self.letters_running == 0
            && self.nodes.iter().all(|node| node.population == 0)
    }

    /// What has ended since the last call, to be dropped outside the lock.
    pub(crate) fn take_gone(&mut self) -> Vec<Gone<V>> {
        std::mem::take(&mut self.gone)
    }

    /// The failure that stopped the run.
    pub(crate) fn failure(&self) -> Option<&Failed> {
        self.failure.as_ref()
    }

    /// When the next partial batch closes by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.nodes.iter().filter_map(Node::deadline).min()
    }

    /// Whether the clock must look at [`deadline`](Self::deadline) again; says so once.
    pub(crate) fn take_clock_is_late(&mut self) -> bool {
        std::mem::take(&mut self.clock_is_late)
    }

    /// Closes the partial batches whose time has come.
    pub(crate) fn close_due(&mut self, now: Instant) {
        for node in &mut self.nodes {
            if node.deadline().is_some_and(|deadline| deadline <= now) {
                node.close_batch();
            }
        }
    }

    pub(crate) fn node(&self, node: usize) -> NodeFigures {
        let node = &self.nodes[node];
        NodeFigures {
            queued: node.queued(),
            running: node.running,
            has_slot: node.has_slot(),
            buffered: !node.buffer.is_empty(),
            bytes: node.bytes,
            bytes_peak: node.bytes_peak,
            waited: node.waited,
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            births: self.births,
            ends: self.ends,
            items: self.credit.items,
            items_budget: self.credit.items_budget,
            items_peak: self.credit.items_peak,
            bytes: self.credit.bytes,
            bytes_budget: self.credit.bytes_budget,
            bytes_peak: self.credit.bytes_peak,
            credit_is_free: self.credit.is_free(),
            source_is_busy: matches!(self.source, Source::Busy { .. }),
            stalls: self.stalls,
            ended: self.stopping.unwrap_or(Ended::Done),
        }
    }
}

/// How a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Delivered,
    Filtered,
    Skipped,
    DeadLettered,
    Failed,
    Expanded,
    Cancelled,
}
