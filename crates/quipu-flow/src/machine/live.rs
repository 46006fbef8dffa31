//! What hangs together: source items and all that was made of them, groups and their members, scattered items and
//! their parts, clones that a zip will pair. Each is a live count: the successor is counted in before the predecessor
//! is counted out, so that it is nought exactly once, when nothing can come any more.

use super::judge::Failure;
use super::node::Kind;
use super::position::Position;
use super::token::{BirthId, Block, Lineage, Load, Member};
use super::{End, Machine};
use crate::error::ItemError;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// What is called when a source item is acknowledged.
pub(crate) type Hook = Box<dyn FnOnce() + Send + Sync>;

pub(super) struct Live<V> {
    pub(super) acks: HashMap<BirthId, Ack>,
    /// Per node: births that are not acknowledged.
    unacknowledged: Vec<usize>,
    pub(super) groups: HashMap<u64, Group>,
    pub(super) scopes: HashMap<u64, Scope<V>>,
    pub(super) families: HashMap<u64, Family<V>>,
}

pub(super) struct Ack {
    live: usize,
    is_refused: bool,
    hook: Option<Hook>,
}

/// An item whose children are a group.
pub(super) struct Group {
    pub(super) reduce: usize,
    pub(super) parent: Member,
    live: usize,
    pub(super) is_expanding: bool,
    pub(super) failure: Option<Failure>,
}

/// An item that was scattered and waits for its parts.
pub(super) struct Scope<V> {
    pub(super) gather: usize,
    pub(super) parent: Block<V>,
    pub(super) parts: BTreeMap<Position, Part<V>>,
    under_way: usize,
    pub(super) is_expanding: bool,
    pub(super) failure: Option<Failure>,
}

pub(super) enum Part<V> {
    Arrived(Block<V>),
    Failed(ItemError),
}

/// The clones of one item.
pub(super) struct Family<V> {
    pub(super) zip: usize,
    branches: usize,
    position: Position,
    items: u32,
    lineage: Option<Arc<Lineage>>,
    live: usize,
    pub(super) is_expanding: bool,
    pub(super) arrived: BTreeMap<usize, Block<V>>,
}

/// A scattered item with what has become of its parts, in their order.
pub(crate) struct Gathered<V> {
    pub(crate) parent: Block<V>,
    pub(crate) parts: Parts<V>,
}

/// What has become of an item's parts.
pub(crate) struct Parts<V> {
    /// Each part that has arrived, or failed where that is no matter.
    pub(crate) parts: Vec<Result<V, ItemError>>,
    /// Why the item fails too, to be judged by its gather's policy.
    pub(crate) failure: Option<Failure>,
}

impl<V> Live<V> {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            acks: HashMap::new(),
            unacknowledged: vec![0; nodes],
            groups: HashMap::new(),
            scopes: HashMap::new(),
            families: HashMap::new(),
        }
    }

    pub(super) fn unacknowledged(&self, node: usize) -> usize {
        self.unacknowledged[node]
    }

    /// A source item that is to be acknowledged, or counted until it could be.
    pub(super) fn await_acknowledgement(&mut self, birth: BirthId, hook: Option<Hook>) {
        self.unacknowledged[birth.source] += 1;
        self.acks.insert(birth, Ack { live: 0, is_refused: false, hook });
    }

    /// One more item of this lineage.
    pub(super) fn link(&mut self, lineage: Option<&Arc<Lineage>>) {
        self.link_births(lineage);
        let Some(lineage) = lineage else { return };
        if let Some(group) = lineage.group.and_then(|group| self.groups.get_mut(&group)) {
            group.live += 1;
        }
        if let Some(family) = lineage.family.and_then(|family| self.families.get_mut(&family)) {
            family.live += 1;
        }
        if let Some(scope) = lineage.scope.and_then(|scope| self.scopes.get_mut(&scope)) {
            scope.under_way += 1;
        }
    }

    /// Something more is under way for the sake of these source items.
    pub(super) fn link_births(&mut self, lineage: Option<&Arc<Lineage>>) {
        for birth in lineage.iter().flat_map(|lineage| &lineage.births) {
            self.acks.entry(*birth).and_modify(|ack| ack.live += 1);
        }
    }
}

