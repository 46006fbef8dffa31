//! What nodes do in a simulation: every item's fate depends on where it stands, never on the schedule.

use super::case::{Case, Random, Rough};
use super::graph::{Built, Fails, Play};
use crate::error::ItemError;
use crate::machine::{
    Block, End, Expansion, Failure, Gone, Kind, Load, Machine, Member, Outcome, Parked, Position, Quantum,
    Started, Task, Verdict,
};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// So many values; for a parked item, so many children in all.
#[derive(Debug, PartialEq)]
pub(super) struct Fake(pub(super) usize);

impl Load for Fake {
    fn split_front(&mut self, count: usize) -> Self {
        assert!(count < self.0, "split {count} of {}", self.0);
        self.0 -= count;
        Self(count)
    }

    fn append(&mut self, younger: Self) {
        self.0 += younger.0;
    }
}

pub(super) struct Stage {
    plays: Vec<Play>,
    kinds: Vec<Kind>,
    outs: Vec<Vec<(usize, usize)>>,
    bytes_max: u64,
    small_births: bool,
    rough: Rough,
    left: Vec<u64>,
    /// The last position that each order-keeping node has seen, by key.
    seen: BTreeMap<(usize, u64), Position>,
    asked: u64,
    regions: Vec<usize>,
    /// Where the source item of each hook stands: in which region, and its number there.
    hooks: Vec<(usize, u64)>,
    acknowledged: Arc<Mutex<Vec<usize>>>,
    pub(super) delivered: BTreeMap<Position, u64>,
    pub(super) largest: (u64, u64),
}

