//! What closes when no more can come, and the stall step: what moves when nothing can.
//!
//! Where nothing runs and nothing could start, yet something waits for credit or acknowledgement, the oldest of all
//! that wait moves: a partial batch closes, or a waiter runs one quantum over budget. The oldest by its whole path;
//! choosing the most downstream instead costs far more memory. Taken by mistake the step costs memory, never order or
//! progress.

use super::node::{Birth, Kind, Want};
use super::position::Position;
use super::token::Load;
use super::{End, Machine};
use std::time::Instant;

/// Whether something happens at a node when its input ends.
pub(super) fn is_watched(kind: &Kind) -> bool {
    kind.batch_size().is_some() || matches!(kind, Kind::Fold { .. } | Kind::Joint { .. })
}

impl<V: Load> Machine<V> {
    /// To be called after every event, before anything is taken.
    pub(crate) fn settle(&mut self, now: Instant) {
        if self.is_stopping() {
            return;
        }
        self.look_at_rates(now);
        self.note_wants(now);
        for watcher in 0..self.watchers.len() {
            self.close_input(self.watchers[watcher], now);
        }
        for region in 0..self.regions.len() {
            while self.is_stalled(region) && self.resolve_stall(region) {}
        }
    }

    /// Lets those start again whose rate allows it by now.
    fn look_at_rates(&mut self, now: Instant) {
        for starts in self.nodes.iter_mut().filter_map(|node| node.starts.as_mut()) {
            starts.look(now);
        }
    }

    /// Enters who lacks what into the books.
    fn note_wants(&mut self, now: Instant) {
        for node in 0..self.nodes.len() {
            let here = &self.nodes[node];
            let has_credit = self.regions[here.region].credit.is_free(true);
            let want = match here.population {
                0 if here.running == 0 && !here.kind.is_source() => Some(Want::Input),
                _ if has_credit || here.running > 0 => None,
                _ => self.candidate(node).is_some_and(|candidate| candidate.is_gated).then_some(Want::Credit),
            };
            self.nodes[node].idle.note(want, now);
        }
    }

    /// Closes the partial batches whose time has come.
    pub(crate) fn close_due(&mut self, now: Instant) {
        for &node in &self.watchers {
            let here = &mut self.nodes[node];
            let Some(within) = here.kind.batch_size().and_then(|size| size.within) else { continue };
            let is_due = |since: Instant| since.checked_add(within).is_some_and(|deadline| deadline <= now);
            let due = here.buffers.iter().filter(|(_, buffer)| is_due(buffer.since)).map(|(group, _)| *group);
            for group in due.collect::<Vec<_>>() {
                here.close_batch(group);
            }
        }
    }

    /// Does what is due at a node whose input goes on in order, or has ended.
    fn close_input(&mut self, node: usize, now: Instant) {
        if matches!(self.nodes[node].kind, Kind::Batch { ordered: true, .. }) {
            self.fill_in_order(node, now);
        }
        match &self.nodes[node].kind {
            Kind::Fold { .. } => {
                let here = &self.nodes[node];
                let is_idle = here.running == 0 && here.population == 0 && here.closing.is_empty();
                if !here.is_done && is_idle && self.input_is_over(node) && self.gates_are_open(node) {
                    self.nodes[node].closing.insert(Position::of_end(node), 0);
                }
            }
            Kind::Joint { ports, pairs } => {
                let (ports, pairs) = (ports.clone(), *pairs);
                self.close_joint(node, &ports, pairs);
            }
            _ if self.nodes[node].buffers.is_empty() => {}
            _ if self.input_is_over(node) => self.close_batches(node, |_, _| true),
            _ => self.close_batches(node, |machine, group| {
                group.is_some_and(|group| !machine.group_may_come(node, group))
            }),
        }
    }

    /// Whether all that a node's sources come after is done. One may have ended before it was opened; whatever waits
    /// for this node waits for those as well.
    fn gates_are_open(&self, node: usize) -> bool {
        let gates = self.nodes[node].upstream.iter().filter_map(|&before| self.nodes[before].gate);
        gates.into_iter().all(|gate| self.nodes[gate].is_done)
    }

    fn close_batches(&mut self, node: usize, is_whole: impl Fn(&Self, Option<u64>) -> bool) {
        let groups: Vec<_> = self.nodes[node].buffers.keys().copied().collect();
        for group in groups {
            if is_whole(self, group) {
                self.nodes[node].close_batch(group);
            }
        }
    }

