//! What runs next. Most-downstream first, which is depth first: a worker goes on with what it has just made before it
//! begins anything new. Within a node the oldest goes first.

use super::node::NodeKind;
use super::token::Token;
use super::{DEAD_LETTERS_AT_ONCE, Letter, Machine, Source};
use std::time::Instant;

/// One piece of work for `run`. Each is answered by exactly one call of `finish`.
pub(crate) enum Quantum<V> {
    /// Get the source's next item.
    Birth,
    /// Work on a token.
    Token { node: usize, token: Token<V> },
    /// Work on a whole batch.
    Batch { node: usize, batch: Vec<Token<V>> },
    /// Hand a failed item to its dead-letter sink.
    Letter(Letter),
}

impl<V> Machine<V> {
    /// The best quantum for a pool worker.
    pub(crate) fn take_cpu(&mut self, now: Instant) -> Option<Quantum<V>> {
        let node = self.startable(true)?;
        Some(self.take(node, now))
    }

    /// The best quantum that only waits: an io, the sink, a source outside, a dead letter.
    pub(crate) fn take_waiting(&mut self, now: Instant) -> Option<Quantum<V>> {
        if self.letters_running < DEAD_LETTERS_AT_ONCE
            && let Some((_, letter)) = self.letters.pop_first()
        {
            self.letters_running += 1;
            return Some(Quantum::Letter(letter));
        }
        let node = self.startable(false)?;
        Some(self.take(node, now))
    }

    /// Whether a pool worker would find work.
    pub(crate) fn has_cpu(&self) -> bool {
        self.startable(true).is_some()
    }

    /// The most-downstream node that could start something now.
    pub(super) fn startable(&self, computes: bool) -> Option<usize> {
        (0..self.nodes.len())
            .rev()
            .find(|&node| self.nodes[node].kind.computes() == computes && self.can_start(node))
    }

    fn can_start(&self, node: usize) -> bool {
        let here = &self.nodes[node];
        if !self.is_waiting(node) {
            return false;
        }
        if let NodeKind::Sink { ordered: true } = here.kind {
            return self.is_next_in_order(node);
        }
        !here.kind.is_gated() || self.may_draw_credit(node)
    }

    /// Whether something waits here and has its slot.
    pub(super) fn is_waiting(&self, node: usize) -> bool {
        let here = &self.nodes[node];
        match here.kind {
            NodeKind::Source { .. } => self.source == Source::Idle,
            _ => here.has_slot() && here.oldest_waiting().is_some(),
        }
    }

    fn may_draw_credit(&self, node: usize) -> bool {
        if let Some(licence) = &self.licence {
            return licence.node == node;
        }
        if !self.credit.is_free() {
            return false;
        }
        !self.ordered || !self.credit.is_scarce() || self.oldest_waiter() == Some(node)
    }

    /// The node where the oldest of those waits that need credit. The unborn are youngest.
    pub(super) fn oldest_waiter(&self) -> Option<usize> {
        let waiters =
            (1..self.nodes.len()).filter(|&node| self.nodes[node].kind.is_gated() && self.is_waiting(node));
        let oldest = waiters.min_by_key(|&node| self.nodes[node].oldest_waiting());
        oldest.or_else(|| self.is_waiting(0).then_some(0))
    }

    /// Whether nothing older than the sink's oldest is still on its way to it.
    fn is_next_in_order(&self, sink: usize) -> bool {
        let on_the_way = self.nodes[..sink].iter().filter_map(|node| node.oldest()).min();
        let first = self.nodes[sink].oldest_waiting();
        on_the_way.is_none_or(|older| first < Some(older))
    }

    fn take(&mut self, node: usize, now: Instant) -> Quantum<V> {
        let is_licensed = self.nodes[node].kind.is_gated() && self.licence.take().is_some();
        self.nodes[node].running += 1;
        match self.nodes[node].kind {
            NodeKind::Source { external } => {
                self.source = Source::Busy { last: false };
                if !external {
                    self.credit.charge(1, 0);
                }
                Quantum::Birth
            }
            NodeKind::Gather { grows, .. } => {
                let here = &mut self.nodes[node];
                let batch = if is_licensed && grows { here.take_oldest_alone() } else { here.take_batch() };
                for token in &batch {
                    self.begin(node, token, now);
                }
                Quantum::Batch { node, batch }
            }
            NodeKind::Expand => {
                self.credit.charge(1, 0);
                self.take_token(node, now)
            }
            NodeKind::Cpu { .. } | NodeKind::Io { .. } | NodeKind::Sink { .. } => self.take_token(node, now),
        }
    }

    fn take_token(&mut self, node: usize, now: Instant) -> Quantum<V> {
        let Some((_, mut token)) = self.nodes[node].queue.pop_first() else {
            unreachable!("a node is taken from only where something waits");
        };
        self.begin(node, &token, now);
        if token.reserve > token.trace.bytes {
            self.recharge(node, &mut token.trace, token.reserve);
        }
        Quantum::Token { node, token }
    }

    fn begin(&mut self, node: usize, token: &Token<V>, now: Instant) {
        let here = &mut self.nodes[node];
        here.working += 1;
        here.waited += now.saturating_duration_since(token.since);
        if self.ordered {
            here.open.insert(token.trace.position());
        }
    }
}
