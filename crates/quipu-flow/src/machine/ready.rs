//! The page to read first: what could start at a node, who may draw credit for it, and which goes first.

use super::Machine;
use super::node::{Birth, Kind, Node, Side};
use super::position::Position;
use super::token::Load;

/// The best of what could start at a node, if it had the credit and the core.
pub(crate) struct Candidate<'a> {
    /// Where it stands; what is not born yet stands nowhere, and is youngest.
    pub(crate) position: Option<&'a Position>,
    /// Whether it needs credit.
    pub(crate) is_gated: bool,
}

/// The order in which a free core looks at the nodes: first what works one call at a time, for it unlocks others, then
/// the most downstream, which is depth first, then the sources.
pub(crate) fn ranks<V: Load>(nodes: &[Node<V>]) -> Vec<usize> {
    let class = |node: &Node<V>| match node.kind {
        Kind::Source { .. } | Kind::Joint { .. } => 2,
        Kind::Serial { .. } | Kind::Keyed { .. } | Kind::Fold { .. } | Kind::Reduce { .. } => 0,
        _ => 1,
    };
    let mut ranks: Vec<usize> = (0..nodes.len()).collect();
    ranks.sort_by_key(|&node| {
        let here = &nodes[node];
        let urgency = if here.priority > 1 { 0 } else { class(here) };
        (urgency, std::cmp::Reverse(here.priority), std::cmp::Reverse(here.upstream.len()))
    });
    ranks
}

impl<V: Load> Machine<V> {
    /// What could start at a node now.
    pub(crate) fn candidate(&self, node: usize) -> Option<Candidate<'_>> {
        let here = &self.nodes[node];
        if !here.has_slot() || here.gate.is_some_and(|gate| !self.nodes[gate].is_done) {
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
            Kind::Device { grows, .. } if free(ready) => {
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
        let has_room = window.is_none_or(|window| self.live.unacknowledged(node) < window);
        here.birth == Birth::Idle && !self.is_paused && has_room && (here.has_arrival || !external)
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
        let here = &self.nodes[node];
        match here.oldest() {
            Some(oldest) => oldest < position,
            None => {
                let is_open_fold = matches!(here.kind, Kind::Fold { .. }) && !here.is_done;
                is_open_fold && position.is_of_end() && Position::of_end(node) < *position
            }
        }
    }

    /// The oldest position at which something may still come to the node.
    pub(super) fn floor(&self, node: usize) -> Option<&Position> {
        self.nodes[node].upstream.iter().filter_map(|&before| self.nodes[before].oldest()).min()
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
            None if !region.credit.is_free() => false,
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
            candidate.is_gated.then_some((order, node))
        };
        self.regions[region].nodes.iter().filter_map(waiting).min().map(|(_, node)| node)
    }

    pub(super) fn can_start(&self, node: usize) -> bool {
        self.candidate(node).is_some_and(|candidate| !candidate.is_gated || self.may_draw_credit(node))
    }

    /// The best node for this side.
    pub(super) fn startable(&self, side: Side) -> Option<usize> {
        let fits = |node: &usize| self.nodes[*node].kind.side(*node) == Some(side) && self.can_start(*node);
        self.ranks.iter().copied().find(fits)
    }

    /// Whether a free core would find work.
    pub(crate) fn has_work(&self, side: Side) -> bool {
        !self.is_stopping() && self.startable(side).is_some()
    }
}