    /// A joint ends with the first flow that it takes from, if it pairs; else with the last. What the others have
    /// left is of no use then.
    fn close_joint(&mut self, node: usize, ports: &[usize], pairs: bool) {
        if self.nodes[node].birth != Birth::Idle {
            return;
        }
        let is_over = |port: &usize| self.nodes[*port].queue.is_empty() && self.input_is_over(*port);
        if !(if pairs { ports.iter().any(is_over) } else { ports.iter().all(is_over) }) {
            return;
        }
        self.close_source(node);
        for &port in ports {
            self.close_region(self.nodes[port].region);
        }
    }

    /// Ends a flow of which nobody takes anything any more, and those that it takes from.
    fn close_region(&mut self, region: usize) {
        self.regions[region].is_closed = true;
        self.regions[region].licence = None;
        for at in 0..self.regions[region].nodes.len() {
            let node = self.regions[region].nodes[at];
            if self.nodes[node].kind.is_source() {
                self.close_source(node);
            }
            self.nodes[node].is_done = true;
            self.drop_waiting(node, End::Unpaired);
            if let Kind::Joint { ports, .. } = self.nodes[node].kind.clone() {
                ports.into_iter().for_each(|port| self.close_region(self.nodes[port].region));
            }
        }
    }

    /// Whether nothing can come to a node any more.
    pub(super) fn input_is_over(&self, node: usize) -> bool {
        self.nodes[node].upstream.iter().all(|&before| {
            let before = &self.nodes[before];
            let is_spent = before.is_done || !matches!(before.kind, Kind::Fold { .. });
            before.birth == Birth::Closed && before.population == 0 && before.running == 0 && is_spent
        })
    }

    /// No quantum runs in a region, none could start, and none is licensed. What is offered to somebody outside is as
    /// good as motion, and so is what only waits for its rate.
    fn is_stalled(&self, region: usize) -> bool {
        let here = &self.regions[region];
        let letters = self.letters_running > 0 || !self.letters.is_empty();
        if here.in_motion > 0 || here.licence.is_some() || here.is_closed || letters {
            return false;
        }
        let moves = |node| self.can_start(node) || self.is_offered(node) || self.waits_for_rate(node);
        !here.nodes.iter().any(|&node| moves(node))
    }

    pub(super) fn waits_for_rate(&self, node: usize) -> bool {
        let here = &self.nodes[node];
        here.is_slowed() && here.has_slot() && !here.queue.is_empty()
    }

    /// Whether something waits for somebody outside to take it.
    pub(super) fn is_offered(&self, node: usize) -> bool {
        let here = &self.nodes[node];
        let Some(first) = here.queue.first() else { return false };
        match here.kind {
            Kind::Stream { ordered } => !ordered || self.is_next_in_order(node, first),
            Kind::Port => self.is_next_in_order(node, first),
            _ => false,
        }
    }

    /// Moves the oldest of the partial batches and credit waiters. True if what that did must be looked at again.
    fn resolve_stall(&mut self, region: usize) -> bool {
        let partial = self.oldest_partial(region);
        let Some(waiter) = self.oldest_waiter(region) else {
            // A partial batch that waits for its input or its time is no stall, unless it holds the source up.
            let Some((_, node, group)) = partial.filter(|_| self.is_held_up()) else { return false };
            self.close_stalled(node, group);
            return true;
        };
        if let Some((oldest, node, group)) = partial {
            let waiting = self.candidate(waiter).and_then(|candidate| candidate.position);
            if waiting.is_none_or(|waiting| oldest < *waiting) {
                self.close_stalled(node, group);
                return true;
            }
        }
        self.stalls += 1;
        self.regions[region].licence = Some(waiter);
        false
    }

    /// A stall step although there is no stall, for the simulation.
    #[cfg(test)]
    pub(super) fn stall_by_mistake(&mut self, region: usize) {
        let here = &self.regions[region];
        if here.licence.is_none() && !here.is_closed && !self.is_stopping() {
            self.resolve_stall(region);
        }
    }

    fn close_stalled(&mut self, node: usize, group: Option<u64>) {
        self.stalls += 1;
        self.nodes[node].close_batch(group);
    }

    fn oldest_partial(&self, region: usize) -> Option<(Position, usize, Option<u64>)> {
        let partials = self.regions[region].nodes.iter().filter_map(|&node| {
            let (position, group) = self.nodes[node].oldest_buffer()?;
            Some((position.clone(), node, group))
        });
        partials.min()
    }

    /// Whether a source waits for an acknowledgement, or is paused. It may feed this region through a joint.
    fn is_held_up(&self) -> bool {
        (0..self.nodes.len()).any(|node| {
            let here = &self.nodes[node];
            here.birth == Birth::Idle
                && match here.kind {
                    Kind::Source { window, .. } => {
                        self.is_paused
                            || window.is_some_and(|window| self.live.unacknowledged(node) >= window)
                    }
                    // What it takes from may have ended by now.
                    Kind::Joint { .. } => self.is_paused,
                    _ => false,
                }
        })
    }
}
