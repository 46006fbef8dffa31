//! One node of the machine: what waits there, in whatever state, and what runs there.

use super::concurrency::Concurrency;
use super::lane::Lanes;
use super::live::Parts;
use super::position::Position;
use super::queue::Queue;
use super::rate::Starts;
use super::token::{Block, Load, Parked};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// What a node does with what comes to it, and what it needs before it starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Births: on a core, or (`external`) when the world has shown that it has one. At most `window` items may be unacknowledged.
    Source { external: bool, window: Option<usize> },
    /// Births from what other flows offer at their ports: one from each (`pairs`), or one flow after the other.
    Joint { ports: Vec<usize>, pairs: bool },
    /// Stateless work on a core; with credit, if its items may grow.
    Cpu { grows: bool },
    /// One item into many; each child has credit first.
    Expand,
    /// The same, and the children are a group until node `reduce` has closed it.
    Group { reduce: usize },
    /// The same, and the item itself waits at node `gather` for its parts.
    Scatter { gather: usize },
    /// A clone for each branch, with credit; perhaps node `zip` pairs them.
    Fork { branches: usize, zip: Option<usize> },
    /// Work that waits, in one of its slots; in fewer of them, if it `adapts` and more would bring nothing.
    Io { slots: usize, adapts: bool, grows: bool },
    /// Items into one item that holds them all; perhaps each batch a run of the source's order.
    Batch { size: Size, ordered: bool },
    /// Items worked on together, and items again behind it.
    MapBatch { size: Size, grows: bool },
    /// The same, by the one thread that owns a device.
    Device { size: Size, grows: bool },
    /// Work with a state, one call at a time, in order or not; on a core, or as a Tokio task.
    Serial { ordered: bool, waits: bool, grows: bool },
    /// Work with a state for each key; in order for each.
    Keyed { grows: bool },
    /// A state that takes everything in, and outputs at the end of input.
    Fold { ordered: bool },
    /// A state for each group, and outputs when the group is closed.
    Reduce { ordered: bool },
    /// Puts a scattered item together again; perhaps although some of its parts have failed.
    Gather { grows: bool, is_partial: bool },
    /// Pairs the clones of one item.
    Zip { branches: usize },
    /// Many calls at once, each a Tokio task.
    Sink { slots: usize },
    /// The end of a flow that another one takes from.
    Port,
    /// The end of a flow that somebody outside takes from.
    Stream { ordered: bool },
}

/// How large a batch is at most, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) max: u64,
    pub(crate) within: Option<Duration>,
}

/// Who carries a quantum out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Core,
    Tokio,
    /// The thread of this device node.
    Device(usize),
}

impl Kind {
    /// Who carries its quanta out; nobody, where they are taken from outside.
    pub(crate) fn side(&self, node: usize) -> Option<Side> {
        match self {
            Self::Source { external: true, .. } | Self::Io { .. } | Self::Sink { .. } => Some(Side::Tokio),
            Self::Serial { waits: true, .. } => Some(Side::Tokio),
            Self::Device { .. } => Some(Side::Device(node)),
            Self::Port | Self::Stream { .. } => None,
            _ => Some(Side::Core),
        }
    }

    /// Whether it takes items in their order.
    pub(crate) fn keeps_order(&self) -> bool {
        match self {
            Self::Serial { ordered, .. } | Self::Fold { ordered } | Self::Reduce { ordered } => *ordered,
            Self::Stream { ordered } | Self::Batch { ordered, .. } => *ordered,
            Self::Keyed { .. } | Self::Port => true,
            _ => false,
        }
    }

    /// Whether free credit is better given to the oldest. A gather counts: credit spread over many half-split parents
    /// finishes none of them.
    pub(crate) fn wants_oldest_first(&self) -> bool {
        self.keeps_order() || matches!(self, Self::Gather { .. } | Self::Zip { .. })
    }

    /// Whether it makes several items of one.
    pub(crate) fn expands(&self) -> bool {
        matches!(self, Self::Expand | Self::Group { .. } | Self::Scatter { .. } | Self::Fork { .. })
    }

    /// Whether what it needs credit for is new items, and not only bytes.
    pub(crate) fn makes_items(&self) -> bool {
        self.is_source() || self.expands() || matches!(self, Self::Fold { .. } | Self::Reduce { .. })
    }

