//! The page to read first: what could start at a node, who may draw credit for it, and which goes first.

use super::Machine;
use super::node::{Birth, Kind, Node, Side};
use super::position::Position;
use super::token::Load;
use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// What has waited for longer goes before everything else, the longest first: nothing starves.
const AGE_MAX: Duration = Duration::from_millis(100);

/// The best of what could start at a node, if it had the credit and the core.
pub(crate) struct Candidate<'a> {
    /// Where it stands; what is not born yet stands nowhere, and is youngest.
    pub(crate) position: Option<&'a Position>,
    /// Whether it needs credit.
    pub(crate) is_gated: bool,
}

/// How much a node's next quantum is worth to a free core; the greatest goes first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Worth {
    /// For how long it has waited, if that is too long.
    age: Duration,
    /// What the user says.
    priority: u32,
    /// Serial work unlocks others; then what feeds an io or a device that has nothing to do; sources are last.
    class: u8,
    /// Bytes that it takes off the account in a nanosecond of work. What was not measured yet comes before what was.
    rate: f32,
    /// The most downstream, where nothing else decides: that is depth first.
    depth: usize,
}

impl Worth {
    fn compare(&self, other: &Self) -> Ordering {
        let by_class = self
            .age
            .cmp(&other.age)
            .then(self.priority.cmp(&other.priority))
            .then(self.class.cmp(&other.class));
        by_class.then(self.rate.total_cmp(&other.rate)).then(self.depth.cmp(&other.depth))
    }
}

