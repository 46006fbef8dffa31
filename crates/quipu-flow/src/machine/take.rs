//! What a quantum is given: how many items, and how much credit it may use before it must stop.

use super::live::Gathered;
use super::node::{Birth, Kind, Side};
use super::position::Position;
use super::token::{Block, Load, Member, Parked};
use super::{DEAD_LETTERS_AT_ONCE, Letter, Machine};
use std::collections::VecDeque;
use std::time::Instant;

/// How long a quantum should take: long beside the machine's own step, short beside what people notice.
const QUANTUM_NS: f32 = 100_000.0;

/// No quantum has more items, however fast they are.
const ITEMS_MAX: usize = 4096;

/// A quantum has at most so many times the items of the one before: a few fast items say little of the next.
const GROWTH: u32 = 8;

/// One piece of work. Each is answered by exactly one [`Outcome`](super::Outcome).
pub(crate) struct Quantum<V> {
    pub(crate) started: Started,
    pub(crate) task: Task<V>,
    pub(crate) allow: Allowance,
}

/// What is to be done.
pub(crate) enum Task<V> {
    /// Get the source's next items.
    Birth,
    /// Make new items of what each port offers.
    Join(Vec<Block<V>>),
    /// Work on these, one by one.
    Block(Block<V>),
    /// Work on these together: a batch.
    Batch(VecDeque<Block<V>>),
    /// Begin to make several of this one.
    Begin(Block<V>),
    /// Go on with it.
    Resume(Parked<V>),
    /// The state's input has ended: of this group, or of everything.
    Close { group: Option<u64> },
    /// Pair these clones, in the order of their branches.
    Zip(VecDeque<Block<V>>),
    /// Put this item and its parts together; or it has failed by one of them.
    Gather(Gathered<V>),
}

/// How far a quantum may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// So many items.
    pub(crate) items: usize,
    /// So many bytes more than there were; the item that passes this is the last.
    pub(crate) bytes: u64,
}

/// What the machine wants back with the answer.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) node: usize,
    id: u64,
    position: Option<Position>,
    /// Credit of the members taken.
    pub(super) items: u64,
    pub(super) bytes: u64,
    /// Credit reserved for what the quantum will make.
    pub(super) items_held: u64,
    pub(super) bytes_held: u64,
    /// Members taken.
    pub(super) taken: usize,
    /// The lane that is busy with it.
    pub(super) lane: Option<u64>,
    /// The group that is being closed.
    pub(super) group: Option<u64>,
    /// Of those taken, how many belong to which group.
    residents: Vec<(u64, usize)>,
}

impl Started {
    /// The group on whose state it works.
    pub(crate) fn group_at_work(&self) -> Option<u64> {
        self.lane
    }

    /// What its members were charged when it began.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<V: Load> Machine<V> {
    /// The best quantum for this side, if there is one.
    pub(crate) fn take(&mut self, side: Side, now: Instant) -> Option<Quantum<V>> {
        if self.is_stopping() {
            return None;
        }
        let node = self.startable(side, now)?;
        Some(self.take_at(node, now))
    }

    /// The next failed item for its dead-letter sink.
    pub(crate) fn take_letter(&mut self) -> Option<Letter> {
        if self.letters_running >= DEAD_LETTERS_AT_ONCE {
            return None;
        }
        let (_, letter) = self.letters.pop_first()?;
        self.letters_running += 1;
        Some(letter)
    }

    pub(super) fn take_at(&mut self, node: usize, now: Instant) -> Quantum<V> {
        let is_gated = self.candidate(node).is_some_and(|candidate| candidate.is_gated);
        let region = self.nodes[node].region;
        let is_licensed = is_gated && self.regions[region].licence.take().is_some();
        let items = if is_licensed { 1 } else { self.items_by_pace(node) };
        let task = self.task(node, items, is_licensed);
        let mut started = self.begin(node, &task, now);
        let allow =
            if is_gated { self.reserve(&mut started, &task, items, is_licensed) } else { unlimited(items) };
        Quantum { started, task, allow }
    }

