//! The stall step: what moves when nothing can.
//!
//! Where nothing runs and nothing could start, yet something waits for credit, the oldest of all that wait moves: a
//! partial batch closes, a waiter may run one quantum over budget. The oldest by its whole path; choosing the most
//! downstream instead costs far more memory. Taken by mistake the step costs memory, never order or progress.

use super::{Licence, Machine, Source};

impl<V> Machine<V> {
    /// To be called after every event, before anything is taken: closes batches at the end of input, and resolves a
    /// stall.
    pub(crate) fn settle(&mut self) {
        if self.is_stopping() {
            return;
        }
        self.close_last_batches();
        while self.is_stalled() {
            if !self.resolve_stall() {
                return;
            }
        }
    }

    /// A partial batch that nothing can join any more is whole.
    fn close_last_batches(&mut self) {
        if self.source != Source::Closed {
            return;
        }
        for node in &mut self.nodes {
            if !node.buffer.is_empty() && node.population == node.buffer.len() {
                node.close_batch();
            }
            if node.population > 0 {
                return;
            }
        }
    }

    /// No quantum runs, none could start, and none is licensed. A source that waits for the world is no motion.
    fn is_stalled(&self) -> bool {
        let in_motion = self.nodes[1..].iter().any(|node| node.running > 0)
            || self.nodes[0].running > 0 && self.nodes[0].kind.computes()
            || self.letters_running > 0
            || !self.letters.is_empty()
            || self.licence.is_some();
        !in_motion && self.startable(true).is_none() && self.startable(false).is_none()
    }

    /// Moves the oldest of the partial batches and credit waiters. False if nothing waits for credit: then a partial
    /// batch waits for its input or its time, which is no stall.
    fn resolve_stall(&mut self) -> bool {
        let Some(waiter) = self.oldest_waiter() else { return false };
        self.stalls += 1;
        let partial = (1..self.nodes.len())
            .filter(|&node| self.nodes[node].oldest_buffered().is_some())
            .min_by_key(|&node| self.nodes[node].oldest_buffered());
        if let Some(partial) = partial {
            let buffered = self.nodes[partial].oldest_buffered();
            if waiter == 0 || buffered < self.nodes[waiter].oldest_waiting() {
                self.nodes[partial].close_batch();
                return true;
            }
        }
        self.licence = Some(Licence { node: waiter });
        false
    }
}
