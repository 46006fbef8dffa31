//! The books against what is really there, and a picture of it for people.

use super::play::Fake;
use crate::machine::live::Part;
use crate::machine::{Block, Kind, Letter, Machine, Member, Position, Quantum, Task};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a stall step may move.
pub(super) struct Stallable {
    partial: Vec<(Position, usize, Option<u64>)>,
    waiters: Vec<Option<Position>>,
}

impl Machine<Fake> {
    /// Whoever is at a node and charged there, running quanta apart.
    pub(super) fn residents(&self, node: usize) -> Vec<&Member> {
        let here = &self.nodes[node];
        let buffers = here.buffers.values().flat_map(|buffer| buffer.blocks.blocks());
        let scopes = self.live.scopes.values().filter(|scope| scope.gather == node);
        let parts = scopes.clone().flat_map(|scope| scope.parts.values()).filter_map(|part| match part {
            Part::Arrived(block) => Some(block),
            Part::Failed(_) => None,
        });
        let families = self.live.families.values().filter(|family| family.zip == node);
        let blocks = here.queue.blocks().chain(buffers).chain(here.ready.values().flatten());
        let blocks = blocks.chain(here.lanes.blocks()).chain(scopes.map(|scope| &scope.parent)).chain(parts);
        let blocks = blocks.chain(families.flat_map(|family| family.arrived.values()));
        let groups =
            self.live.groups.values().filter(|group| group.reduce == node).map(|group| &group.parent);
        let parked = here.parked.values().filter(|parked| !parked.is_ghost).map(|parked| &parked.member);
        blocks.flat_map(|block| &block.members).chain(groups).chain(parked).collect()
    }

    /// The largest item, and the largest of what counts as one: batches, and what belongs to one scattered item.
    pub(super) fn largest(&self) -> (u64, u64) {
        let mut largest = (1, 1);
        let mut see = |items: u64, bytes: u64| largest = (largest.0.max(items), largest.1.max(bytes));
        for node in 0..self.nodes.len() {
            self.residents(node).iter().for_each(|member| see(u64::from(member.items), member.bytes));
            for batch in self.nodes[node].ready.values() {
                see(1, batch.iter().map(Block::bytes).sum());
            }
        }
        for scope in self.live.scopes.values() {
            let parts = scope.parts.values().filter_map(|part| match part {
                Part::Arrived(block) => Some(block),
                Part::Failed(_) => None,
            });
            let blocks: Vec<_> = parts.chain([&scope.parent]).collect();
            see(
                blocks.iter().map(|block| block.items()).sum(),
                blocks.iter().map(|block| block.bytes()).sum(),
            );
        }
        largest
    }

    /// Checks that every account is the sum of what is there; letters are on their way.
    pub(super) fn audit(&self, running: &[&Quantum<Fake>], letters: &[Letter]) {
        for (number, region) in self.regions.iter().enumerate() {
            let (mut items, mut bytes) = (0, 0);
            for &node in &region.nodes {
                let residents = self.residents(node);
                items += residents.iter().map(|member| u64::from(member.items)).sum::<u64>();
                bytes += residents.iter().map(|member| member.bytes).sum::<u64>();
                let ghosts = self.nodes[node].parked.values().filter(|parked| parked.is_ghost).count();
                let here: Vec<_> = running.iter().filter(|quantum| quantum.started.node == node).collect();
                items += here
                    .iter()
                    .map(|quantum| quantum.started.items + quantum.started.items_held)
                    .sum::<u64>();
                bytes += here
                    .iter()
                    .map(|quantum| quantum.started.bytes + quantum.started.bytes_held)
                    .sum::<u64>();
                let working: usize = here.iter().map(|quantum| quantum.started.taken).sum();
                assert_eq!(
                    self.nodes[node].population,
                    residents.len() + ghosts + working,
                    "population of {node}: {}",
                    self.picture()
                );
                if let Kind::Source { window: Some(window), .. } = self.nodes[node].kind {
                    assert!(
                        self.live.unacknowledged(node) <= window,
                        "a window is passed: {}",
                        self.picture()
                    );
                }
                self.audit_groups(node, &residents, &here);
                for member in residents {
                    for birth in member.births() {
                        assert!(
                            self.live.acks.contains_key(birth),
                            "acknowledged too early: {:?}",
                            member.position
                        );
                    }
                }
            }
            let letters = self.letters.values().chain(letters).filter(|letter| letter.region == number);
            items += letters.map(|letter| u64::from(letter.member.items)).sum::<u64>();
            assert_eq!(
                (items, bytes),
                (region.credit.items, region.credit.bytes),
                "credit of {number}: {}",
                self.picture()
            );
        }
    }

