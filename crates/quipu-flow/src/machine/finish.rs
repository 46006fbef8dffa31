//! What an ending does: items are born, go on, end, and give back what they held.

use super::judge::Failure;
use super::live::Hook;
use super::node::{Birth, Kind};
use super::position::Position;
use super::take::Started;
use super::token::{BirthId, Block, Lineage, Load, Member, Parked};
use super::{End, Machine};
use crate::report::Ended;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much of a new measurement goes into a node's pace.
const PACE_SHARE: f32 = 0.25;

/// How a quantum ended. Every member that it was given, and every one that it has made, is in exactly one of these.
pub(crate) struct Outcome<V> {
    pub(crate) started: Started,
    /// New items, by the output that they leave through; where they stand is said here.
    pub(crate) fresh: Vec<(usize, Block<V>)>,
    /// Acknowledgements of new source items, in their order, where somebody waits for them.
    pub(crate) hooks: VecDeque<Option<Hook>>,
    /// Items that go on, by the output that they leave through.
    pub(crate) moved: Vec<(usize, Block<V>)>,
    /// Items that are one with others now, among those that go on.
    pub(crate) melted: VecDeque<Member>,
    pub(crate) ended: Vec<(End, VecDeque<Member>)>,
    pub(crate) failed: Vec<(Member, Failure)>,
    /// Items that the quantum did not come to.
    pub(crate) rest: Option<Block<V>>,
    /// The item that is being made into several.
    pub(crate) expansion: Option<Expansion<V>>,
    /// The source has no more.
    pub(crate) is_last: bool,
    pub(crate) attempts: u32,
    /// Items worked on, and how long it took.
    pub(crate) worked: usize,
    pub(crate) spent: Duration,
}

/// An item that is being made into several.
pub(crate) struct Expansion<V> {
    pub(crate) parked: Parked<V>,
    /// Whether it has just begun.
    pub(crate) is_new: bool,
    /// What a scattered item leaves for its gather.
    pub(crate) document: Option<V>,
    /// Whether it has no more children.
    pub(crate) is_exhausted: bool,
    pub(crate) failure: Option<Failure>,
}

impl<V> Outcome<V> {
    pub(crate) fn new(started: Started) -> Self {
        Self {
            started,
            fresh: Vec::new(),
            hooks: VecDeque::new(),
            moved: Vec::new(),
            melted: VecDeque::new(),
            ended: Vec::new(),
            failed: Vec::new(),
            rest: None,
            expansion: None,
            is_last: false,
            attempts: 0,
            worked: 0,
            spent: Duration::ZERO,
        }
    }
}

impl<V: Load> Machine<V> {
    /// A quantum has ended so.
    pub(crate) fn finish(&mut self, outcome: Outcome<V>, now: Instant) {
        let node = outcome.started.node;
        if outcome.worked > 0 {
            self.nodes[node].call_ended(outcome.spent, outcome.failed.is_empty());
        }
        self.conclude(&outcome.started);
        self.learn(node, &outcome);
        let Outcome { started, fresh, hooks, moved, melted, ended, mut failed, .. } = outcome;
        let Outcome { rest, expansion, is_last, attempts, .. } = outcome;
        if self.nodes[node].kind.is_source() {
            self.born(node, fresh, hooks, &mut failed, now);
        } else if let Some(expansion) = expansion {
            let ghost = expansion.parked.is_ghost.then(|| expansion.parked.member.lineage.clone()).flatten();
            self.expanded(node, &started, expansion, fresh, now);
            self.unlink_births(ghost.as_ref(), true);
        }
        if !melted.is_empty() {
            self.melt(&moved, &melted);
        }
        for (out, block) in moved {
            let (next, input) = self.nodes[node].outs[out];
            self.enter(next, input, block, now);
        }
        for (end, members) in ended {
            members.iter().for_each(|member| self.end_member(member, end));
        }
        for (member, failure) in failed {
            self.fail(node, member, failure, attempts);
        }
        if let Some(rest) = rest {
            self.put_rest_back(node, rest, now);
        }
        if self.nodes[node].kind.is_source() {
            self.source_rests(node, is_last);
        }
    }

    /// The quantum was lost with all that it had: its task was dropped, or its runtime is going down. What `members`
    /// it held ends cancelled, and so does the run.
    pub(crate) fn lose(&mut self, started: &Started, members: &VecDeque<Member>) {
        self.conclude(started);
        self.stop(Ended::Cancelled);
        members.iter().for_each(|member| self.end_member(member, End::Cancelled));
        if self.nodes[started.node].kind.is_source() {
            self.source_rests(started.node, true);
        }
    }

    /// An io has failed after `spent`; it will be tried again after a while, and gives up its slot until then.
    pub(crate) fn back_off(&mut self, node: usize, spent: Duration) {
        self.nodes[node].call_ended(spent, false);
        self.nodes[node].backing_off += 1;
    }

