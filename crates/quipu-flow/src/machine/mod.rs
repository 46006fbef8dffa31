//! The engine's decisions, and no thread in sight: which item goes where, who may start, when a run is over.
//!
//! A machine is a graph of nodes with members in them. Whoever drives it (`run` for real, `simulation` from a seed)
//! asks what to start ([`Machine::take`]), does that, and tells how it ended ([`Machine::finish`]). The machine calls no
//! user code and drops no user's value: what has ended is collected, to be dropped outside the lock.
//!
//! | file | decides |
//! | --- | --- |
//! | `position`, `token`, `queue`, `lane`, `credit`, `rate`, `node` | what things are |
//! | `concurrency` | how many calls an io makes at once |
//! | `ready` | the page to read first: what could start, who may draw credit, which goes first |
//! | `stall` | what closes at the end of input, and who goes over budget when nothing else can move |
//! | `take` | what a quantum is given: how many items, how much credit |
//! | `enter`, `finish` | what an arrival and an ending do |
//! | `live` | what hangs together: acknowledgements, groups, scattered items, families of clones |
//! | `judge` | what a failure does |
//! | `figures` | what is told of all that |

mod concurrency;
mod credit;
mod enter;
mod figures;
mod finish;
mod judge;
mod lane;
mod live;
mod node;
mod position;
mod queue;
mod rate;
mod ready;
#[cfg(test)]
mod simulation;
mod stall;
mod take;
mod token;

pub(crate) use concurrency::{CALLS_MAX, CALLS_MIN};
pub(crate) use figures::{Figures, NodeFigures, SourceFigures};
pub(crate) use finish::{Expansion, Outcome};
pub(crate) use judge::{Failure, Verdict};
pub(crate) use live::Hook;
pub(crate) use node::{Kind, Side, Size};
pub use position::Position;
pub(crate) use rate::Rate;
pub(crate) use take::{Allowance, Quantum, Started, Task};
pub(crate) use token::{Block, Lineage, Load, Member, Parked};

use crate::error::Failed;
use crate::report::{Ended, Ends};
use crate::supervise::DeadLetters;
use credit::Credit;
use live::Live;
use node::{Birth, Node};
use rate::Starts;
use std::collections::BTreeMap;
use std::time::Instant;

/// How many failed items are with their dead-letter sinks at once. They may share one file or table.
pub(crate) const DEAD_LETTERS_AT_ONCE: usize = 1;

/// One node as a machine is made of it.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// To which node each output goes, and to which of its inputs.
    pub(crate) outs: Vec<(usize, usize)>,
    /// The node that must have done its work before this one starts.
    pub(crate) gate: Option<usize>,
    /// Which share of the budget it draws on.
    pub(crate) region: usize,
    pub(crate) priority: u32,
    pub(crate) rate: Option<Rate>,
}

/// The limits of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    pub(crate) workers: usize,
}

/// The state of one run. `V` is what blocks carry.
pub(crate) struct Machine<V> {
    nodes: Vec<Node<V>>,
    regions: Vec<Region>,
    /// Nodes at which something happens when their input ends.
    watchers: Vec<usize>,
    live: Live<V>,
    births: u64,
    ends: Ends,
    /// By position; the clones of a batch carry the same passengers, so that alone is not enough.
    letters: BTreeMap<(Position, u64), Letter>,
    letters_running: usize,
    quanta: u64,
    stalls: u64,
    is_paused: bool,
    is_draining: bool,
    stopping: Option<Ended>,
    failure: Option<Failed>,
    gone: Gone<V>,
    /// Set when something has got an earlier deadline than the clock may know.
    clock_is_late: bool,
}

/// A share of the budget, and the nodes that draw on it.
struct Region {
    credit: Credit,
    nodes: Vec<usize>,
    /// The number of the next birth.
    births: u64,
    /// Quanta under way.
    in_motion: usize,
    /// Who may start although there is no credit.
    licence: Option<usize>,
    /// Whether free credit goes to the oldest waiter.
    oldest_first: bool,
    /// Whether items under way may need credit for children of theirs.
    expands: bool,
    /// Whether its items have become pointless: the flow beside it has ended.
    is_closed: bool,
}

/// A failed item on its way to a dead-letter sink.
pub(crate) struct Letter {
    pub(crate) member: Member,
    pub(crate) region: usize,
    pub(crate) failed: Failed,
    pub(crate) to: DeadLetters,
}

