//! Random plans: what a flow is built of, what goes wrong in it, and who interferes.

use crate::item::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The run's own; of a part, that its item fails.
    Inherit,
    Stop,
    Skip,
    Letter,
}

/// Which items fail in a stage, how, and what becomes of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) one_in: u64,
    pub(crate) panics: bool,
    pub(crate) policy: Policy,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Map,
    TryMap(Trouble),
    Filter {
        one_in: u64,
    },
    Inspect,
    FlatMap {
        most: u64,
    },
    Io {
        limit: usize,
        retries: u32,
        hangs: bool,
        at_most: bool,
        trouble: Option<Trouble>,
    },
    Batch {
        size: usize,
        within: bool,
    },
    MapBatch {
        size: usize,
        within: bool,
    },
    Device {
        size: usize,
    },
    Scan {
        ordered: bool,
    },
    Keyed {
        keys: u64,
    },
    Fold {
        ordered: bool,
    },
    Fork {
        bodies: Vec<Vec<Op>>,
    },
    Broadcast {
        count: usize,
        body: Vec<Op>,
    },
    Route {
        count: usize,
        body: Vec<Op>,
    },
    RouteIf {
        bodies: Vec<Vec<Op>>,
    },
    ForkZip {
        bodies: Vec<Vec<Op>>,
    },
    Scatter {
        most: u64,
        partial: bool,
        body: Vec<Op>,
    },
    Group {
        most: u64,
        outputs: u64,
        ordered: bool,
        body: Vec<Op>,
    },
    Merge(Box<Line>),
    Zip(Box<Line>),
    Concat(Box<Line>),
    Join(Box<Line>),
    /// Stages of some kinds directly behind each other.
    Direct {
        which: u64,
    },
    /// A function panics where that leaves something half done; which items survive is not said here.
    Wild {
        which: u64,
        one_in: u64,
        policy: Policy,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Iter,
    Stream,
    SlowStream,
    Channel,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) items: u64,
    pub(crate) from: From,
    pub(crate) window: Option<usize>,
    pub(crate) ops: Vec<Op>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Sink { ordered: bool },
    Many { calls: usize },
    ForEach { ordered: bool },
    Stream { ordered: bool },
}

/// Who interferes, and after how many microseconds or items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meddling {
    None,
    Cancel {
        after: u64,
    },
    Drain {
        after: u64,
    },
    Pause {
        after: u64,
        times: u64,
    },
    DrainPaused {
        after: u64,
    },
    DropHandle {
        after: u64,
    },
    /// Stops taking from the stream; as a sink's, that is a cancel.
    DropStream {
        items: u64,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) line: Line,
    pub(crate) last: Last,
    pub(crate) is_slow: bool,
    pub(crate) default: Policy,
    pub(crate) memory: Option<u64>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) meddling: Meddling,
    pub(crate) cores: usize,
    pub(crate) tasks: usize,
}

/// Where a body stands, which says what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Main,
    /// In a branch whose items flow on by themselves.
    Branch,
    Group,
    Parts,
    OneForOne,
}

impl Plan {
    pub(crate) fn random(seed: u64) -> Self {
        let random = &mut Random(seed);
        let longest = random.pick(&[0, 2, 4, 6, 8]);
        let line = line(random, 2, longest, true);
        let after = random.pick(&[0, 20, 100, 300, 1000, 3000]);
        let meddling = match random.below(12) {
            0 => Meddling::Cancel { after },
            1 => Meddling::Drain { after },
            2 => Meddling::Pause { after, times: 1 + random.below(4) },
            3 => Meddling::DrainPaused { after },
            4 => Meddling::DropHandle { after },
            5 => Meddling::DropStream { items: random.below(20) },
            _ => Meddling::None,
        };
        let ordered = random.one_in(2);
        let last = match random.below(6) {
            0 | 1 => Last::Sink { ordered },
            2 => Last::Many { calls: 1 + random.below(4) as usize },
            3 => Last::ForEach { ordered },
            _ => Last::Stream { ordered },
        };
        Self {
            seed,
            line,
            last,
            is_slow: random.one_in(4),
            default: random.pick(&[Policy::Stop, Policy::Skip, Policy::Letter]),
            memory: random.pick(&[None, Some(0), Some(0), Some(1), Some(30), Some(200), Some(1 << 20)]),
            in_flight: random.pick(&[None, Some(1), Some(1), Some(2), Some(5), Some(20)]),
            meddling,
            cores: random.pick(&[1, 2, 8]),
            tasks: random.pick(&[1, 2]),
        }
    }
}

