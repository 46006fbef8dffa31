//! What a plan may be charged at most, as `Pipeline::memory` states it.

use crate::evaluate::bodies;
use crate::item::WEIGHT_MAX;
use crate::plan::{From, Line, Op, Plan};

/// D, I and G of the bound, and how many shares the budget is cut into.
#[derive(Debug)]
struct Measure {
    depth: u64,
    largest: u64,
    growing: u64,
    shares: u64,
}

/// The most items and bytes.
pub(crate) fn bound(plan: &Plan, items: u64, bytes: u64) -> (u64, u64) {
    let mut measure = Measure { depth: 0, largest: 1, growing: 0, shares: 1 };
    measure.line(&plan.line);
    let Measure { depth, largest, growing, shares } = measure;
    let workers = shares * plan.cores as u64;
    // A batch's own `Vec`, and the copy that an io keeps for its retry.
    let largest_bytes = 2 * (largest * WEIGHT_MAX + 24);
    (
        items + shares + depth * largest + workers * (largest - 1),
        bytes + shares + (depth + workers + growing) * largest_bytes,
    )
}

impl Measure {
    fn line(&mut self, line: &Line) {
        let depth = self.body(&line.ops, &mut 1, &mut 1);
        self.depth += 1 + depth;
        // The task of a source outside bears beside the workers.
        self.growing += u64::from(line.from != From::Iter);
    }

    /// The depth of a body, for items that hold `size` items; how large they leave it, and into how many they turn.
    fn body(&mut self, ops: &[Op], size: &mut u64, fan: &mut u64) -> u64 {
        ops.iter().map(|op| self.op(op, size, fan)).sum()
    }

    /// Of each body in a stage: its depth, how large items leave it, and how many.
    fn ways(&mut self, op: &Op, size: u64) -> Vec<(u64, u64, u64)> {
        let each = |body| {
            let (mut size, mut fan) = (size, 1);
            (self.body(body, &mut size, &mut fan), size, fan)
        };
        bodies(op).into_iter().map(each).collect()
    }

    fn op(&mut self, op: &Op, size: &mut u64, fan: &mut u64) -> u64 {
        let depth = match op {
            Op::FlatMap { most } => {
                (*size, *fan) = (1, *fan * most);
                1
            }
            Op::Io { limit, .. } => {
                self.growing += *limit as u64;
                0
            }
            Op::Batch { size: most, .. } => {
                self.largest = self.largest.max(*size * *most as u64);
                *size = 1;
                1
            }
            Op::MapBatch { size: most, .. } | Op::Device { size: most } => {
                self.largest = self.largest.max(*size * *most as u64);
                self.growing += if matches!(op, Op::Device { .. }) { *most as u64 } else { 0 };
                0
            }
            Op::Fold { .. } => {
                *size = 1;
                1
            }
            Op::Fork { .. } | Op::Broadcast { .. } | Op::Route { .. } | Op::RouteIf { .. } => {
                let ways = self.ways(op, *size);
                *size = ways.iter().map(|way| way.1).max().unwrap_or(1);
                *fan *= ways.iter().map(|way| way.2).sum::<u64>().max(1) * 3;
                1 + ways.iter().map(|way| way.0).max().unwrap_or(0)
            }
            Op::ForkZip { .. } => {
                let ways = self.ways(op, *size);
                *size = ways.iter().map(|way| way.1).sum();
                2 + ways.iter().map(|way| way.0).sum::<u64>()
            }
            Op::Scatter { most, .. } => {
                let (depth, part, parts) = self.ways(op, 1)[0];
                *size += most * parts * part;
                1 + depth
            }
            Op::Group { outputs, .. } => {
                let depth = self.ways(op, 1)[0].0;
                (*size, *fan) = (1, *fan * outputs);
                2 + depth
            }
            Op::Merge(other) | Op::Zip(other) | Op::Concat(other) | Op::Join(other) => {
                self.line(other);
                self.shares += 2;
                self.largest = self.largest.max(2);
                1
            }
            Op::Direct { .. } | Op::Wild { .. } => {
                self.largest = self.largest.max(*size * 4).max(8);
                self.growing += 8;
                3
            }
            Op::Map
            | Op::TryMap(_)
            | Op::Filter { .. }
            | Op::Inspect
            | Op::Scan { .. }
            | Op::Keyed { .. } => 0,
        };
        self.largest = self.largest.max(*size);
        depth
    }
}