/// What has ended. It leaves the machine so that user code in a drop or a hook runs outside the lock.
pub(crate) struct Gone<V> {
    pub(crate) values: Vec<V>,
    pub(crate) acknowledged: Vec<Hook>,
    pub(crate) refused: Vec<Hook>,
    /// States of groups that will not be closed, by their node.
    pub(crate) states: Vec<(usize, u64)>,
}

impl<V> Default for Gone<V> {
    fn default() -> Self {
        Self { values: Vec::new(), acknowledged: Vec::new(), refused: Vec::new(), states: Vec::new() }
    }
}

impl<V> Gone<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.acknowledged.is_empty()
            && self.refused.is_empty()
            && self.states.is_empty()
    }
}

/// How items end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Delivered,
    Filtered,
    Skipped,
    DeadLettered,
    Failed,
    Expanded,
    Absorbed,
    Gathered,
    Zipped,
    Unpaired,
    Cancelled,
}

impl End {
    /// Whether it counts as done with, for the acknowledgement of what it came from.
    fn is_good(self) -> bool {
        !matches!(self, Self::Failed | Self::Cancelled)
    }
}

impl<V: Load> Machine<V> {
    /// A machine of these nodes. The budget is shared out evenly among the regions.
    pub(crate) fn new(specs: Vec<Spec>, budget: Budget) -> Self {
        let regions = 1 + specs.iter().map(|spec| spec.region).max().unwrap_or(0);
        let share = |whole: u64| if whole == 0 { 0 } else { (whole / regions as u64).max(1) };
        let (items, bytes) = (share(budget.items), share(budget.bytes));
        let region = |region| Region::new(&specs, region, Credit::new(items, bytes, budget.workers));
        let regions = (0..regions).map(region).collect();
        let nodes = wire(&specs);
        let watchers = (0..nodes.len()).filter(|&node| stall::is_watched(&nodes[node].kind)).collect();
        Self {
            live: Live::new(nodes.len()),
            nodes,
            regions,
            watchers,
            births: 0,
            ends: Ends::default(),
            letters: BTreeMap::new(),
            letters_running: 0,
            quanta: 0,
            stalls: 0,
            is_paused: false,
            is_draining: false,
            stopping: None,
            failure: None,
            gone: Gone::default(),
            clock_is_late: false,
        }
    }

