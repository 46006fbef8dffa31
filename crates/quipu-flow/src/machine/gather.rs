//! Partial batches: how they fill, and when they close.

use super::node::{Node, NodeKind};
use super::position::Position;
use super::token::Token;
use std::time::Instant;

impl<V> Node<V> {
    /// Puts a token into the partial batch. A batch's size is a maximum: a token that would pass it closes the batch
    /// before it comes in, and one that is larger by itself travels alone. True if the batch is a new one.
    pub(crate) fn absorb(&mut self, token: Token<V>, now: Instant) -> bool {
        let NodeKind::Gather { size_max, .. } = self.kind else { return false };
        if self.buffer_size.saturating_add(token.measure) > size_max {
            self.close_batch();
        }
        let is_new = self.buffer.is_empty();
        if is_new {
            self.buffer_since = Some(now);
        }
        self.buffer_size += token.measure;
        self.buffer.insert(token.trace.position(), token);
        if self.buffer_size >= size_max {
            self.close_batch();
        }
        is_new
    }

    /// Declares the partial batch whole, if there is one.
    pub(crate) fn close_batch(&mut self) {
        let members = std::mem::take(&mut self.buffer);
        self.buffer_size = 0;
        self.buffer_since = None;
        if let Some(oldest) = members.keys().next().cloned() {
            self.ready.insert(oldest, members.into_values().collect());
        }
    }

    /// When the partial batch closes by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match (&self.kind, self.buffer_since) {
            (NodeKind::Gather { within: Some(within), .. }, Some(since)) => since.checked_add(*within),
            _ => None,
        }
    }

    /// Takes the oldest whole batch.
    pub(crate) fn take_batch(&mut self) -> Vec<Token<V>> {
        self.ready.pop_first().map(|(_, batch)| batch).unwrap_or_default()
    }

    /// Takes the oldest member of the whole batches alone; the others stay. A batch that grows over budget grows by one
    /// item at a time, or young members, grown, would pile up behind the order.
    pub(crate) fn take_oldest_alone(&mut self) -> Vec<Token<V>> {
        let mut batch = self.take_batch();
        let others = if batch.len() > 1 { batch.split_off(1) } else { Vec::new() };
        if let Some(oldest) = others.first().map(|token| token.trace.position()) {
            self.ready.insert(oldest, others);
        }
        batch
    }

    /// The oldest member of the partial batch.
    pub(crate) fn oldest_buffered(&self) -> Option<&Position> {
        self.buffer.keys().next()
    }
}
