//! What the plain random graphs and schedules never have: flows of flows, sources that come in on the way, stages that
//! fail anywhere, batches that are measured and not counted, letters and takers that take their time.

use super::Random;
use super::case::Rough;
use super::generate::{Place, body};
use super::graph::{Built, Fails, Graph, Last, Op, Source, Start, Tree};
use crate::machine::Kind;
use std::time::Duration;

fn source(random: &mut Random) -> Source {
    Source {
        items: if random.below(4) == 0 { 5 + random.below(12) } else { random.below(6) },
        external: random.below(3) == 0,
        window: random.pick(&[None, None, None, Some(1), Some(2), Some(5)]),
    }
}

fn tree(random: &mut Random, depth: u64) -> Tree {
    let start = match random.below(if depth > 0 { 5 } else { 2 }) {
        0 | 1 => Start::Source(source(random)),
        2 => Start::Merge((0..2 + random.below(2)).map(|_| tree(random, depth - 1)).collect()),
        _ => Start::Joint {
            pairs: random.below(3) > 0,
            sides: (0..2 + random.below(2)).map(|_| tree(random, depth - 1)).collect(),
        },
    };
    let tables = if depth > 0 && random.below(5) == 0 { 1 + random.below(2) } else { 0 };
    let tables = (0..tables).map(|_| tree(random, depth - 1)).collect();
    let mut body = body(random, depth.min(2), 3, Place::Free, false);
    if random.below(5) == 0 {
        let at = random.below(body.len() as u64 + 1) as usize;
        body.insert(at, Op::Merge { source: source(random) });
    }
    for op in &mut body {
        merge_into_a_branch(random, op);
    }
    Tree { start, tables, body }
}

fn merge_into_a_branch(random: &mut Random, op: &mut Op) {
    if let Op::Fork { zips: false, branches } | Op::Route { branches } = op
        && random.below(4) == 0
    {
        let at = random.below(branches.len() as u64) as usize;
        branches[at].push(Op::Merge { source: source(random) });
    }
}

impl Graph {
    pub(super) fn random_wild(random: &mut Random) -> Self {
        if random.below(3) == 0 {
            return Self::random(random);
        }
        let depth = random.pick(&[1, 2, 2, 3]);
        let tree = tree(random, depth);
        let last = random.pick(&[
            Last::Sink { slots: 1 },
            Last::Sink { slots: 3 },
            Last::Ordered { waits: true },
            Last::Ordered { waits: false },
            Last::Stream,
            Last::Stream,
        ]);
        Self::Tree(tree, last)
    }
}

impl Built {
    /// Makes the nodes as a wild case wants them.
    pub(super) fn roughen(&mut self, rough: &Rough) {
        if let Some(seed) = rough.picks {
            let mut random = Random(seed);
            self.specs.iter_mut().for_each(|spec| spec.priority = random.pick(&[1, 1, 1, 2, 7]));
        }
        if rough.alters {
            for spec in &mut self.specs {
                match &mut spec.kind {
                    Kind::Device { size, .. } => size.within = Some(Duration::from_millis(1)),
                    Kind::Stream { ordered } => *ordered = true,
                    _ => {}
                }
            }
        }
        if let Some(seed) = rough.fails {
            self.let_fail(&mut Random(seed));
        }
    }

    fn let_fail(&mut self, random: &mut Random) {
        let parts = self.parts();
        for ((spec, play), is_part) in self.specs.iter().zip(&mut self.plays).zip(parts) {
            let is_zip_or_port = matches!(spec.kind, Kind::Zip { .. } | Kind::Port);
            if is_zip_or_port || play.fails != Fails::Never || random.below(2) == 0 {
                continue;
            }
            let fails = random.pick(&[Fails::Skip, Fails::Letter, Fails::Letter, Fails::Stop]);
            play.fails = if is_part && fails != Fails::Letter { Fails::Parent } else { fails };
        }
    }

    /// Which nodes stand between a scatter and its gather.
    fn parts(&self) -> Vec<bool> {
        let mut parts = vec![false; self.specs.len()];
        for (scatter, spec) in self.specs.iter().enumerate() {
            let Kind::Scatter { gather } = spec.kind else { continue };
            let mut open: Vec<usize> = self.specs[scatter].outs.iter().map(|(next, _)| *next).collect();
            while let Some(node) = open.pop() {
                if node != gather && !std::mem::replace(&mut parts[node], true) {
                    open.extend(self.specs[node].outs.iter().map(|(next, _)| *next));
                }
            }
        }
        parts
    }
}