    /// As many items as should take one quantum's time.
    fn items_by_pace(&self, node: usize) -> usize {
        let pace = &self.nodes[node].pace;
        if pace.item_ns <= 0.0 {
            return 1;
        }
        let by_time = (QUANTUM_NS / pace.item_ns) as usize;
        let by_time = by_time.min((pace.last_items.max(1) * GROWTH) as usize).clamp(1, ITEMS_MAX);
        match self.nodes[node].kind {
            // Each birth of a quantum counts, not only the first.
            Kind::Source { window: Some(window), .. } => by_time.min(self.window_left(node, window)),
            _ => by_time,
        }
    }

    fn task(&mut self, node: usize, items: usize, is_licensed: bool) -> Task<V> {
        match self.nodes[node].kind.clone() {
            Kind::Source { .. } => {
                self.nodes[node].birth = Birth::Busy { last: false };
                self.nodes[node].has_arrival = false;
                Task::Birth
            }
            Kind::Joint { ports, pairs } => {
                self.nodes[node].birth = Birth::Busy { last: false };
                // One from each: what they weigh is known only when they are taken.
                Task::Join(self.take_offers(&ports, pairs))
            }
            Kind::Cpu { .. } => Task::Block(self.take_block(node, items, false)),
            Kind::Io { .. } | Kind::Sink { .. } => Task::Block(self.take_block(node, 1, false)),
            Kind::Serial { ordered, waits, .. } => {
                Task::Block(self.take_block(node, if waits { 1 } else { items }, ordered))
            }
            Kind::Expand | Kind::Group { .. } | Kind::Scatter { .. } | Kind::Fork { .. } => {
                self.take_expander(node)
            }
            Kind::Batch { .. } => Task::Batch(pop(&mut self.nodes[node].ready)),
            Kind::MapBatch { .. } | Kind::Device { .. } if is_licensed => {
                Task::Batch(self.take_oldest_alone(node))
            }
            Kind::MapBatch { .. } | Kind::Device { .. } => Task::Batch(self.nodes[node].take_batch()),
            Kind::Zip { .. } => Task::Zip(pop(&mut self.nodes[node].ready)),
            Kind::Gather { .. } => self.take_gathered(node),
            Kind::Keyed { .. } => self.take_lane(node, items, true),
            Kind::Fold { ordered } => self.take_fold(node, items, ordered),
            Kind::Reduce { ordered } => self.take_reduce(node, items, ordered),
            Kind::Port | Kind::Stream { .. } => unreachable!("what is taken from outside has no quantum"),
        }
    }

    /// Up to `items` of the oldest; if `ordered`, only while nothing older can come in between.
    pub(super) fn take_block(&mut self, node: usize, items: usize, ordered: bool) -> Block<V> {
        let before = if ordered { self.floor(node) } else { None };
        let block = self.nodes[node].queue.pop(items, before.as_ref());
        block.unwrap_or_else(|| unreachable!("a node is taken from only where something waits"))
    }

    fn take_expander(&mut self, node: usize) -> Task<V> {
        let here = &mut self.nodes[node];
        let queued = here.queue.first();
        if here.parked.keys().next().is_some_and(|parked| queued.is_none_or(|queued| parked < queued)) {
            let (_, parked) = here.parked.pop_first().unwrap_or_else(|| unreachable!("just seen"));
            if parked.is_ghost {
                // The item itself waits elsewhere and may have its end there while this runs.
                self.live.link_births(parked.member.lineage.as_ref());
            }
            return Task::Resume(parked);
        }
        Task::Begin(self.take_block(node, 1, false))
    }

    /// The oldest member of all batches here alone; the others stay. A batch that grows over budget grows by one item
    /// at a time, or young members, grown, would pile up behind the order.
    fn take_oldest_alone(&mut self, node: usize) -> VecDeque<Block<V>> {
        let here = &mut self.nodes[node];
        let buffered = here.oldest_buffer().map(|(position, group)| (position.clone(), group));
        let ready = here.ready.keys().next().cloned();
        if let Some((position, group)) = buffered
            && ready.as_ref().is_none_or(|ready| position < *ready)
            && matches!(here.kind, Kind::Device { .. })
        {
            return here.take_buffered(group).into_iter().collect();
        }
        let mut batch = pop(&mut here.ready);
        let Some(first) = batch.pop_front() else { return batch };
        let (first, rest) = first.split_first();
        if let Some(rest) = rest {
            batch.push_front(rest);
        }
        if let Some(oldest) = batch.front() {
            here.ready.insert(oldest.position(), batch);
        }
        VecDeque::from([first])
    }