impl<V: Load> Machine<V> {
    /// What could start at a node now.
    pub(crate) fn candidate(&self, node: usize) -> Option<Candidate<'_>> {
        let here = &self.nodes[node];
        if !here.has_slot() || here.is_slowed() || here.gate.is_some_and(|gate| !self.nodes[gate].is_done) {
            return None;
        }
        let queued = here.queue.first();
        let ready = here.ready.keys().next();
        let parked = here.parked.keys().next();
        let free = |position: Option<&'_ Position>| position.is_some();
        let at = |position, is_gated| Some(Candidate { position, is_gated });
        match &here.kind {
            Kind::Source { .. } => {
                self.may_be_born(node).then_some(Candidate { position: None, is_gated: true })
            }
            Kind::Joint { ports, pairs } => {
                let may = here.birth == Birth::Idle && !self.is_paused && self.offers(ports, *pairs);
                may.then_some(Candidate { position: None, is_gated: true })
            }
            Kind::Cpu { grows } | Kind::Io { grows, .. } if free(queued) => at(queued, *grows),
            Kind::Sink { .. } if free(queued) => at(queued, false),
            Kind::Expand | Kind::Group { .. } | Kind::Scatter { .. } | Kind::Fork { .. } => {
                let oldest = queued.into_iter().chain(parked).min();
                oldest.and_then(|oldest| at(Some(oldest), true))
            }
            Kind::Batch { .. } | Kind::Zip { .. } if free(ready) => at(ready, false),
            Kind::MapBatch { grows, .. } | Kind::Gather { grows, .. } if free(ready) => at(ready, *grows),
            Kind::Device { size, grows }
                if free(ready) || (size.within.is_none() && !here.buffers.is_empty()) =>
            {
                // A queue before a gated resource waits with the age of its oldest member.
                let buffered = here.oldest_buffer().map(|(position, _)| position);
                at(ready.into_iter().chain(buffered).min(), *grows)
            }
            Kind::Serial { ordered, grows, .. } => {
                let first = queued?;
                (!ordered || self.is_next_in_order(node, first)).then_some(())?;
                at(Some(first), *grows)
            }
            Kind::Keyed { grows } => {
                let (first, _) = here.lanes.startable()?;
                self.is_next_in_order(node, first).then_some(())?;
                at(Some(first), *grows)
            }
            Kind::Fold { ordered } => match queued {
                Some(first) => {
                    (!ordered || self.is_next_in_order(node, first)).then_some(())?;
                    at(Some(first), false)
                }
                None if !here.is_done && !here.closing.is_empty() => at(here.closing.keys().next(), false),
                None => parked.and_then(|parked| at(Some(parked), true)),
            },
            Kind::Reduce { ordered } => self.reducible(node, *ordered),
            _ => None,
        }
    }

    fn may_be_born(&self, node: usize) -> bool {
        let here = &self.nodes[node];
        let Kind::Source { external, window } = here.kind else { return false };
        let has_room = window.is_none_or(|window| self.window_left(node, window) > 0);
        here.birth == Birth::Idle && !self.is_paused && has_room && (here.has_arrival || !external)
    }

    /// How many more of a source's items may be unacknowledged.
    pub(super) fn window_left(&self, node: usize, window: usize) -> usize {
        window.saturating_sub(self.live.unacknowledged(node))
    }

    /// A group's items first, in any order or in theirs; then what closes; outputs wait for credit.
    fn reducible(&self, node: usize, ordered: bool) -> Option<Candidate<'_>> {
        let here = &self.nodes[node];
        if let Some((first, _)) = here.lanes.startable()
            && (!ordered || self.is_next_in_order(node, first))
        {
            return Some(Candidate { position: Some(first), is_gated: false });
        }
        let closing =
            here.closing.keys().next().map(|first| Candidate { position: Some(first), is_gated: false });
        let parked =
            here.parked.keys().next().map(|first| Candidate { position: Some(first), is_gated: true });
        closing.or(parked)
    }

    /// Whether nothing older can still come to the node.
    pub(super) fn is_next_in_order(&self, node: usize, first: &Position) -> bool {
        self.nodes[node].upstream.iter().all(|&before| !self.holds_up(before, first))
    }

    /// Whether a node may still send something older than `position`.
    fn holds_up(&self, node: usize, position: &Position) -> bool {
        let is_older = self.nodes[node].oldest().is_some_and(|oldest| oldest < position);
        is_older || (position.is_of_end() && self.end_floor(node).is_some_and(|end| end < *position))
    }

    /// The oldest position at which something may still come to the node.
    pub(super) fn floor(&self, node: usize) -> Option<Position> {
        let upstream = &self.nodes[node].upstream;
        let oldest = upstream.iter().filter_map(|&before| self.nodes[before].oldest()).min();
        let end = upstream.iter().filter_map(|&before| self.end_floor(before)).min();
        oldest.cloned().into_iter().chain(end).min()
    }

    /// Where what a node may still make stands among what folds give out: a source's births before all of that, what a
    /// fold has yet to give out before what a later one does.
    fn end_floor(&self, node: usize) -> Option<Position> {
        let here = &self.nodes[node];
        if here.birth != Birth::Closed {
            return Some(Position::end_of_births());
        }
        let is_open_fold = matches!(here.kind, Kind::Fold { .. }) && !here.is_done;
        is_open_fold.then(|| Position::of_end(node))
    }

    /// Whether the ports have what the next birth of a joint takes.
    pub(super) fn offers(&self, ports: &[usize], pairs: bool) -> bool {
        let has_offer = |&port: &usize| {
            let first = self.nodes[port].queue.first();
            first.is_some_and(|first| self.is_next_in_order(port, first))
        };
        if pairs {
            ports.iter().all(has_offer)
        } else {
            self.current_port(ports).is_some_and(|port| has_offer(&port))
        }
    }

    /// Of flows one after the other, the one that is not at its end.
    pub(super) fn current_port(&self, ports: &[usize]) -> Option<usize> {
        ports.iter().copied().find(|&port| !self.nodes[port].queue.is_empty() || !self.input_is_over(port))
    }

    /// Whether a node's candidate may start as far as credit goes.
    fn may_draw_credit(&self, node: usize) -> bool {
        let region = &self.regions[self.nodes[node].region];
        match region.licence {
            Some(licensed) => licensed == node,
            None if !region.credit.is_free(self.nodes[node].kind.makes_items()) => false,
            None if region.expands
                && self.nodes[node].kind.is_source()
                && !region.credit.has_room_for_births() =>
            {
                false
            }
            None if region.oldest_first && region.credit.is_scarce() => {
                self.oldest_waiter(self.nodes[node].region) == Some(node)
            }
            None => true,
        }
    }

    /// The node where the oldest of those waits that need credit. The unborn are youngest.
    pub(super) fn oldest_waiter(&self, region: usize) -> Option<usize> {
        let waiting = |&node: &usize| {
            let candidate = self.candidate(node)?;
            let order = (candidate.position.is_none(), candidate.position);
            let is_waiter = candidate.is_gated && !self.waits_for_births(node, candidate.position);
            is_waiter.then_some((order, node))
        };
        self.regions[region].nodes.iter().filter_map(waiting).min().map(|(_, node)| node)
    }

    /// Whether somebody behind a node, who keeps order, will let what a fold gives out pass only when a source that is
    /// idle, or paused, has had its end. Credit that is free it may have; over budget it would only pile up.
    pub(super) fn waits_for_births(&self, node: usize, position: Option<&Position>) -> bool {
        let is_open = |&before: &usize| self.nodes[before].birth != Birth::Closed;
        let holds_it_up = |next: &Node<V>| {
            next.kind.keeps_order() && next.upstream.contains(&node) && next.upstream.iter().any(is_open)
        };
        position.is_some_and(Position::is_of_end) && self.nodes.iter().any(holds_it_up)
    }

    pub(super) fn can_start(&self, node: usize) -> bool {
        self.candidate(node).is_some_and(|candidate| !candidate.is_gated || self.may_draw_credit(node))
    }

    /// The best node for this side.
    pub(super) fn startable(&self, side: Side, now: Instant) -> Option<usize> {
        let mut best: Option<(Worth, usize)> = None;
        for (node, here) in self.nodes.iter().enumerate() {
            if here.kind.side(node) != Some(side) || !self.can_start(node) {
                continue;
            }
            let worth = self.worth(node, now);
            if best.is_none_or(|(other, _)| worth.compare(&other).is_gt()) {
                best = Some((worth, node));
            }
        }
        best.map(|(_, node)| node)
    }

    fn worth(&self, node: usize, now: Instant) -> Worth {
        let here = &self.nodes[node];
        let waited = here.since().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let class = match here.kind {
            Kind::Source { .. } | Kind::Joint { .. } => 0,
            Kind::Serial { .. } | Kind::Keyed { .. } | Kind::Fold { .. } | Kind::Reduce { .. } => 3,
            _ => 1 + u8::from(self.feeds_the_hungry(node)),
        };
        let is_measured = here.pace.item_ns > 0.0;
        Worth {
            age: if waited > AGE_MAX { waited } else { Duration::ZERO },
            priority: here.priority,
            class,
            rate: if is_measured { here.pace.freed_per_ns } else { f32::MAX },
            depth: here.upstream.len(),
        }
    }

    /// Whether an io or a device behind the node has nothing to do.
    fn feeds_the_hungry(&self, node: usize) -> bool {
        self.nodes[node].outs.iter().any(|&(next, _)| {
            let next = &self.nodes[next];
            let waits = matches!(next.kind, Kind::Io { .. } | Kind::Device { .. } | Kind::Sink { .. });
            waits && next.has_slot() && next.queue.is_empty() && next.ready.is_empty()
        })
    }

    /// Whether this side would find work.
    pub(crate) fn has_work(&self, side: Side) -> bool {
        let may = |node: usize| self.nodes[node].kind.side(node) == Some(side) && self.can_start(node);
        !self.is_stopping() && (0..self.nodes.len()).any(may)
    }
}