impl<V: Load> Machine<V> {
    /// One item of this lineage less.
    pub(super) fn unlink(&mut self, lineage: Option<&Arc<Lineage>>, is_good: bool) {
        self.unlink_births(lineage, is_good);
        let Some(lineage) = lineage else { return };
        if let Some(group) = lineage.group {
            self.live.groups.entry(group).and_modify(|group| group.live -= 1);
            self.check_group(group);
        }
        if let Some(family) = lineage.family {
            self.live.families.entry(family).and_modify(|family| family.live -= 1);
            self.check_family(family);
        }
        if let Some(scope) = lineage.scope {
            self.unlink_part(scope);
        }
    }

    /// Something less is under way for the sake of these source items.
    pub(super) fn unlink_births(&mut self, lineage: Option<&Arc<Lineage>>, is_good: bool) {
        for birth in lineage.iter().flat_map(|lineage| &lineage.births) {
            self.unlink_birth(*birth, is_good);
        }
    }

    fn unlink_birth(&mut self, birth: BirthId, is_good: bool) {
        let Some(ack) = self.live.acks.get_mut(&birth) else { return };
        ack.live -= 1;
        ack.is_refused |= !is_good;
        if ack.live == 0
            && let Some(ack) = self.live.acks.remove(&birth)
        {
            self.live.unacknowledged[birth.source] -= 1;
            let hooks = if ack.is_refused { &mut self.gone.refused } else { &mut self.gone.acknowledged };
            hooks.extend(ack.hook);
        }
    }

    fn unlink_part(&mut self, scope: u64) {
        self.live.scopes.entry(scope).and_modify(|scope| scope.under_way -= 1);
        self.check_scope(scope);
    }

    // Groups.

    pub(super) fn open_group(&mut self, reduce: usize, parent: Member) -> u64 {
        let id = self.fresh_id();
        self.hold(reduce, &parent);
        self.live.groups.insert(id, Group { reduce, parent, live: 0, is_expanding: true, failure: None });
        id
    }

    /// The group has all its members: its item keeps its place, and no credit.
    pub(super) fn group_is_expanded(&mut self, id: u64, failure: Option<Failure>) {
        let Some(group) = self.live.groups.get_mut(&id) else { return };
        group.is_expanding = false;
        group.failure = failure;
        let node = group.reduce;
        let (items, bytes) =
            (std::mem::take(&mut group.parent.items), std::mem::take(&mut group.parent.bytes));
        self.nodes[node].bytes -= bytes;
        let region = self.nodes[node].region;
        self.regions[region].credit.release(u64::from(items), bytes);
        self.check_group(id);
    }

    fn check_group(&mut self, id: u64) {
        let Some(group) = self.live.groups.get(&id) else { return };
        if group.live > 0 || group.is_expanding {
            return;
        }
        if group.failure.is_none() {
            let position = group.parent.position.clone();
            self.nodes[group.reduce].closing.insert(position, id);
        } else if let Some(Group { reduce, parent, failure: Some(failure), .. }) =
            self.live.groups.remove(&id)
        {
            self.let_go(reduce, &parent);
            self.release(self.nodes[reduce].region, &parent);
            self.gone.states.push((reduce, id));
            self.fail(reduce, parent, failure, 0);
        }
    }

    /// The group is closed: what it was made of goes on as the item that makes its outputs.
    pub(super) fn close_group(&mut self, id: u64) -> Option<Member> {
        let group = self.live.groups.remove(&id)?;
        self.let_go(group.reduce, &group.parent);
        self.release(self.nodes[group.reduce].region, &group.parent);
        Some(group.parent)
    }

    // Scattered items.

    pub(super) fn open_scope(&mut self, gather: usize, parent: Block<V>) -> u64 {
        let id = self.fresh_id();
        parent.members.iter().for_each(|member| self.hold(gather, member));
        let scope =
            Scope { gather, parent, parts: BTreeMap::new(), under_way: 0, is_expanding: true, failure: None };
        self.live.scopes.insert(id, scope);
        id
    }

    /// A part has come to its gather, where it stays, and is under way no more.
    pub(super) fn part_arrives(&mut self, mut block: Block<V>) {
        let Some(member) = block.members.front_mut() else { return };
        let Some(id) = member.lineage.as_ref().and_then(|lineage| lineage.scope) else { return };
        if let Some(lineage) = &mut member.lineage {
            Arc::make_mut(lineage).scope = None;
        }
        let Some(scope) = self.live.scopes.get_mut(&id) else { return };
        scope.parts.insert(block.position(), Part::Arrived(block));
        self.unlink_part(id);
    }