    /// Checks how many of each group are said to be at a node.
    fn audit_groups(&self, node: usize, residents: &[&Member], running: &[&&Quantum<Fake>]) {
        let mut groups: BTreeMap<u64, usize> = BTreeMap::new();
        let is_ghost = |quantum: &&&&Quantum<Fake>| matches!(&quantum.task, Task::Resume(it) if it.is_ghost);
        let working = running.iter().filter(|quantum| !is_ghost(quantum)).flat_map(|it| members(it));
        for group in residents.iter().copied().chain(working).filter_map(Member::group) {
            *groups.entry(group).or_default() += 1;
        }
        assert_eq!(groups, self.nodes[node].residents, "groups at {node}: {}", self.picture());
    }

    /// The partial batches, and by share of the budget where the oldest of those stands that wait for credit.
    pub(super) fn stallable(&self) -> Stallable {
        let buffers = |node: usize| {
            // What waits before a batch that keeps the order may fill it up, which is no stall step.
            let firsts = self.nodes[node].buffers.iter().filter(move |_| self.nodes[node].queue.is_empty());
            firsts.filter_map(move |(group, buffer)| Some((buffer.blocks.first()?.clone(), node, *group)))
        };
        let waiter = |region| {
            let at = self.oldest_waiter(region).and_then(|node| self.candidate(node));
            at.and_then(|candidate| candidate.position.cloned())
        };
        Stallable {
            partial: (0..self.nodes.len()).flat_map(buffers).collect(),
            waiters: (0..self.regions.len()).map(waiter).collect(),
        }
    }

    /// Checks that what a stall step has closed or licensed was the oldest of all that waited.
    pub(super) fn check_stall(&self, before: &Stallable) {
        let now = self.stallable();
        for (position, node, group) in &before.partial {
            let is_there = self.nodes[*node].buffers.contains_key(group);
            let may_come = group.is_none_or(|group| self.group_may_come(*node, group));
            if is_there || self.input_is_over(*node) || !may_come {
                continue;
            }
            let region = self.nodes[*node].region;
            let others = now.partial.iter().filter(|(_, node, _)| self.nodes[*node].region == region);
            let others = others.map(|(position, ..)| position).chain(&before.waiters[region]);
            let older = others.min().filter(|other| *other < position);
            assert!(older.is_none(), "{position} was closed before {older:?}: {}", self.picture());
        }
        for (number, region) in self.regions.iter().enumerate() {
            let Some(licensed) = region.licence.and_then(|node| self.candidate(node)) else { continue };
            let Some(position) = licensed.position else { continue };
            let older = now.waiters[number].as_ref().filter(|other| *other < position);
            assert!(older.is_none(), "{position} was licensed before {older:?}: {}", self.picture());
        }
    }

    /// Who may start over budget, by region.
    pub(super) fn licences(&self) -> Vec<Option<usize>> {
        self.regions.iter().map(|region| region.licence).collect()
    }

    /// Whether what starts at a node next is over budget.
    pub(super) fn is_licensed(&self, node: usize) -> bool {
        self.regions[self.nodes[node].region].licence == Some(node)
    }

    /// Checks that nothing which waits for credit, and no partial batch, is older than who was given a licence.
    pub(super) fn check_licence(&self, region: usize, node: usize) {
        let age = |node: usize| {
            let candidate = self.candidate(node).filter(|candidate| candidate.is_gated)?;
            let is_waiter = !self.waits_for_births(node, candidate.position);
            is_waiter.then_some((candidate.position.is_none(), candidate.position))
        };
        let licensed = age(node).unwrap_or_else(|| panic!("a licence for nothing: {}", self.picture()));
        for &other in &self.regions[region].nodes {
            let partial = self.nodes[other].oldest_buffer().map(|(position, _)| (false, Some(position)));
            let oldest = age(other).into_iter().chain(partial).min();
            assert!(
                oldest.is_none_or(|oldest| oldest >= licensed),
                "{other} is older than {node}, which has the licence: {}",
                self.picture()
            );
        }
    }

    /// Checks that scarce credit does not go past a device in whose queue something older is, whole batch or not.
    pub(super) fn check_age(&self, node: usize) {
        let region = &self.regions[self.nodes[node].region];
        let Some(candidate) = self.candidate(node).filter(|candidate| candidate.is_gated) else { return };
        if !region.oldest_first || region.licence.is_some() || !region.credit.is_scarce() {
            return;
        }
        for &device in region.nodes.iter().filter(|&&other| other != node) {
            let here = &self.nodes[device];
            let waits = matches!(here.kind, Kind::Device { grows: true, .. })
                && here.has_slot()
                && !here.ready.is_empty();
            let oldest = self.residents(device).into_iter().map(|member| &member.position).min();
            let waits = waits && !self.waits_for_births(device, oldest);
            let is_next =
                candidate.position.is_some_and(|position| oldest.is_some_and(|oldest| position < oldest));
            assert!(
                !waits || is_next,
                "{node} draws credit before the older at {device}: {}",
                self.picture()
            );
        }
    }