    /// Closes the gates of all sources, or opens them again. What is in flight goes on; of what drains, all is.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused && !self.is_draining;
        for region in &mut self.regions {
            // A licence to be born would keep all others waiting.
            region.licence = region.licence.filter(|&node| !self.nodes[node].kind.is_source());
        }
    }

    /// Whether somebody outside would find something to take.
    pub(crate) fn has_offers(&self) -> bool {
        let is_stream = |node: &usize| matches!(self.nodes[*node].kind, Kind::Stream { .. });
        (0..self.nodes.len()).filter(is_stream).any(|node| self.is_offered(node))
    }

    /// Takes what is offered to somebody outside, one item; it ends delivered.
    pub(crate) fn take_offered(&mut self, node: usize) -> Option<V> {
        if self.is_stopping() || !self.is_offered(node) {
            return None;
        }
        let ordered = self.nodes[node].kind.keeps_order();
        let Block { values, members, .. } = self.take_block(node, 1, ordered);
        for member in &members {
            let here = &mut self.nodes[node];
            here.population -= 1;
            here.bytes -= member.bytes;
            self.release(self.nodes[node].region, member);
            self.end_member(member, End::Delivered);
        }
        Some(values)
    }

    /// End of input: no birth after those on their way. What is in flight goes on to its end. Overrides a pause. A source
    /// outside is closed by who waits there, when what it has from the world already is born.
    pub(crate) fn drain(&mut self) {
        self.is_paused = false;
        self.is_draining = true;
        for node in 0..self.nodes.len() {
            if matches!(self.nodes[node].kind, Kind::Source { external: false, .. }) {
                self.close_source(node);
            }
        }
    }

    /// The world has an item for a source. It is born when there is credit.
    pub(crate) fn arrive(&mut self, node: usize) {
        self.nodes[node].has_arrival = true;
    }

    /// The world has no more for a source.
    pub(crate) fn end_source(&mut self, node: usize) {
        self.close_source(node);
    }

    fn close_source(&mut self, node: usize) {
        let here = &mut self.nodes[node];
        here.birth = match here.birth {
            Birth::Busy { .. } => Birth::Busy { last: true },
            Birth::Idle | Birth::Closed => Birth::Closed,
        };
        // A licence to be born would never be used.
        let licence = &mut self.regions[here.region].licence;
        *licence = licence.filter(|licensed| *licensed != node);
    }

    /// Drops what waits; what runs is discarded as it ends. The first reason to stop stays.
    pub(crate) fn stop(&mut self, ended: Ended) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(ended);
        self.regions.iter_mut().for_each(|region| region.licence = None);
        for node in 0..self.nodes.len() {
            if self.nodes[node].kind.is_source() {
                self.close_source(node);
            }
            self.drop_waiting(node, End::Cancelled);
        }
        for letter in std::mem::take(&mut self.letters).into_values() {
            self.release(letter.region, &letter.member);
            self.end_member(&letter.member, End::Cancelled);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Nothing will ever happen again.
    pub(crate) fn is_over(&self) -> bool {
        let is_idle = |node: &Node<V>| {
            let is_spent = self.stopping.is_some() || node.is_done || !matches!(node.kind, Kind::Fold { .. });
            node.population == 0 && node.running == 0 && node.birth == Birth::Closed && is_spent
        };
        self.letters.is_empty() && self.letters_running == 0 && self.nodes.iter().all(is_idle)
    }

    /// What has ended since the last call, to be dropped outside the lock.
    pub(crate) fn take_gone(&mut self) -> Gone<V> {
        std::mem::take(&mut self.gone)
    }

    /// The failure that stopped the run.
    pub(crate) fn failure(&self) -> Option<&Failed> {
        self.failure.as_ref()
    }

    /// When time alone will next let something happen: a partial batch closes, or a rate allows another start.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.is_stopping() {
            return None;
        }
        self.nodes.iter().filter_map(Node::deadline).min()
    }

    /// Whether the clock must look at [`deadline`](Self::deadline) again; says so once.
    pub(crate) fn take_clock_is_late(&mut self) -> bool {
        std::mem::take(&mut self.clock_is_late)
    }

    /// Changes what is charged to the region's account for a node.
    fn charge(&mut self, node: usize, member: &Member) {
        let region = self.nodes[node].region;
        self.regions[region].credit.charge(u64::from(member.items), member.bytes);
    }

    fn release(&mut self, region: usize, member: &Member) {
        self.regions[region].credit.release(u64::from(member.items), member.bytes);
    }

    fn fresh_id(&mut self) -> u64 {
        self.quanta += 1;
        self.quanta
    }
}

impl Region {
    fn new(specs: &[Spec], region: usize, credit: Credit) -> Self {
        let nodes: Vec<usize> = (0..specs.len()).filter(|&node| specs[node].region == region).collect();
        let oldest_first = nodes.iter().any(|&node| specs[node].kind.wants_oldest_first());
        let expands = nodes.iter().any(|&node| specs[node].kind.expands());
        Self {
            credit,
            nodes,
            births: 0,
            in_motion: 0,
            licence: None,
            oldest_first,
            expands,
            is_closed: false,
        }
    }
}

/// Nodes with what leads to them. What a joint takes from is another flow: its positions mean nothing here.
fn wire<V: Load>(specs: &[Spec]) -> Vec<Node<V>> {
    let mut nodes: Vec<Node<V>> =
        specs.iter().map(|spec| Node::new(spec.kind.clone(), spec.region)).collect();
    for (node, spec) in nodes.iter_mut().zip(specs) {
        node.outs.clone_from(&spec.outs);
        node.gate = spec.gate;
        node.priority = spec.priority;
        node.starts = spec.rate.map(Starts::new);
    }
    for (index, node) in nodes.iter_mut().enumerate() {
        let mut seen = vec![false; specs.len()];
        let mut open = vec![index];
        while let Some(next) = open.pop() {
            for before in (0..specs.len()).filter(|&before| leads_to(&specs[before], next)) {
                if !std::mem::replace(&mut seen[before], true) {
                    open.push(before);
                }
            }
        }
        node.upstream = (0..specs.len()).filter(|&before| seen[before]).collect();
    }
    nodes
}

fn leads_to(spec: &Spec, node: usize) -> bool {
    spec.outs.iter().any(|(next, _)| *next == node)
}