    pub(crate) fn batch_size(&self) -> Option<Size> {
        match self {
            Self::Batch { size, .. } | Self::MapBatch { size, .. } | Self::Device { size, .. } => Some(*size),
            _ => None,
        }
    }

    pub(crate) fn is_source(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Joint { .. })
    }
}

/// A batch that is not whole yet. Batches never span groups, so there is one for each.
pub(crate) struct Buffer<V> {
    pub(crate) blocks: Queue<V>,
    pub(crate) size: u64,
    pub(crate) since: Instant,
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    /// The next birth may start.
    Idle,
    /// A birth is on its way; `last` when it is to be the last.
    Busy {
        last: bool,
    },
    Closed,
}

pub(crate) struct Node<V> {
    pub(crate) kind: Kind,
    /// The account that it draws on.
    pub(crate) region: usize,
    /// Where its output number *n* goes: to which node, and to which of its inputs.
    pub(crate) outs: Vec<(usize, usize)>,
    /// Nothing starts here before this node has done all its work.
    pub(crate) gate: Option<usize>,
    /// What a user says of its urgency.
    pub(crate) priority: u32,
    /// All nodes from which something may come here.
    pub(crate) upstream: Vec<usize>,

    pub(crate) birth: Birth,
    /// Whether the world has an item for this source.
    pub(crate) has_arrival: bool,
    /// Blocks that wait, by their oldest member.
    pub(crate) queue: Queue<V>,
    /// Items that are being made into several, by their next child.
    pub(crate) parked: BTreeMap<Position, Parked<V>>,
    /// Partial batches, by group.
    pub(crate) buffers: BTreeMap<Option<u64>, Buffer<V>>,
    /// Whole batches, or pairs, or an item and its gathered parts, by their oldest member.
    pub(crate) ready: BTreeMap<Position, VecDeque<Block<V>>>,
    /// What has become of the parts of those items.
    pub(crate) parts: BTreeMap<Position, Parts<V>>,
    /// Queues by key or group.
    pub(crate) lanes: Lanes<V>,
    /// Groups that are complete, by their own position.
    pub(crate) closing: BTreeMap<Position, u64>,
    /// Where items stand that wait here for others.
    pub(crate) held: BTreeSet<Position>,
    /// Where those stand that run.
    pub(crate) open: BTreeSet<(Position, u64)>,
    /// Quanta that run, or back off.
    pub(crate) running: usize,
    /// Those of them that have given up their slot until they are tried again.
    pub(crate) backing_off: usize,
    /// How many of its slots it uses, where it adapts.
    pub(crate) concurrency: Option<Concurrency>,
    /// Its last starts, where it has a rate.
    pub(crate) starts: Option<Starts>,
    /// Whether a fold has given its outputs.
    pub(crate) is_done: bool,
    /// Members here, in whatever state.
    pub(crate) population: usize,
    /// Those of them on which somebody works.
    pub(crate) working: usize,
    /// Members here that belong to a group, by group.
    pub(crate) residents: BTreeMap<u64, usize>,

    pub(crate) bytes: u64,
    pub(crate) bytes_peak: u64,
    /// How long members waited here, summed.
    pub(crate) waited: Duration,
    pub(crate) idle: Idle,
    pub(crate) pace: Pace,
}

/// For how long a node has had nothing to do, and why.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Idle {
    /// There was nothing here.
    pub(crate) starved: Duration,
    /// There was something, and no credit for it.
    pub(crate) blocked: Duration,
    now: Option<(Want, Instant)>,
}

/// What a node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Input,
    Credit,
}

impl Idle {
    /// What it lacks from now on.
    pub(crate) fn note(&mut self, want: Option<Want>, now: Instant) {
        if self.now.map(|(before, _)| before) == want {
            return;
        }
        if let Some((before, since)) = self.now.take() {
            let span = now.saturating_duration_since(since);
            match before {
                Want::Input => self.starved += span,
                Want::Credit => self.blocked += span,
            }
        }
        self.now = want.map(|want| (want, now));
    }
}

/// What a node has been found to take and to make, for the size of its next quantum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Nanoseconds for an item; zero until measured.
    pub(crate) item_ns: f32,
    /// Bytes that an item adds.
    pub(crate) item_bytes: f32,
    /// Bytes that a nanosecond of work takes off the account.
    pub(crate) freed_per_ns: f32,
    /// Items of the last quantum.
    pub(crate) last_items: u32,
}

