//! Random graphs: small ones of everything, and long ones of what grows.

use super::Random;
use super::graph::{Fails, Graph, Last, Line, Op, Source};

/// Where a body stands, which says what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    /// A branch of a zip, or a strict sub-flow: at most one for one.
    OneForOne,
    /// A sub-flow whose parts may multiply, never merge.
    Parts,
}

/// Whether a body may stand there, as `op` makes them and the engine's builder lets them.
pub(super) fn is_lawful(body: &[Op], place: Place, in_group: bool) -> bool {
    body.iter().all(|op| match op {
        Op::Batch { .. } => place == Place::Free,
        Op::Fold { .. } => place == Place::Free && !in_group,
        Op::FlatMap { .. } => place != Place::OneForOne,
        Op::Merge { .. } => place == Place::Free && !in_group,
        Op::Fork { zips: true, branches } => {
            branches.iter().all(|branch| is_lawful(branch, Place::OneForOne, in_group))
        }
        Op::Fork { branches, .. } => {
            place != Place::OneForOne && branches.iter().all(|branch| is_lawful(branch, place, in_group))
        }
        Op::Route { branches } => branches.iter().all(|branch| is_lawful(branch, place, in_group)),
        Op::Group { body, .. } => place == Place::Free && is_lawful(body, Place::Free, true),
        Op::Scatter { body, .. } => is_lawful(body, Place::Parts, in_group),
        _ => true,
    })
}

fn fails(random: &mut Random) -> Fails {
    random.pick(&[Fails::Skip, Fails::Skip, Fails::Letter, Fails::Letter, Fails::Stop])
}

pub(super) fn body(random: &mut Random, depth: u64, longest: u64, place: Place, in_group: bool) -> Vec<Op> {
    (0..random.below(longest + 1)).map(|_| op(random, depth, place, in_group)).collect()
}

fn op(random: &mut Random, depth: u64, place: Place, in_group: bool) -> Op {
    let is_free = place == Place::Free;
    loop {
        return match random.below(19) {
            0 | 1 => Op::Map { grows: random.toss() },
            2 => Op::Filter,
            3 => Op::Io {
                slots: 1 + random.below(2) as usize,
                retries: random.below(3) as u32,
                fails: fails(random),
                grows: random.toss(),
            },
            4 => Op::Scan { ordered: random.toss(), grows: random.below(3) == 0 },
            5 => Op::Keyed { grows: random.below(3) == 0 },
            6 => Op::Device { max: 1 + random.below(3), grows: random.below(3) == 0 },
            7 | 8 => Op::MapBatch {
                max: 1 + random.below(5),
                within: random.below(5) == 0,
                grows: random.below(5) < 2,
                fails: if random.toss() { Fails::Never } else { fails(random) },
            },
            9 if is_free => Op::Batch {
                max: 1 + random.below(4),
                within: random.below(3) == 0,
                ordered: random.below(3) == 0,
            },
            10 | 11 if place != Place::OneForOne => Op::FlatMap { most: 1 + random.below(4) },
            12 if is_free && !in_group => Op::Fold { outputs: random.below(3), ordered: random.toss() },
            13 if place != Place::OneForOne && depth > 0 => {
                let count = 2 + random.below(2);
                Op::Fork {
                    zips: false,
                    branches: (0..count).map(|_| body(random, depth - 1, 2, place, in_group)).collect(),
                }
            }
            14 if depth > 0 => {
                Op::Route { branches: (0..2).map(|_| body(random, depth - 1, 2, place, in_group)).collect() }
            }
            15 if is_free && depth > 0 => Op::Group {
                most: 1 + random.below(4),
                outputs: random.below(3),
                ordered: random.toss(),
                body: body(random, depth - 1, 2, Place::Free, true),
            },
            16 if depth > 0 => {
                let count = 2 + random.below(2);
                let branches = (0..count).map(|_| body(random, depth - 1, 2, Place::OneForOne, in_group));
                Op::Fork { zips: true, branches: branches.collect() }
            }
            17 | 18 if depth > 0 => {
                let place = if random.below(4) == 0 { Place::Parts } else { Place::OneForOne };
                Op::Scatter {
                    most: random.pick(&[0, 1, 2, 3, 4, 7]),
                    grows: random.below(5) == 0,
                    fails: random.below(3) == 0,
                    partial: random.below(4) == 0,
                    body: body(random, depth - 1, 3, place, in_group),
                }
            }
            _ => continue,
        };
    }
}

