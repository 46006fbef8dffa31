//! Blocks that wait, oldest first. They never overlap: where a younger block stands between the members of an older
//! one, that is cut in two. So whoever takes from the front takes in order.

use super::position::Position;
use super::token::{Block, Load};
use std::collections::BTreeMap;
use std::time::Instant;

pub(crate) struct Queue<V>(BTreeMap<Position, Block<V>>);

impl<V> Default for Queue<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: Load> Queue<V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the oldest member stands.
    pub(crate) fn first(&self) -> Option<&Position> {
        self.0.keys().next()
    }

    /// Since when the oldest waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.values().next().map(|block| block.since)
    }

    #[cfg(test)]
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block<V>> {
        self.0.values()
    }

    pub(crate) fn into_blocks(self) -> impl Iterator<Item = Block<V>> {
        self.0.into_values()
    }

    pub(crate) fn push(&mut self, block: Block<V>) {
        let mut rest = Some(block);
        while let Some(mut block) = rest.take() {
            let first = block.position();
            self.cut(&first);
            let next = self.0.range(&first..).next().map(|(next, _)| next);
            if let Some(next) = next
                && block.members.back().is_some_and(|last| last.position > *next)
            {
                let fits = block.members.iter().take_while(|member| member.position < *next).count();
                let older = block.split_front(fits);
                rest = Some(std::mem::replace(&mut block, older));
            }
            let before = self.0.insert(first, block);
            debug_assert!(before.is_none(), "two blocks at one position");
        }
    }

    /// Cuts the block in whose midst `position` is.
    fn cut(&mut self, position: &Position) {
        let Some((_, older)) = self.0.range_mut(..position).next_back() else { return };
        if older.members.back().is_none_or(|last| last.position < *position) {
            return;
        }
        let stay = older.members.iter().take_while(|member| member.position < *position).count();
        let head = older.split_front(stay);
        let tail = std::mem::replace(older, head);
        self.0.insert(tail.position(), tail);
    }

    /// Takes up to `count` of the oldest as one block, all but the first of them older than `before`.
    pub(crate) fn pop(&mut self, count: usize, before: Option<&Position>) -> Option<Block<V>> {
        let is_next = |position: &Position| before.is_none_or(|before| position < before);
        let (_, mut block) = self.0.pop_first()?;
        while block.members.len() < count
            && let Some(next) = self.0.first_entry()
            && is_next(next.key())
        {
            block.append(next.remove());
        }
        let mut fits = block.members.len().min(count.max(1));
        if before.is_some() {
            fits =
                block.members.iter().take(fits).take_while(|member| is_next(&member.position)).count().max(1);
        }
        if fits < block.members.len() {
            let taken = block.split_front(fits);
            self.0.insert(block.position(), block);
            return Some(taken);
        }
        Some(block)
    }
}