    /// A part has failed, and so has its parent, unless its gather wants to know of failures.
    pub(super) fn part_fails(&mut self, member: &Member, failure: &Failure) {
        let scope = member.lineage.as_ref().and_then(|lineage| lineage.scope);
        let Some(scope) = scope.and_then(|scope| self.live.scopes.get_mut(&scope)) else { return };
        let is_partial = matches!(self.nodes[scope.gather].kind, Kind::Gather { is_partial: true, .. });
        scope.parts.insert(member.position.clone(), Part::Failed(failure.error.clone()));
        if !is_partial && scope.failure.is_none() {
            scope.failure = Some(failure.clone());
        }
    }

    pub(super) fn scope_is_expanded(&mut self, id: u64, failure: Option<Failure>) {
        let Some(scope) = self.live.scopes.get_mut(&id) else { return };
        scope.is_expanding = false;
        scope.failure = scope.failure.take().or(failure);
        self.check_scope(id);
    }

    fn check_scope(&mut self, id: u64) {
        let is_closed = |scope: &Scope<V>| scope.under_way == 0 && !scope.is_expanding;
        if !self.live.scopes.get(&id).is_some_and(is_closed) {
            return;
        }
        let Some(mut scope) = self.live.scopes.remove(&id) else { return };
        let mut parts = Vec::with_capacity(scope.parts.len());
        for part in std::mem::take(&mut scope.parts).into_values() {
            match part {
                Part::Failed(error) => parts.push(Err(error)),
                Part::Arrived(part) => {
                    let values = self.gather_part(scope.gather, &mut scope.parent, part);
                    parts.push(Ok(values));
                }
            }
        }
        self.gathered(scope, parts);
    }

    /// A part ends; what it holds is its parent's from now on.
    fn gather_part(&mut self, gather: usize, parent: &mut Block<V>, part: Block<V>) -> V {
        for member in &part.members {
            if let Some(parent) = parent.members.front_mut() {
                parent.items += member.items;
                parent.bytes += member.bytes;
            }
            self.nodes[gather].population -= 1;
            self.leave_group(gather, member);
            self.end_member(member, End::Gathered);
        }
        part.values
    }

    fn gathered(&mut self, scope: Scope<V>, parts: Vec<Result<V, ItemError>>) {
        let Scope { gather, parent, failure, .. } = scope;
        let position = parent.position();
        let here = &mut self.nodes[gather];
        here.held.remove(&position);
        here.ready.insert(position.clone(), VecDeque::from([parent]));
        here.parts.insert(position, Parts { parts, failure });
    }

    // Clones.

    pub(super) fn open_family(&mut self, zip: usize, branches: usize, parent: &Member) -> u64 {
        let id = self.fresh_id();
        let family = Family {
            zip,
            branches,
            position: parent.position.clone(),
            items: parent.items,
            lineage: parent.lineage.clone(),
            live: 0,
            is_expanding: true,
            arrived: BTreeMap::new(),
        };
        // While it lives, it is one of its parent's own family, or of its scope, or group.
        self.live.link(parent.lineage.as_ref());
        self.live.families.insert(id, family);
        id
    }

    pub(super) fn clone_arrives(&mut self, branch: usize, block: Block<V>) {
        let lineage = block.members.front().and_then(|member| member.lineage.clone());
        let Some(id) = lineage.and_then(|lineage| lineage.family) else { return };
        let Some(family) = self.live.families.get_mut(&id) else { return };
        self.nodes[family.zip].held.insert(block.position());
        family.arrived.insert(branch, block);
        self.check_family(id);
    }

    pub(super) fn family_is_expanded(&mut self, id: u64) {
        self.live.families.entry(id).and_modify(|family| family.is_expanding = false);
        self.check_family(id);
    }

    fn check_family(&mut self, id: u64) {
        let is_closed = |family: &Family<V>| family.live == family.arrived.len() && !family.is_expanding;
        if !self.live.families.get(&id).is_some_and(is_closed) {
            return;
        }
        let Some(family) = self.live.families.remove(&id) else { return };
        let lineage = family.lineage.clone();
        if family.arrived.len() == family.branches {
            self.pair(family);
        } else {
            for clone in family.arrived.into_values() {
                self.nodes[family.zip].held.remove(&clone.position());
                self.end_block(family.zip, clone, End::Unpaired);
            }
        }
        self.unlink(lineage.as_ref(), true);
    }