impl<V: Load> Node<V> {
    pub(crate) fn new(kind: Kind, region: usize) -> Self {
        let birth = if kind.is_source() { Birth::Idle } else { Birth::Closed };
        let concurrency = match kind {
            Kind::Io { slots, adapts: true, .. } => Some(Concurrency::new(slots)),
            _ => None,
        };
        Self {
            kind,
            region,
            outs: Vec::new(),
            gate: None,
            priority: 1,
            upstream: Vec::new(),
            birth,
            has_arrival: false,
            queue: Queue::default(),
            parked: BTreeMap::new(),
            buffers: BTreeMap::new(),
            ready: BTreeMap::new(),
            parts: BTreeMap::new(),
            lanes: Lanes::default(),
            closing: BTreeMap::new(),
            held: BTreeSet::new(),
            open: BTreeSet::new(),
            running: 0,
            backing_off: 0,
            concurrency,
            starts: None,
            is_done: false,
            population: 0,
            working: 0,
            residents: BTreeMap::new(),
            bytes: 0,
            bytes_peak: 0,
            waited: Duration::ZERO,
            idle: Idle::default(),
            pace: Pace::default(),
        }
    }

    /// How many of its quanta may run at once, where that is limited.
    pub(crate) fn at_once(&self) -> Option<usize> {
        match self.kind {
            Kind::Io { slots, .. } => Some(self.concurrency.as_ref().map_or(slots, Concurrency::limit)),
            Kind::Sink { slots } => Some(slots),
            Kind::Serial { .. } | Kind::Device { .. } | Kind::Fold { .. } => Some(1),
            _ => None,
        }
    }

    pub(crate) fn has_slot(&self) -> bool {
        self.at_once().is_none_or(|most| self.in_slots() < most)
    }

    fn in_slots(&self) -> usize {
        self.running - self.backing_off
    }

    /// One of the calls in its slots has ended so, and will leave its slot.
    pub(crate) fn call_ended(&mut self, spent: Duration, is_good: bool) {
        let in_slots = self.in_slots();
        if let Some(concurrency) = &mut self.concurrency {
            concurrency.ended(in_slots, spent, is_good);
        }
    }

    /// The oldest of everything here that may still come out, or hold a younger one up.
    pub(crate) fn oldest(&self) -> Option<&Position> {
        let maps = [self.queue.first(), self.parked.keys().next(), self.ready.keys().next()];
        let buffered = self.buffers.values().filter_map(|buffer| buffer.blocks.first()).min();
        let sets = [self.held.first(), self.open.first().map(|(position, _)| position)];
        let others = [buffered, self.lanes.oldest()];
        maps.into_iter().chain(sets).chain(others).flatten().min()
    }

    /// Since when the oldest waits that could be next.
    pub(crate) fn since(&self) -> Option<Instant> {
        let ready = self.ready.values().next().and_then(|batch| batch.front()).map(|block| block.since);
        let parked = self.parked.values().next().map(|parked| parked.since);
        self.queue.since().into_iter().chain(ready).chain(parked).min()
    }

    /// The partial batch with the oldest member.
    pub(crate) fn oldest_buffer(&self) -> Option<(&Position, Option<u64>)> {
        let firsts = self.buffers.iter().filter_map(|(group, buffer)| Some((buffer.blocks.first()?, *group)));
        firsts.min()
    }

    /// Whether its rate allows no start now.
    pub(crate) fn is_slowed(&self) -> bool {
        self.starts.as_ref().is_some_and(|starts| !starts.is_open())
    }

    /// When the first partial batch closes by itself, or the rate allows another start.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let within = self.kind.batch_size().and_then(|size| size.within);
        let closes =
            |within| self.buffers.values().filter_map(move |buffer| buffer.since.checked_add(within));
        let opens = self.starts.as_ref().and_then(Starts::opens_at);
        within.into_iter().flat_map(closes).chain(opens).min()
    }

    /// So many members of a group leave.
    pub(crate) fn depart(&mut self, group: u64, count: usize) {
        if let Some(residents) = self.residents.get_mut(&group) {
            *residents -= count;
            if *residents == 0 {
                self.residents.remove(&group);
            }
        }
    }

    pub(crate) fn charge(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }
}