fn line(random: &mut Random, depth: u64, longest: u64, joins: bool) -> Line {
    let from = random.pick(&[From::Iter, From::Iter, From::Stream, From::SlowStream, From::Channel]);
    let items = random.pick(&[0, 1, 3, 10, 30, 30, 100]);
    let window = random.pick(&[None, None, None, None, Some(1), Some(3)]);
    let mut ops: Vec<Op> = Vec::new();
    for _ in 0..random.below(longest + 1) {
        let is_joint = |op: &Op| matches!(op, Op::Zip(_) | Op::Concat(_));
        let op = match random.below(14) {
            0 if joins => Op::Merge(other(random)),
            1 if joins => Op::Zip(other(random)),
            2 if joins => Op::Concat(other(random)),
            // What is looked up joins the table's share of the budget, and a joint has shares of its own.
            3 if joins && !ops.iter().any(is_joint) => Op::Join(other(random)),
            _ => op(random, depth, Place::Main),
        };
        ops.push(op);
    }
    Line { items, from, window, ops }
}

fn other(random: &mut Random) -> Box<Line> {
    Box::new(line(random, 1, 3, false))
}

fn trouble(random: &mut Random) -> Trouble {
    Trouble {
        one_in: random.pick(&[2, 5, 30]),
        panics: random.one_in(3),
        policy: random.pick(&[
            Policy::Inherit,
            Policy::Skip,
            Policy::Skip,
            Policy::Letter,
            Policy::Letter,
            Policy::Stop,
        ]),
    }
}

fn body(random: &mut Random, depth: u64, place: Place) -> Vec<Op> {
    (0..random.below(3)).map(|_| op(random, depth, place)).collect()
}

fn op(random: &mut Random, depth: u64, place: Place) -> Op {
    let inner = depth.saturating_sub(1);
    let multiplies = place != Place::OneForOne;
    let merges = !matches!(place, Place::OneForOne | Place::Parts);
    let branch = if matches!(place, Place::Main) { Place::Branch } else { place };
    let few = |random: &mut Random| 1 + random.below(5) as usize;
    loop {
        return match random.below(24) {
            0 => Op::Map,
            1 | 2 => Op::TryMap(trouble(random)),
            3 => Op::Filter { one_in: 2 + random.below(3) },
            4 => Op::Inspect,
            5 if multiplies => Op::FlatMap { most: random.pick(&[1, 2, 3, 3, 12]) },
            6 | 7 => Op::Io {
                limit: few(random),
                retries: random.pick(&[0, 0, 1, 2]),
                hangs: random.one_in(6),
                at_most: random.one_in(3),
                trouble: if random.one_in(2) { Some(trouble(random)) } else { None },
            },
            8 if merges => Op::Batch { size: few(random), within: random.one_in(3) },
            9 => Op::MapBatch { size: few(random), within: random.one_in(3) },
            10 => Op::Device { size: few(random) },
            11 => Op::Scan { ordered: random.one_in(2) },
            12 => Op::Keyed { keys: 1 + random.below(4) },
            13 if place == Place::Main || place == Place::Branch => Op::Fold { ordered: random.one_in(2) },
            14 if multiplies && depth > 0 => {
                Op::Fork { bodies: (0..2).map(|_| body(random, inner, branch)).collect() }
            }
            15 if multiplies && depth > 0 => {
                let count = 1 + random.below(3) as usize;
                Op::Broadcast { count, body: body(random, inner, branch) }
            }
            16 if depth > 0 => {
                let count = 1 + random.below(3) as usize;
                Op::Route { count, body: body(random, inner, branch) }
            }
            17 if depth > 0 => Op::RouteIf { bodies: (0..2).map(|_| body(random, inner, branch)).collect() },
            18 if depth > 0 => {
                Op::ForkZip { bodies: (0..2).map(|_| body(random, inner, Place::OneForOne)).collect() }
            }
            19 | 20 if depth > 0 => Op::Scatter {
                most: random.pick(&[0, 1, 2, 5]),
                partial: random.one_in(2),
                body: body(random, inner, Place::Parts),
            },
            21 if merges && depth > 0 => Op::Group {
                most: random.pick(&[0, 1, 2, 5]),
                outputs: random.below(3),
                ordered: random.one_in(2),
                body: body(random, inner, Place::Group),
            },
            22 if place == Place::Branch => Op::Merge(Box::new(line(random, 0, 2, false))),
            22 if place == Place::Main => Op::Direct { which: random.below(5) },
            23 if place == Place::Main && random.one_in(2) => Op::Wild {
                which: random.below(8),
                one_in: random.pick(&[2, 9]),
                policy: random.pick(&[Policy::Skip, Policy::Letter, Policy::Inherit]),
            },
            _ => continue,
        };
    }
}