/// What depends on the item alone.
fn fate(what: impl Hash) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Stage {
    pub(super) fn new(built: &Built, case: &Case) -> Self {
        Self {
            plays: built.plays.clone(),
            kinds: built.specs.iter().map(|spec| spec.kind.clone()).collect(),
            outs: built.specs.iter().map(|spec| spec.outs.clone()).collect(),
            bytes_max: case.bytes_max,
            small_births: case.small_births,
            rough: case.rough,
            left: built.plays.iter().map(|play| play.most).collect(),
            seen: BTreeMap::new(),
            asked: 0,
            regions: built.specs.iter().map(|spec| spec.region).collect(),
            hooks: Vec::new(),
            acknowledged: Arc::default(),
            delivered: BTreeMap::new(),
            largest: (1, 1),
        }
    }

    /// Calls the hooks, and checks that nothing in flight was made of what they acknowledge.
    pub(super) fn acknowledge(&self, gone: Gone<Fake>, machine: &Machine<Fake>, running: &[&Quantum<Fake>]) {
        let before = self.acknowledged.lock().unwrap().len();
        gone.acknowledged.into_iter().for_each(|hook| hook());
        for &hook in &self.acknowledged.lock().unwrap()[before..] {
            let (region, number) = self.hooks[hook];
            assert!(
                !machine.is_in_flight(region, number, running),
                "{number} of region {region} is acknowledged too early: {}",
                machine.picture()
            );
        }
    }

    /// None is acknowledged twice; if `is_done`, each is once.
    pub(super) fn check_acknowledged(&self, is_done: bool) {
        let mut acknowledged = self.acknowledged.lock().unwrap().clone();
        acknowledged.sort_unstable();
        assert!(acknowledged.windows(2).all(|pair| pair[0] < pair[1]), "one is acknowledged twice");
        if is_done {
            assert_eq!(acknowledged, (0..self.hooks.len()).collect::<Vec<_>>(), "each is acknowledged once");
        }
    }

    pub(super) fn has_left(&self, node: usize) -> bool {
        self.left[node] > 0
    }

    fn bytes(&self, node: usize, position: &Position, before: u64, grows: bool) -> u64 {
        let bytes = self.weight(("bytes", node, position));
        if grows { bytes } else { bytes.min(before) }
    }

    fn weight(&self, what: impl Hash) -> u64 {
        u64::from(!self.rough.weightless) + fate(what) % self.bytes_max
    }

    /// What the next node wants to know of an item.
    fn ask(&mut self, node: usize, out: usize) -> u64 {
        self.asked += 1;
        match self.outs[node].get(out).map(|(next, _)| &self.kinds[*next]) {
            Some(Kind::Keyed { .. }) => fate(self.asked) % 2,
            Some(kind) if kind.batch_size().is_some() => {
                if self.rough.measured {
                    fate(self.asked) % 4
                } else {
                    1
                }
            }
            _ => 0,
        }
    }

    /// An io that will be tried again.
    pub(super) fn fails_for_now(&self, quantum: &Quantum<Fake>) -> bool {
        let node = quantum.started.node;
        let Task::Block(block) = &quantum.task else { return false };
        block.attempts < self.plays[node].retries && self.is_unlucky(node, &block.position(), block.attempts)
    }

    /// How long a call takes that will be tried again.
    pub(super) fn call_time(&self, quantum: &Quantum<Fake>) -> Duration {
        Duration::from_micros(fate(("time", quantum.started.node, quantum.started.bytes)) % 1_000)
    }

    fn is_unlucky(&self, node: usize, position: &Position, attempts: u32) -> bool {
        fate(("fails", node, position, attempts)).is_multiple_of(4)
    }

    pub(super) fn give_back(&self, quantum: Quantum<Fake>) -> Outcome<Fake> {
        let mut outcome = Outcome::new(quantum.started);
        if let Task::Block(mut block) = quantum.task {
            block.attempts += 1;
            outcome.rest = Some(block);
        }
        outcome
    }

    /// What becomes of an item that fails here, if any does.
    pub(super) fn failure(&self, node: usize) -> Option<Failure> {
        let verdict = match self.plays[node].fails {
            Fails::Never => return None,
            Fails::Skip => Verdict::Skip,
            Fails::Letter => Verdict::Letter(nowhere()),
            Fails::Stop => Verdict::Stop,
            Fails::Parent => Verdict::Parent,
        };
        Some(Failure { stage: "".into(), error: ItemError::Panic(String::new()), verdict })
    }

    pub(super) fn play(
        &mut self,
        quantum: Quantum<Fake>,
        machine: &Machine<Fake>,
        random: &mut Random,
    ) -> Outcome<Fake> {
        let Quantum { started, task, allow } = quantum;
        let node = started.node;
        let items = allow.items.min(1 + random.below(40) as usize);
        let mut outcome = match task {
            Task::Birth => self.bear(started, items, allow.bytes, machine),
            Task::Join(offers) => self.join(started, offers),
            Task::Block(block) => self.pass(started, block, items, allow.bytes),
            Task::Batch(blocks) if matches!(self.kinds[node], Kind::Batch { .. }) => {
                let outcome = self.melt(started, blocks);
                machine.check_run_of_order(node, &outcome.melted);
                outcome
            }
            Task::Batch(blocks) => self.map_batch(started, blocks),
            Task::Begin(block) => {
                let member = block.members[0].clone();
                let parked = Parked {
                    value: Fake(self.children(node, &member.position)),
                    member,
                    next: 0,
                    child: None,
                    is_ghost: false,
                    since: block.since,
                };
                self.expand(started, parked, true, items, allow.bytes)
            }
            Task::Resume(parked) => self.expand(started, parked, false, items, allow.bytes),
            Task::Close { .. } => {
                let parked = Parked {
                    value: Fake(self.plays[node].most as usize),
                    member: Member::default(),
                    next: 0,
                    child: None,
                    is_ghost: false,
                    since: Instant::now(),
                };
                self.expand(started, parked, true, 0, 0)
            }
            Task::Zip(mut clones) => {
                let mut outcome = Outcome::new(started);
                outcome.moved.extend(clones.pop_front().map(|pair| (0, pair)));
                outcome
            }
            Task::Gather(gathered) => {
                let parts = gathered.parts.parts.iter().filter(|part| part.is_ok()).count();
                let held = gathered.parent.members[0].items as usize;
                assert!(held > parts, "an item with {parts} parts holds the credit of {held}");
                let path = gathered.parent.position().path();
                assert!(!machine.has_below(node, &path, &[]), "closed early: {}", machine.picture());
                self.gather(started, gathered.parent, gathered.parts.failure.is_some())
            }
        };
        for (out, block) in outcome.moved.iter_mut().chain(&mut outcome.fresh) {
            for member in &mut block.members {
                member.ask = self.ask(node, *out);
                self.largest.1 = self.largest.1.max(member.bytes);
                self.largest.0 = self.largest.0.max(u64::from(member.items));
            }
        }
        outcome.worked = 1 + random.below(5) as usize;
        outcome.spent = Duration::from_nanos(random.pick(&[1, 1_000, 50_000, 10_000_000]));
        outcome
    }

    fn bear(&mut self, started: Started, items: usize, bytes: u64, machine: &Machine<Fake>) -> Outcome<Fake> {
        let node = started.node;
        let region = self.regions[node];
        let first = machine.regions[region].births;
        let external = matches!(self.kinds[node], Kind::Source { external: true, .. });
        let mut outcome = Outcome::new(started);
        let (mut members, mut made) = (VecDeque::new(), 0);
        while self.left[node] > 0
            && (members.len() + outcome.failed.len() == 0
                || (!external && members.len() + outcome.failed.len() < items && made < bytes))
        {
            let weight = if self.small_births { 1 } else { self.weight(("born", node, self.left[node])) };
            self.left[node] -= 1;
            let place = (members.len() + outcome.failed.len()) as u64;
            if let Some(failure) = self.failure(node)
                && fate(("stillborn", node, self.left[node])).is_multiple_of(5)
            {
                outcome.failed.push((Member::new(0, place), failure));
                continue;
            }
            made += weight;
            members.push_back(Member::new(weight, 0));
            let (hook, log) = (self.hooks.len(), self.acknowledged.clone());
            self.hooks.push((region, first + place));
            outcome.hooks.push_back(Some(Box::new(move || log.lock().unwrap().push(hook))));
        }
        outcome.is_last = self.left[node] == 0;
        outcome.fresh.push((0, Block::new(Fake(members.len()), members, Instant::now())));
        outcome
    }

    fn join(&mut self, started: Started, offers: Vec<Block<Fake>>) -> Outcome<Fake> {
        let count = offers[0].members.len();
        let member = |at: usize| {
            let olds = offers.iter().map(move |offer| &offer.members[at]);
            let bytes = olds.clone().map(|member| member.bytes).sum();
            Member { lineage: Member::joined(olds), ..Member::new(bytes, 0) }
        };
        let members = (0..count).map(member).collect();
        let mut outcome = Outcome::new(started);
        outcome.fresh.push((0, Block::new(Fake(count), members, Instant::now())));
        outcome.ended.extend(offers.into_iter().map(|offer| (End::Zipped, offer.members)));
        outcome
    }

    /// One by one, until the items or the bytes are used up.
    fn pass(&mut self, started: Started, block: Block<Fake>, items: usize, bytes: u64) -> Outcome<Fake> {
        let node = started.node;
        assert_eq!(block.values.0, block.members.len());
        let (play, kind) = (self.plays[node], self.kinds[node].clone());
        let grows = matches!(
            kind,
            Kind::Cpu { grows: true }
                | Kind::Io { grows: true, .. }
                | Kind::Serial { grows: true, .. }
                | Kind::Keyed { grows: true }
        );
        let mut outcome = Outcome::new(started);
        let (mut rest, mut grown) = (Some(block), 0u64);
        for done in 0.. {
            let Some(block) = rest.take() else { break };
            if done > 0 && (done >= items || grown >= bytes) {
                rest = Some(block);
                break;
            }
            let (mut single, behind) = block.split_first();
            rest = behind;
            let member = &mut single.members[0];
            self.check_order(node, &kind, member);
            let position = member.position.clone();
            if play.filters && fate(("keeps", node, &position)).is_multiple_of(2) {
                outcome.ended.push((End::Filtered, single.members));
            } else if let Some(failure) =
                self.failure(node).filter(|_| self.is_unlucky(node, &position, single.attempts))
            {
                outcome.failed.push((single.members[0].clone(), failure));
            } else if matches!(kind, Kind::Fold { .. } | Kind::Reduce { .. }) {
                outcome.ended.push((End::Absorbed, single.members));
            } else if play.delivers {
                *self.delivered.entry(position).or_default() += 1;
                outcome.ended.push((End::Delivered, single.members));
            } else {
                let now = self.bytes(node, &position, member.bytes, grows);
                grown += now.saturating_sub(member.bytes);
                member.bytes = now;
                let ways = self.outs[node].len().max(1) as u64;
                let out = if play.routes { fate(("route", node, &position)) % ways } else { 0 };
                outcome.moved.push((out as usize, single));
            }
        }
        outcome.rest = rest;
        outcome
    }

    fn check_order(&mut self, node: usize, kind: &Kind, member: &Member) {
        let lane = match kind {
            Kind::Keyed { .. } => member.ask,
            Kind::Reduce { ordered: true } => member.group().unwrap_or(0),
            Kind::Serial { ordered: true, .. } | Kind::Fold { ordered: true } => 0,
            _ => return,
        };
        let last = self.seen.insert((node, lane), member.position.clone());
        assert!(
            last.as_ref().is_none_or(|last| *last < member.position),
            "{node}: {last:?} then {:?}",
            member.position
        );
    }

    fn check_batch(&self, node: usize, members: &VecDeque<Member>) {
        assert!(members.iter().all(|member| member.group() == members[0].group()), "a batch spans groups");
        let size = self.kinds[node].batch_size().map_or(0, |size| size.max);
        let weighty = members.iter().map(|member| member.ask).filter(|&ask| ask > 0);
        let (count, weight) = (weighty.clone().count(), weighty.sum::<u64>());
        assert!(count <= 1 || weight <= size, "a batch of {weight} where {size} is most");
        assert!(
            members.iter().zip(members.iter().skip(1)).all(|(a, b)| a.position < b.position),
            "oldest first"
        );
    }

    fn melt(&mut self, started: Started, blocks: VecDeque<Block<Fake>>) -> Outcome<Fake> {
        let node = started.node;
        let members: VecDeque<Member> = blocks.into_iter().flat_map(|block| block.members).collect();
        self.check_batch(node, &members);
        let mut outcome = Outcome::new(started);
        let batch = VecDeque::from([Member::batch(&members)]);
        outcome.moved.push((0, Block::new(Fake(1), batch, Instant::now())));
        outcome.melted = members;
        outcome
    }

    fn map_batch(&mut self, started: Started, blocks: VecDeque<Block<Fake>>) -> Outcome<Fake> {
        let node = started.node;
        let grows =
            matches!(self.kinds[node], Kind::MapBatch { grows: true, .. } | Kind::Device { grows: true, .. });
        let members: VecDeque<Member> = blocks.into_iter().flat_map(|block| block.members).collect();
        self.check_batch(node, &members);
        let failure = self.failure(node);
        let whole = fate(("whole", node, &members[0].position)).is_multiple_of(6);
        let (mut outcome, mut on) = (Outcome::new(started), VecDeque::new());
        for mut member in members {
            match &failure {
                Some(failure) if whole || self.is_unlucky(node, &member.position, 0) => {
                    outcome.failed.push((member, failure.clone()));
                }
                _ => {
                    member.bytes = self.bytes(node, &member.position, member.bytes, grows);
                    on.push_back(member);
                }
            }
        }
        let bytes: u64 = on.iter().map(|member: &Member| member.bytes).sum();
        self.largest.1 = self.largest.1.max(bytes);
        outcome.moved.push((0, Block::new(Fake(on.len()), on, Instant::now())));
        outcome
    }

    fn children(&self, node: usize, position: &Position) -> usize {
        match self.kinds[node] {
            Kind::Fork { branches, .. } => branches,
            _ => (fate(("children", node, position)) % (self.plays[node].most + 1)) as usize,
        }
    }

    fn expand(
        &mut self,
        started: Started,
        parked: Parked<Fake>,
        is_new: bool,
        items: usize,
        bytes: u64,
    ) -> Outcome<Fake> {
        let node = started.node;
        let clones = matches!(self.kinds[node], Kind::Fork { .. });
        let closes = matches!(started.taken, 0);
        let mut outcome = Outcome::new(started);
        let total = parked.value.0 as u64;
        let (mut next, mut made, mut count) = (parked.next, 0, 0);
        let failure = self.failure(node);
        let breaks = |next: u64, is_there: bool| {
            let is_due = fate(("breaks", node, parked.member.position.child(next))).is_multiple_of(6);
            failure.clone().filter(|_| is_there && is_due)
        };
        while next < total && !closes && (count == 0 || (count < items && made < bytes)) {
            if breaks(next, true).is_some() {
                break;
            }
            let weight = match clones {
                true => parked.member.bytes,
                false if self.small_births => 1,
                false => self.weight(("child", node, parked.member.position.child(next))),
            };
            let out = if clones { next as usize } else { 0 };
            let member = Member { items: 1, ..Member::new(weight, 0) };
            outcome.fresh.push((out, Block::new(Fake(1), VecDeque::from([member]), Instant::now())));
            (next, made, count) = (next + 1, made + weight, count + 1);
        }
        let document = matches!(self.kinds[node], Kind::Scatter { .. }).then_some(Fake(1));
        let failure = breaks(next, next < total);
        outcome.expansion = Some(Expansion {
            document: document.filter(|_| is_new),
            is_new,
            is_exhausted: next >= total,
            failure,
            parked,
        });
        outcome
    }

    fn gather(&mut self, started: Started, mut parent: Block<Fake>, has_failed: bool) -> Outcome<Fake> {
        let node = started.node;
        let grows = matches!(self.kinds[node], Kind::Gather { grows: true, .. });
        let mut outcome = Outcome::new(started);
        let position = parent.position();
        let failed =
            Failure { stage: "".into(), error: ItemError::Panic(String::new()), verdict: Verdict::Skip };
        match self.failure(node).or_else(|| has_failed.then_some(failed)) {
            Some(failure) if has_failed || self.is_unlucky(node, &position, 0) => {
                outcome.failed.extend(parent.members.pop_front().map(|member| (member, failure)));
            }
            _ => {
                let member = &mut parent.members[0];
                member.bytes = self.bytes(node, &position, member.bytes, grows);
                outcome.moved.push((0, parent));
            }
        }
        outcome
    }
}

fn nowhere() -> crate::supervise::DeadLetters {
    match crate::OnError::dead_letter(async |_| Ok::<(), String>(())) {
        crate::OnError::DeadLetter(letters) => letters,
        _ => unreachable!("just made"),
    }
}