    fn take_gathered(&mut self, node: usize) -> Task<V> {
        let here = &mut self.nodes[node];
        let parent = pop(&mut here.ready).pop_front();
        let parent =
            parent.unwrap_or_else(|| unreachable!("a gather is taken from only where something is ready"));
        let Some(parts) = here.parts.remove(&parent.position()) else { unreachable!("put there together") };
        Task::Gather(Gathered { parent, parts })
    }

    fn take_lane(&mut self, node: usize, items: usize, ordered: bool) -> Task<V> {
        let before = if ordered { self.floor(node) } else { None };
        let lanes = &mut self.nodes[node].lanes;
        let lane = lanes.startable().map(|(_, lane)| *lane);
        let block = lane.and_then(|lane| lanes.take(lane, items, before.as_ref()));
        Task::Block(block.unwrap_or_else(|| unreachable!("a lane is taken from only where something waits")))
    }

    fn take_fold(&mut self, node: usize, items: usize, ordered: bool) -> Task<V> {
        if !self.nodes[node].queue.is_empty() {
            return Task::Block(self.take_block(node, items, ordered));
        }
        if self.nodes[node].closing.pop_first().is_some() {
            return Task::Close { group: None };
        }
        self.take_expander(node)
    }

    fn take_reduce(&mut self, node: usize, items: usize, ordered: bool) -> Task<V> {
        let first = self.nodes[node].lanes.startable().map(|(first, _)| first);
        if first.is_some_and(|first| !ordered || self.is_next_in_order(node, first)) {
            return self.take_lane(node, items, ordered);
        }
        if let Some((_, group)) = self.nodes[node].closing.pop_first() {
            return Task::Close { group: Some(group) };
        }
        self.take_expander(node)
    }

    /// What each port offers, one from each; or what the flow whose turn it is does.
    fn take_offers(&mut self, ports: &[usize], pairs: bool) -> Vec<Block<V>> {
        if pairs {
            return ports.iter().map(|&port| self.take_offer(port)).collect();
        }
        self.current_port(ports).map(|port| self.take_offer(port)).into_iter().collect()
    }

    fn take_offer(&mut self, port: usize) -> Block<V> {
        let offer = self.take_block(port, 1, true);
        self.nodes[port].population -= offer.members.len();
        self.nodes[port].bytes -= offer.bytes();
        let (items, bytes, region) = (offer.items(), offer.bytes(), self.nodes[port].region);
        self.regions[region].credit.release(items, bytes);
        offer
    }

    /// Enters the quantum into the books.
    fn begin(&mut self, node: usize, task: &Task<V>, now: Instant) -> Started {
        let id = self.fresh_id();
        let taken = Taken::of(task);
        let here = &mut self.nodes[node];
        here.running += 1;
        here.working += taken.members;
        here.waited += taken.since.map_or_else(Default::default, |since| {
            now.saturating_duration_since(since) * u32::try_from(taken.members).unwrap_or(u32::MAX)
        });
        if let Some(starts) = &mut here.starts {
            starts.enter(now);
            self.clock_is_late |= !starts.is_open();
        }
        if let Some(position) = &taken.position {
            here.open.insert((position.clone(), id));
        }
        self.regions[here.region].in_motion += 1;
        let (lane, group) = match (&here.kind, task) {
            (Kind::Keyed { .. }, Task::Block(block)) => {
                (block.members.front().map(|member| member.ask), None)
            }
            (Kind::Reduce { .. }, Task::Block(block)) => {
                (block.members.front().and_then(Member::group), None)
            }
            (_, Task::Close { group }) => (None, *group),
            _ => (None, None),
        };
        Started {
            node,
            id,
            position: taken.position,
            items: taken.items,
            bytes: taken.bytes,
            items_held: 0,
            bytes_held: 0,
            taken: taken.members,
            lane,
            group,
            residents: taken.residents,
        }
    }