    /// Its while is over, or it is lost.
    pub(crate) fn back_on(&mut self, node: usize) {
        self.nodes[node].backing_off -= 1;
    }

    /// Several items are one from now on: the new one is counted in before the old ones are counted out.
    fn melt(&mut self, moved: &[(usize, Block<V>)], melted: &VecDeque<Member>) {
        for member in moved.iter().flat_map(|(_, block)| &block.members) {
            self.live.link(member.lineage.as_ref());
        }
        for member in melted {
            self.unlink(member.lineage.as_ref(), true);
        }
    }

    fn source_rests(&mut self, node: usize, is_last: bool) {
        let here = &mut self.nodes[node];
        let is_closed = is_last || self.stopping.is_some() || here.birth != Birth::Busy { last: false };
        here.birth = if is_closed { Birth::Closed } else { Birth::Idle };
    }

    /// Corrects what is known of a node's pace.
    fn learn(&mut self, node: usize, outcome: &Outcome<V>) {
        if outcome.worked == 0 {
            return;
        }
        let blocks = outcome.moved.iter().chain(&outcome.fresh).map(|(_, block)| block.bytes());
        let made = blocks.sum::<u64>() + outcome.rest.as_ref().map_or(0, Block::bytes);
        let added = made as f32 - outcome.started.bytes() as f32;
        let worked = outcome.worked as f32;
        let spent = outcome.spent.as_nanos() as f32;
        let pace = &mut self.nodes[node].pace;
        let blend = |old: f32, new: f32| if old == 0.0 { new } else { old + (new - old) * PACE_SHARE };
        pace.item_ns = blend(pace.item_ns, (spent / worked).max(1.0));
        pace.item_bytes = blend(pace.item_bytes, (added / worked).max(0.0));
        pace.freed_per_ns = blend(pace.freed_per_ns, -added / spent.max(1.0));
        pace.last_items = u32::try_from(outcome.worked).unwrap_or(u32::MAX);
    }

    /// New items of a source: now it is known where they stand. Those that could not even be weighed have a place
    /// too: how many came before them in this quantum is what they ask.
    fn born(
        &mut self,
        node: usize,
        fresh: Vec<(usize, Block<V>)>,
        mut hooks: VecDeque<Option<Hook>>,
        failed: &mut [(Member, Failure)],
        now: Instant,
    ) {
        let region = self.nodes[node].region;
        let first = self.regions[region].births;
        let mut failed = failed.iter_mut().map(|(member, _)| member).peekable();
        let has_window = matches!(self.nodes[node].kind, Kind::Source { window: Some(_), .. });
        for (out, mut block) in fresh {
            for member in &mut block.members {
                while let Some(lost) = failed.next_if(|lost| first + lost.ask == self.regions[region].births)
                {
                    self.number(region, lost);
                }
                let number = self.number(region, member);
                self.births += u64::from(member.count) - 1;
                let hook = hooks.pop_front().flatten();
                if hook.is_some() || has_window {
                    let birth = BirthId { source: node, number };
                    self.live.await_acknowledgement(birth, hook);
                    Arc::make_mut(member.lineage.get_or_insert_default()).births.push(birth);
                }
                self.live.link(member.lineage.as_ref());
            }
            let (next, input) = self.nodes[node].outs[out];
            self.enter(next, input, block, now);
        }
        for lost in failed {
            self.number(region, lost);
        }
    }

    /// Gives a source item the next number.
    fn number(&mut self, region: usize, member: &mut Member) -> u64 {
        let number = self.regions[region].births;
        self.regions[region].births += 1;
        self.births += 1;
        member.position = Position::of_birth(number);
        number
    }

    /// An item has got some of its children.
    fn expanded(
        &mut self,
        node: usize,
        started: &Started,
        expansion: Expansion<V>,
        fresh: Vec<(usize, Block<V>)>,
        now: Instant,
    ) {
        if self.is_stopping() || self.regions[self.nodes[node].region].is_closed {
            self.expanded_in_vain(node, expansion, fresh, now);
            return;
        }
        let Expansion { mut parked, is_new, document, is_exhausted, failure } = expansion;
        if is_new {
            self.open(node, started, &mut parked, document, now);
        }
        for (out, mut block) in fresh {
            self.bear_children(node, &mut parked, &mut block);
            let (next, input) = self.nodes[node].outs[out];
            self.enter(next, input, block, now);
        }
        if is_exhausted || failure.is_some() {
            self.exhausted(node, parked, failure);
            return;
        }
        let here = &mut self.nodes[node];
        here.population += 1;
        if !parked.is_ghost {
            here.charge(parked.member.bytes);
            self.charge(node, &parked.member);
            self.enter_group(node, &parked.member);
        }
        parked.since = now;
        self.nodes[node].parked.insert(parked.position(), parked);
    }

