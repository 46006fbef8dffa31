//! What moves through the nodes: members, in blocks; and what they carry besides their value.
//!
//! A *member* is one item's charge and place. Members that stand one behind the other travel as a *block*, so that a
//! quantum of many small items costs the machine one step, not one each. A block is taken apart wherever order, credit
//! or a batch asks for it. Values mean nothing to the machine: it can count them and cut a block of them in two.

use super::position::Position;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The values of a block, or the state of a parked expander.
pub(crate) trait Load: Sized {
    /// Takes the first `count` values off.
    fn split_front(&mut self, count: usize) -> Self;
    /// Puts younger values behind these.
    fn append(&mut self, younger: Self);
}

/// One item, or several gathered into one, without its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) position: Position,
    /// What it is charged with.
    pub(crate) bytes: u64,
    /// What the node before which it stands wants to know of it: its size in a batch, the bytes to reserve, its key.
    pub(crate) ask: u64,
    /// The credit in items that it holds.
    pub(crate) items: u32,
    /// How many items end when it ends: what was batched ends by itself, what was gathered has ended already.
    pub(crate) count: u32,
    /// What only some items have.
    pub(crate) lineage: Option<Arc<Lineage>>,
}

/// What an item has from where it comes; its children inherit it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage {
    /// Its name in error reports.
    pub(crate) key: Option<Arc<str>>,
    /// The source items that are acknowledged only when this one has ended.
    pub(crate) births: Vec<BirthId>,
    /// The group that it belongs to.
    pub(crate) group: Option<u64>,
    /// The clones among which a zip will look for its partners.
    pub(crate) family: Option<u64>,
    /// The scatter whose part it is.
    pub(crate) scope: Option<u64>,
    /// Whom a batch carries, oldest first.
    pub(crate) passengers: Vec<(Position, Option<Arc<str>>)>,
}

/// A source's item number so-and-so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BirthId {
    pub(crate) source: usize,
    pub(crate) number: u64,
}

/// Members that stand at one node, oldest first, and their values.
pub(crate) struct Block<V> {
    pub(crate) values: V,
    pub(crate) members: VecDeque<Member>,
    /// Since when they wait where they are.
    pub(crate) since: Instant,
    /// How often an io has failed with them.
    pub(crate) attempts: u32,
}

/// What the members of a block hold together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) members: usize,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    /// Whether any of them has more than a place and a weight.
    pub(crate) has_lineage: bool,
}

/// An item that is being made into several: it waits for credit for the next.
pub(crate) struct Parked<V> {
    pub(crate) value: V,
    pub(crate) member: Member,
    /// The number of its next child.
    pub(crate) next: u64,
    /// What its children inherit.
    pub(crate) child: Option<Arc<Lineage>>,
    /// Whether the item itself waits elsewhere, for its parts or its group.
    pub(crate) is_ghost: bool,
    pub(crate) since: Instant,
}

impl Member {
    /// An item as it is made: where it stands is said when it is born.
    pub(crate) fn new(bytes: u64, ask: u64) -> Self {
        Self { position: Position::default(), bytes, ask, items: 1, count: 1, lineage: None }
    }

    /// One that holds all that `members` hold, and stands where the oldest stands.
    pub(crate) fn batch(members: &VecDeque<Self>) -> Self {
        let mut batch = members.front().cloned().unwrap_or_default();
        batch.bytes = members.iter().map(|member| member.bytes).sum();
        batch.items = members.iter().map(|member| member.items).sum();
        batch.count = members.iter().map(|member| member.count).sum();
        let mut lineage = batch.lineage.as_deref().cloned().unwrap_or_default();
        lineage.births = members.iter().flat_map(Self::births).copied().collect();
        // Children of one item have its birth each. Named once is enough, and what is taken apart and batched again
        // would name it ever more often.
        lineage.births.sort_unstable();
        lineage.births.dedup();
        lineage.passengers = members.iter().flat_map(Self::passengers).collect();
        batch.lineage = Some(Arc::new(lineage));
        batch
    }

    /// What a new item made of several others has of them.
    pub(crate) fn joined<'a>(members: impl Iterator<Item = &'a Self> + Clone) -> Option<Arc<Lineage>> {
        let births: Vec<BirthId> = members.clone().flat_map(Self::births).copied().collect();
        let key = members.clone().find_map(|member| member.key().cloned());
        let is_plain = births.is_empty() && key.is_none();
        (!is_plain).then(|| Arc::new(Lineage { key, births, ..Lineage::default() }))
    }

    pub(crate) fn births(&self) -> &[BirthId] {
        self.lineage.as_ref().map_or(&[], |lineage| &lineage.births)
    }

    /// Whom it carries; itself, if it is no batch.
    fn passengers(&self) -> Vec<(Position, Option<Arc<str>>)> {
        match &self.lineage {
            Some(lineage) if !lineage.passengers.is_empty() => lineage.passengers.clone(),
            _ => vec![(self.position.clone(), self.key().cloned())],
        }
    }

    pub(crate) fn key(&self) -> Option<&Arc<str>> {
        self.lineage.as_ref()?.key.as_ref()
    }

    /// Gives it another name.
    pub(crate) fn rename(&mut self, key: Arc<str>) {
        let lineage = self.lineage.get_or_insert_default();
        Arc::make_mut(lineage).key = Some(key);
    }

    pub(crate) fn group(&self) -> Option<u64> {
        self.lineage.as_ref()?.group
    }
}

impl<V: Load> Block<V> {
    pub(crate) fn new(values: V, members: VecDeque<Member>, since: Instant) -> Self {
        Self { values, members, since, attempts: 0 }
    }

    /// The oldest member's position.
    pub(crate) fn position(&self) -> Position {
        self.members.front().map(|member| member.position.clone()).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.bytes).sum()
    }

    pub(crate) fn items(&self) -> u64 {
        self.members.iter().map(|member| u64::from(member.items)).sum()
    }

    /// What its members hold together, looked at once.
    pub(crate) fn sum(&self) -> Sum {
        let mut sum = Sum { members: self.members.len(), ..Sum::default() };
        for member in &self.members {
            sum.items += u64::from(member.items);
            sum.bytes += member.bytes;
            sum.has_lineage |= member.lineage.is_some();
        }
        sum
    }

    /// Takes the `count` oldest off; at least one stays.
    pub(crate) fn split_front(&mut self, count: usize) -> Self {
        let values = self.values.split_front(count);
        let behind = self.members.split_off(count);
        let members = std::mem::replace(&mut self.members, behind);
        Self { values, members, since: self.since, attempts: self.attempts }
    }

    /// Takes the oldest off, alone; `None` behind it if it was the last.
    pub(crate) fn split_first(mut self) -> (Self, Option<Self>) {
        if self.members.len() <= 1 {
            return (self, None);
        }
        let first = self.split_front(1);
        (first, Some(self))
    }

    /// Puts a younger block behind this one.
    pub(crate) fn append(&mut self, younger: Self) {
        self.values.append(younger.values);
        self.members.extend(younger.members);
        self.since = self.since.min(younger.since);
    }
}

impl<V> Parked<V> {
    /// An item that begins to be made into several.
    pub(crate) fn new(value: V, member: Member, since: Instant) -> Self {
        Self { value, member, next: 0, child: None, is_ghost: false, since }
    }

    /// A parked expander stands where its next child will.
    pub(crate) fn position(&self) -> Position {
        self.member.position.child(self.next)
    }
}