    /// All clones are here: they go on as the item that they were cloned from.
    fn pair(&mut self, family: Family<V>) {
        let Family { zip, position, items, lineage, arrived, branches, .. } = family;
        let mut clones: VecDeque<Block<V>> = arrived.into_values().collect();
        let mut pair = Member { position, lineage, items: 0, ..Member::default() };
        self.live.link(pair.lineage.as_ref());
        for clone in &mut clones {
            self.nodes[zip].held.remove(&clone.position());
            for member in std::mem::take(&mut clone.members) {
                pair.items += member.items;
                pair.bytes += member.bytes;
                self.nodes[zip].population -= 1;
                self.leave_group(zip, &member);
                if pair.count == 0 {
                    pair.count = member.count;
                    self.unlink(member.lineage.as_ref(), true);
                } else {
                    self.end_member(&member, End::Zipped);
                }
            }
        }
        // What was gathered in a branch is still held; what was only cloned is one item again.
        let surplus = items * (u32::try_from(branches).unwrap_or(1) - 1);
        pair.items -= surplus;
        let region = self.nodes[zip].region;
        self.regions[region].credit.release(u64::from(surplus), 0);
        self.nodes[zip].population += 1;
        self.enter_group(zip, &pair);
        if let Some(first) = clones.front_mut() {
            first.members.push_back(pair);
            self.nodes[zip].ready.insert(first.position(), clones);
        }
    }

    // What waits for others.

    /// A charged item comes to wait at a node.
    fn hold(&mut self, node: usize, member: &Member) {
        self.charge(node, member);
        let here = &mut self.nodes[node];
        here.population += 1;
        here.charge(member.bytes);
        here.held.insert(member.position.clone());
        self.enter_group(node, member);
    }

    /// It waits no more; its credit is another matter.
    fn let_go(&mut self, node: usize, member: &Member) {
        let here = &mut self.nodes[node];
        here.population -= 1;
        here.bytes -= member.bytes;
        here.held.remove(&member.position);
        self.leave_group(node, member);
    }

    pub(super) fn enter_group(&mut self, node: usize, member: &Member) {
        if let Some(group) = member.group() {
            *self.nodes[node].residents.entry(group).or_default() += 1;
        }
    }

    pub(super) fn leave_group(&mut self, node: usize, member: &Member) {
        if let Some(group) = member.group() {
            self.nodes[node].depart(group, 1);
        }
    }

    /// Whether a member of the group may still come to the node.
    pub(super) fn group_may_come(&self, node: usize, group: u64) -> bool {
        let is_expanding = self.live.groups.get(&group).is_some_and(|group| group.is_expanding);
        let is_resident = |before: &usize| self.nodes[*before].residents.contains_key(&group);
        is_expanding || self.nodes[node].upstream.iter().any(is_resident)
    }

    /// Ends all that waits for others at a node.
    pub(super) fn drop_held(&mut self, node: usize, end: End) {
        let scopes: Vec<u64> = keys(&self.live.scopes, |scope| scope.gather == node);
        for id in scopes {
            let Some(scope) = self.live.scopes.remove(&id) else { continue };
            for part in scope.parts.into_values() {
                if let Part::Arrived(part) = part {
                    self.end_block(node, part, end);
                }
            }
            self.end_block(node, scope.parent, end);
        }
        for gathered in std::mem::take(&mut self.nodes[node].parts).into_values() {
            self.gone.values.extend(gathered.parts.into_iter().flatten());
        }
        let families: Vec<u64> = keys(&self.live.families, |family| family.zip == node);
        for id in families {
            let Some(family) = self.live.families.remove(&id) else { continue };
            for clone in family.arrived.into_values() {
                self.end_block(node, clone, end);
            }
            self.unlink(family.lineage.as_ref(), end.is_good());
        }
        let groups: Vec<u64> = keys(&self.live.groups, |group| group.reduce == node);
        for id in groups {
            let Some(group) = self.live.groups.remove(&id) else { continue };
            self.let_go(node, &group.parent);
            self.release(self.nodes[node].region, &group.parent);
            self.end_member(&group.parent, end);
        }
        self.nodes[node].held.clear();
    }
}

fn keys<T>(map: &HashMap<u64, T>, wanted: impl Fn(&T) -> bool) -> Vec<u64> {
    let mut keys: Vec<u64> = map.iter().filter(|(_, value)| wanted(value)).map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys
}
