//! The books against what is really there, and a picture of it for people.

use super::play::Fake;
use crate::machine::live::Part;
use crate::machine::{Machine, Member, Quantum, Task};
use std::fmt::Write;

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
                see(1, batch.iter().map(crate::machine::Block::bytes).sum());
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

    /// Checks that every account is the sum of what is there.
    pub(super) fn audit(&self, running: &[&Quantum<Fake>]) {
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
            let letters = self.letters.values().filter(|letter| letter.region == number);
            items += letters.map(|letter| u64::from(letter.member.items)).sum::<u64>();
            assert_eq!(
                (items, bytes),
                (region.credit.items, region.credit.bytes),
                "credit of {number}: {}",
                self.picture()
            );
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

/// Whom a quantum works on.
fn members(quantum: &Quantum<Fake>) -> Vec<&Member> {
    match &quantum.task {
        Task::Block(block) | Task::Begin(block) => block.members.iter().collect(),
        Task::Batch(blocks) | Task::Zip(blocks) => blocks.iter().flat_map(|block| &block.members).collect(),
        Task::Gather(gathered) => gathered.parent.members.iter().collect(),
        Task::Resume(parked) => vec![&parked.member],
        Task::Birth | Task::Join(_) | Task::Close { .. } => Vec::new(),
    }
}
