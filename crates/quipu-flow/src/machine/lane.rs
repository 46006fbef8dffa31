//! Queues by key or by group: within a lane one quantum at a time, lanes beside each other.

use super::position::Position;
use super::queue::Queue;
use super::token::{Block, Load};
use std::collections::{BTreeSet, HashMap};

pub(crate) struct Lanes<V> {
    lanes: HashMap<u64, Lane<V>>,
    /// The oldest of each lane, busy ones too.
    firsts: BTreeSet<(Position, u64)>,
    /// The oldest of each lane on which nobody works.
    idle: BTreeSet<(Position, u64)>,
}

struct Lane<V> {
    queue: Queue<V>,
    is_busy: bool,
}

impl<V> Default for Lanes<V> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), firsts: BTreeSet::new(), idle: BTreeSet::new() }
    }
}

impl<V: Load> Lanes<V> {
    /// Puts a single item into its lane.
    pub(crate) fn push(&mut self, lane: u64, block: Block<V>) {
        self.unlist(lane);
        let here = self.lanes.entry(lane).or_insert_with(|| Lane { queue: Queue::default(), is_busy: false });
        here.queue.push(block);
        self.list(lane);
    }

    /// The oldest item whose lane is idle.
    pub(crate) fn startable(&self) -> Option<&(Position, u64)> {
        self.idle.first()
    }

    pub(crate) fn oldest(&self) -> Option<&Position> {
        self.firsts.first().map(|(position, _)| position)
    }

    /// Takes up to `count` items of a lane, oldest first, none of them at or past `before`; the lane is busy then.
    pub(crate) fn take(&mut self, lane: u64, count: usize, before: Option<&Position>) -> Option<Block<V>> {
        self.unlist(lane);
        let here = self.lanes.get_mut(&lane)?;
        here.is_busy = true;
        let taken = here.queue.pop(count, before);
        self.list(lane);
        taken
    }

    /// The lane's quantum is over.
    pub(crate) fn release(&mut self, lane: u64) {
        self.unlist(lane);
        if let Some(here) = self.lanes.get_mut(&lane) {
            here.is_busy = false;
        }
        self.list(lane);
    }

    #[cfg(test)]
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block<V>> {
        self.lanes.values().flat_map(|lane| lane.queue.blocks())
    }

    pub(crate) fn drain(&mut self) -> Vec<Block<V>> {
        self.firsts.clear();
        self.idle.clear();
        let lanes = self.lanes.values_mut().map(|lane| std::mem::take(&mut lane.queue));
        lanes.flat_map(Queue::into_blocks).collect()
    }

    fn unlist(&mut self, lane: u64) {
        let Some(here) = self.lanes.get(&lane) else { return };
        if let Some(first) = here.queue.first() {
            let entry = (first.clone(), lane);
            self.firsts.remove(&entry);
            self.idle.remove(&entry);
        }
    }

    /// Lists the lane anew, or forgets it if nothing is there.
    fn list(&mut self, lane: u64) {
        let Some(here) = self.lanes.get(&lane) else { return };
        match here.queue.first() {
            Some(first) => {
                let entry = (first.clone(), lane);
                if !here.is_busy {
                    self.idle.insert(entry.clone());
                }
                self.firsts.insert(entry);
            }
            None if !here.is_busy => drop(self.lanes.remove(&lane)),
            None => {}
        }
    }
}