    /// An item has got children that nobody wants any more.
    fn expanded_in_vain(
        &mut self,
        node: usize,
        expansion: Expansion<V>,
        fresh: Vec<(usize, Block<V>)>,
        now: Instant,
    ) {
        let Expansion { mut parked, is_new, document, .. } = expansion;
        for (out, mut block) in fresh {
            self.bear_children(node, &mut parked, &mut block);
            self.enter(self.nodes[node].outs[out].0, 0, block, now);
        }
        // What waits elsewhere, or has never been there, has its end already.
        let is_own = matches!(self.nodes[node].kind, Kind::Fold { .. } | Kind::Reduce { .. });
        let has_end = parked.is_ghost || (is_new && is_own);
        if !has_end {
            let end = if self.is_stopping() { End::Cancelled } else { End::Unpaired };
            self.end_member(&parked.member, end);
        }
        self.gone.values.push(parked.value);
        self.gone.values.extend(document);
    }

    fn bear_children(&mut self, node: usize, parked: &mut Parked<V>, block: &mut Block<V>) {
        let clones = matches!(self.nodes[node].kind, Kind::Fork { .. });
        for member in &mut block.members {
            member.position = parked.member.position.child(parked.next);
            parked.next += 1;
            if clones {
                (member.items, member.count) = (parked.member.items, parked.member.count);
            }
            let key = member.lineage.take().and_then(|lineage| lineage.key.clone());
            member.lineage.clone_from(&parked.child);
            if let Some(key) = key {
                member.rename(key);
            }
            self.births += u64::from(member.count);
            self.live.link(member.lineage.as_ref());
        }
    }

    /// An item begins to be made into several: what its children belong to, and where it waits meanwhile.
    fn open(
        &mut self,
        node: usize,
        started: &Started,
        parked: &mut Parked<V>,
        document: Option<V>,
        now: Instant,
    ) {
        let kind = self.nodes[node].kind.clone();
        match kind {
            Kind::Fold { .. } => {
                self.nodes[node].is_done = true;
                parked.member =
                    Member { position: Position::of_end(node), items: 0, count: 0, ..Member::default() };
            }
            Kind::Reduce { .. } => {
                if let Some(parent) = started.group.and_then(|group| self.close_group(group)) {
                    parked.member = parent;
                }
            }
            _ => {}
        }
        let mut inherited = parked.member.lineage.clone();
        if !matches!(kind, Kind::Fork { .. })
            && let Some(lineage) = inherited.as_mut().filter(|lineage| !lineage.passengers.is_empty())
        {
            // A child of a batch is one item.
            Arc::make_mut(lineage).passengers.clear();
        }
        let with = |change: &dyn Fn(&mut Lineage)| {
            let mut lineage = inherited.as_deref().cloned().unwrap_or_default();
            change(&mut lineage);
            Some(Arc::new(lineage))
        };
        parked.child = match kind {
            Kind::Group { reduce } => {
                let group = self.open_group(reduce, parked.member.clone());
                parked.is_ghost = true;
                with(&|lineage| lineage.group = Some(group))
            }
            Kind::Scatter { gather } => {
                let Some(document) = document else { unreachable!("what is scattered leaves a document") };
                let members = VecDeque::from([parked.member.clone()]);
                let scope = self.open_scope(gather, Block::new(document, members, now));
                parked.is_ghost = true;
                with(&|lineage| lineage.scope = Some(scope))
            }
            Kind::Fork { zip: Some(zip), branches } => {
                let family = self.open_family(zip, branches, &parked.member);
                with(&|lineage| lineage.family = Some(family))
            }
            _ => inherited,
        };
    }

    /// An item has no more children, or none that one could get at.
    fn exhausted(&mut self, node: usize, parked: Parked<V>, failure: Option<Failure>) {
        self.gone.values.push(parked.value);
        let child = parked.child.as_deref();
        match self.nodes[node].kind {
            Kind::Group { .. } => {
                if let Some(group) = child.and_then(|child| child.group) {
                    self.group_is_expanded(group, failure);
                }
                return;
            }
            Kind::Scatter { .. } => {
                if let Some(scope) = child.and_then(|child| child.scope) {
                    self.scope_is_expanded(scope, failure);
                }
                return;
            }
            Kind::Fork { zip: Some(_), .. } => {
                if let Some(family) = child.and_then(|child| child.family) {
                    self.family_is_expanded(family);
                }
            }
            _ => {}
        }
        match failure {
            Some(failure) => self.fail(node, parked.member, failure, 0),
            None => self.end_member(&parked.member, End::Expanded),
        }
    }
}