    /// Reserves credit for what a gated quantum will make: one item for each that may be born, and the bytes that they
    /// are expected to take. Over budget it is one item, whatever it takes.
    fn reserve(
        &mut self,
        started: &mut Started,
        task: &Task<V>,
        items: usize,
        is_licensed: bool,
    ) -> Allowance {
        let here = &self.nodes[started.node];
        let makes_items = matches!(task, Task::Birth | Task::Join(_) | Task::Begin(_) | Task::Resume(_));
        let asks = match task {
            // What the ports held is this account's now.
            Task::Join(offers) => offers.iter().map(Block::bytes).sum(),
            Task::Block(block) if matches!(here.kind, Kind::Io { .. }) => {
                block.members.iter().map(|member| member.ask.saturating_sub(member.bytes)).sum()
            }
            _ => 0,
        };
        let expected = (here.pace.item_bytes * items as f32) as u64;
        let credit = &mut self.regions[here.region].credit;
        let (items, bytes) = if is_licensed { (1, 0) } else { credit.grant(items as u64, expected.max(1)) };
        started.items_held = if makes_items { items } else { 0 };
        started.bytes_held = bytes.max(asks);
        credit.charge(started.items_held, started.bytes_held);
        Allowance { items: if makes_items { items as usize } else { usize::MAX }, bytes }
    }

    /// Takes the quantum out of the books again, with all the credit that it held.
    pub(super) fn conclude(&mut self, started: &Started) {
        let here = &mut self.nodes[started.node];
        here.running -= 1;
        here.working -= started.taken;
        here.population -= started.taken;
        here.bytes -= started.bytes;
        if let Some(position) = &started.position {
            here.open.remove(&(position.clone(), started.id));
        }
        if let Some(lane) = started.lane {
            here.lanes.release(lane);
        }
        for &(group, count) in &started.residents {
            here.depart(group, count);
        }
        let region = &mut self.regions[here.region];
        region.in_motion -= 1;
        region.credit.release(started.items + started.items_held, started.bytes + started.bytes_held);
    }
}

/// What a task takes off its node's books.
#[derive(Default)]
struct Taken {
    members: usize,
    pub(super) items: u64,
    pub(super) bytes: u64,
    position: Option<Position>,
    since: Option<Instant>,
    residents: Vec<(u64, usize)>,
}

impl Taken {
    fn of<V: Load>(task: &Task<V>) -> Self {
        let mut taken = Self::default();
        match task {
            Task::Birth | Task::Join(_) | Task::Close { .. } => {}
            Task::Block(block) | Task::Begin(block) => taken.add(block),
            Task::Batch(blocks) | Task::Zip(blocks) => blocks.iter().for_each(|block| taken.add(block)),
            Task::Gather(gathered) => {
                taken.add(&gathered.parent);
                // Until now it waited for its parts, not for anybody's attention.
                taken.since = None;
            }
            Task::Resume(parked) => {
                taken.members = 1;
                taken.position = Some(parked.position());
                taken.since = Some(parked.since);
                if !parked.is_ghost {
                    taken.items = u64::from(parked.member.items);
                    taken.bytes = parked.member.bytes;
                    taken.reside(&parked.member);
                }
            }
        }
        taken
    }

    fn add<V: Load>(&mut self, block: &Block<V>) {
        let sum = block.sum();
        if sum.members == 0 {
            return;
        }
        self.members += sum.members;
        self.items += sum.items;
        self.bytes += sum.bytes;
        self.since = self.since.into_iter().chain([block.since]).min();
        let first = block.position();
        self.position = Some(self.position.take().map_or(first.clone(), |position| position.min(first)));
        if sum.has_lineage {
            block.members.iter().for_each(|member| self.reside(member));
        }
    }

    fn reside(&mut self, member: &Member) {
        if let Some(group) = member.group() {
            match self.residents.last_mut() {
                Some((last, count)) if *last == group => *count += 1,
                _ => self.residents.push((group, 1)),
            }
        }
    }
}

fn unlimited(items: usize) -> Allowance {
    Allowance { items, bytes: u64::MAX }
}

fn pop<V>(ready: &mut std::collections::BTreeMap<Position, VecDeque<Block<V>>>) -> VecDeque<Block<V>> {
    ready.pop_first().map(|(_, batch)| batch).unwrap_or_default()
}