fn line(random: &mut Random, depth: u64, longest: u64, outside: bool) -> Line {
    let sources = (0..random.pick(&[1, 1, 1, 2, 3])).map(|_| Source {
        items: if random.below(3) == 0 { 5 + random.below(10) } else { random.below(6) },
        external: outside && random.below(5) == 0,
        window: if outside { random.pick(&[None, None, None, Some(1), Some(2)]) } else { None },
    });
    let sources: Vec<Source> = sources.collect();
    let last = match random.below(5) {
        0 | 1 => Last::Sink { slots: 1 + random.below(2) as usize },
        2 => Last::Ordered { waits: true },
        3 => Last::Ordered { waits: false },
        _ => Last::Stream,
    };
    Line { sources, body: body(random, depth, longest, Place::Free, false), last }
}

impl Graph {
    pub(super) fn random(random: &mut Random) -> Self {
        match random.below(100) {
            0..75 => Self::Flow(line(random, 2, 4, true)),
            75..87 => Self::Joint {
                pairs: random.below(3) > 0,
                sides: [line(random, 1, 2, true), line(random, 1, 2, true)],
                main: line(random, 1, 2, false),
            },
            _ => Self::Lookup { table: line(random, 1, 2, true), main: line(random, 1, 3, true) },
        }
    }

    /// Whether what it delivers depends on nothing but its items: one source, no batch that somebody can see, and no
    /// failure that stops everything.
    pub(super) fn is_determined(&self) -> bool {
        fn of(body: &[Op]) -> bool {
            body.iter().all(|op| match op {
                Op::Batch { .. } => false,
                Op::MapBatch { fails, .. } => *fails == Fails::Never,
                Op::Io { fails, .. } => *fails != Fails::Stop,
                Op::Fork { branches, .. } | Op::Route { branches } => {
                    branches.iter().all(|branch| of(branch))
                }
                Op::Group { body, .. } | Op::Scatter { body, .. } => of(body),
                _ => true,
            })
        }
        matches!(self, Self::Flow(line) if line.sources.len() == 1 && line.last != Last::Stream && of(&line.body))
    }

    /// Many small items that grow much behind an order: what small graphs cannot show is growth left behind.
    pub(super) fn random_growth(random: &mut Random) -> Self {
        let mut body: Vec<Op> = Vec::new();
        if random.toss() {
            body.push(Op::Io { slots: 8, retries: 0, fails: Fails::Skip, grows: false });
        }
        for _ in 0..1 + random.below(3) {
            body.push(growing(random, true));
        }
        let source = Source {
            items: 10 + random.below(50),
            external: false,
            window: random.pick(&[None, None, None, None, Some(1), Some(9)]),
        };
        let last = random.pick(&[
            Last::Ordered { waits: true },
            Last::Ordered { waits: false },
            Last::Sink { slots: 1 },
        ]);
        Self::Flow(Line { sources: vec![source], body, last })
    }
}

fn growing(random: &mut Random, is_outer: bool) -> Op {
    loop {
        return match random.below(9) {
            0 | 1 => Op::Io {
                slots: random.pick(&[1, 2, 8]),
                retries: 0,
                fails: Fails::Skip,
                grows: random.below(3) == 0,
            },
            2 => Op::Map { grows: random.below(5) < 2 },
            3 => Op::Device { max: 2 + random.below(5), grows: random.below(5) > 0 },
            4 | 5 => Op::MapBatch {
                max: 2 + random.below(5),
                within: false,
                grows: random.below(5) > 0,
                fails: Fails::Never,
            },
            6 if is_outer => Op::FlatMap { most: 3 },
            7 if is_outer => Op::Scatter {
                most: random.pick(&[2, 5]),
                grows: random.below(5) < 2,
                fails: false,
                partial: false,
                body: (0..random.below(4)).map(|_| growing(random, false)).collect(),
            },
            8 if is_outer => Op::Scan { ordered: true, grows: random.toss() },
            _ => continue,
        };
    }
}