    /// Whether anything that was made of a source item is in flight.
    pub(super) fn is_in_flight(&self, region: usize, number: u64, running: &[&Quantum<Fake>]) -> bool {
        let is_of = |member: &Member| {
            let passengers = member.lineage.iter().flat_map(|lineage| &lineage.passengers);
            let mut positions = passengers.map(|(position, _)| position).chain([&member.position]);
            positions.any(|position| position.path()[0] == number)
        };
        let nodes = &self.regions[region].nodes;
        let running = running.iter().filter(|quantum| nodes.contains(&quantum.started.node));
        nodes.iter().flat_map(|&node| self.residents(node)).any(is_of)
            || running.flat_map(|quantum| members(quantum)).any(is_of)
            || self
                .letters
                .iter()
                .any(|((position, _), letter)| letter.region == region && position.path()[0] == number)
    }

    /// Checks that nothing which is here or may still come belongs into the midst of a batch that keeps the order.
    pub(super) fn check_run_of_order(&self, node: usize, members: &std::collections::VecDeque<Member>) {
        let (Some(first), Some(last)) = (members.front(), members.back()) else { return };
        if !self.nodes[node].kind.keeps_order() {
            return;
        }
        let span = &first.position..=&last.position;
        let is_within =
            |member: &&Member| span.contains(&&member.position) && member.group() == first.group();
        let within = self.residents(node).into_iter().find(is_within);
        assert!(within.is_none(), "{within:?} belongs into a batch: {}", self.picture());
        assert!(self.is_next_in_order(node, &last.position), "an older may come: {}", self.picture());
    }

    /// Checks that a pause holds up nothing but births, and what is offered to them or to somebody outside.
    pub(super) fn check_held_up(&self) {
        for region in self.regions.iter().filter(|_| !self.is_stopping()) {
            let is_offered = region.nodes.iter().any(|&node| self.is_offered(node));
            let waits = |node: &&usize| {
                let waiting = self.candidate(**node).and_then(|candidate| candidate.position);
                waiting.is_some() && !self.waits_for_births(**node, waiting)
            };
            let is_partial = |node: &&usize| !self.nodes[**node].buffers.is_empty();
            let held_up = |node: &&usize| waits(node) || (self.is_paused && is_partial(node));
            let waiting = region.nodes.iter().find(held_up).filter(|_| !is_offered);
            assert!(waiting.is_none(), "{waiting:?} is held up: {}", self.picture());
        }
    }

    /// Whether anything upstream of a node stands below a position.
    pub(super) fn has_below(&self, node: usize, path: &[u64], running: &[&Quantum<Fake>]) -> bool {
        let is_below =
            |member: &Member| member.position.path().starts_with(path) && member.position.path() != path;
        let upstream = &self.nodes[node].upstream;
        let is_running = |quantum: &&Quantum<Fake>| {
            upstream.contains(&quantum.started.node) && members(quantum).into_iter().any(is_below)
        };
        upstream.iter().any(|&before| self.residents(before).into_iter().any(is_below))
            || running.iter().copied().any(|quantum| is_running(&quantum))
    }

    /// What is where.
    pub(super) fn picture(&self) -> String {
        let mut text = format!("{:?}\n", self.figures());
        for (number, node) in self.nodes.iter().enumerate() {
            let positions: Vec<String> =
                self.residents(number).iter().map(|member| member.position.to_string()).collect();
            let parked: Vec<String> = node.parked.keys().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "{number} {:?} → {:?} region {} {:?} running {} population {} at {positions:?} parked {parked:?} ready {} \
                 partial {} lanes {:?} closing {:?} open {:?} done {}",
                node.kind,
                node.outs,
                node.region,
                node.birth,
                node.running,
                node.population,
                node.ready.len(),
                node.buffers.len(),
                node.lanes.oldest(),
                node.closing,
                node.open,
                node.is_done
            );
        }
        for region in &self.regions {
            let _ = writeln!(
                text,
                "{:?} motion {} licence {:?}",
                region.credit, region.in_motion, region.licence
            );
        }
        text
    }
}

/// Where those stand whom a quantum works on.
pub(super) fn positions(quantum: &Quantum<Fake>) -> Vec<crate::machine::Position> {
    members(quantum).into_iter().map(|member| member.position.clone()).collect()
}

/// Whom a quantum works on.
pub(super) fn members(quantum: &Quantum<Fake>) -> Vec<&Member> {
    match &quantum.task {
        Task::Block(block) | Task::Begin(block) => block.members.iter().collect(),
        Task::Batch(blocks) | Task::Zip(blocks) => blocks.iter().flat_map(|block| &block.members).collect(),
        Task::Gather(gathered) => gathered.parent.members.iter().collect(),
        Task::Resume(parked) => vec![&parked.member],
        Task::Birth | Task::Join(_) | Task::Close { .. } => Vec::new(),
    }
}
