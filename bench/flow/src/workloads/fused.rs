//! Nanoseconds a number for four cheap stages in front of an ordered serial sink: the engine's own cost.
//!
//! The stages add, multiply, xor and rotate; alone they take about a nanosecond. Unbatched, an item is one number; in
//! batches, an item is a block of 16 and each stage does the whole block. The sink folds the numbers into a sum that
//! depends on their order and is checked after every repetition: nothing is optimised away, nothing out of order.

use crate::arguments::Arguments;
use crate::measure::{Contender, Sizing, side_by_side};
use crate::ours::Ours;
use crate::peers::onetbb::{Filters, OneTbb};
use crate::peers::{crossbeam, para, pariter, plain, tokio_channels};
use crate::table::{Better, Group, Row};
use anyhow::ensure;
use quipu_flow::Weigh;
use std::time::Duration;

/// Numbers in a block.
pub(crate) const BLOCK: usize = 16;

const ADDEND: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd134_2543_de82_ef95;
const MASK: u64 = 0x5555_aaaa_3333_cccc;
const TURN: u32 = 17;

/// What travels: a number or a block of them.
pub(crate) trait Item: Weigh + Copy + Send + Sync + 'static {
    /// How many numbers one item is.
    const NUMBERS: u64;

    fn nth(index: u64) -> Self;
    fn each(self, stage: impl Fn(u64) -> u64) -> Self;
    fn fold(self, sum: u64) -> u64;

    fn add(self) -> Self {
        self.each(|number| number.wrapping_add(ADDEND))
    }

    fn multiply(self) -> Self {
        self.each(|number| number.wrapping_mul(FACTOR))
    }

    fn xor(self) -> Self {
        self.each(|number| number ^ MASK)
    }

    fn rotate(self) -> Self {
        self.each(|number| number.rotate_left(TURN))
    }

    /// All four stages.
    fn through(self) -> Self {
        self.add().multiply().xor().rotate()
    }
}

impl Item for u64 {
    const NUMBERS: u64 = 1;

    fn nth(index: u64) -> Self {
        index
    }

    fn each(self, stage: impl Fn(u64) -> u64) -> Self {
        stage(self)
    }

    fn fold(self, sum: u64) -> u64 {
        sum.rotate_left(5) ^ self
    }
}

impl Item for [u64; BLOCK] {
    const NUMBERS: u64 = BLOCK as u64;

    fn nth(index: u64) -> Self {
        std::array::from_fn(|place| index * BLOCK as u64 + place as u64)
    }

    fn each(self, stage: impl Fn(u64) -> u64) -> Self {
        self.map(stage)
    }

    fn fold(self, sum: u64) -> u64 {
        self.into_iter().fold(sum, |sum, number| number.fold(sum))
    }
}

/// How long it took, and the sum that the sink came to.
pub(crate) type Run = (Duration, u64);

pub(crate) fn rows(arguments: &Arguments) -> anyhow::Result<Group> {
    let mut rows = Vec::new();
    let onetbb = std::cell::RefCell::new(OneTbb::start(&arguments.onetbb));
    for threads in [1, 2] {
        rows.push(row::<u64>("unbatched", 100.0, threads, arguments, &onetbb)?);
        rows.push(row::<[u64; BLOCK]>("batches of 16", 10.0, threads, arguments, &onetbb)?);
    }
    let note = "per number, ordered into a serial sink; a further goal is no ratio to oneTBB below 1. Channels of \
                4,096 and as many workers a stage as the row has threads, sources and sinks apart; oneTBB with the best \
                of several token limits; para's design, as the crate itself no longer compiles";
    Ok(Group { name: "four fused stages", note: note.to_owned(), rows })
}

fn row<I: Item>(
    way: &str,
    goal: f64,
    threads: usize,
    arguments: &Arguments,
    onetbb: &std::cell::RefCell<OneTbb>,
) -> anyhow::Result<Row> {
    let ours = Ours::new(threads)?;
    let tokio = tokio_channels::runtime(threads)?;
    let four = OneTbb::tuned::<I>(onetbb, threads, Filters::Four);
    let one = OneTbb::tuned::<I>(onetbb, threads, Filters::One);
    let contenders = vec![
        checked::<I>("ours", move |count| ours.fused::<I>(count)),
        checked::<I>("oneTBB, 4 filters", four),
        checked::<I>("oneTBB, 1 filter", one),
        checked::<I>("Tokio mpsc + mutex", move |count| tokio_channels::fused::<I>(&tokio, threads, count)),
        checked::<I>("threads + crossbeam", move |count| crossbeam::fused::<I>(threads, count)),
        checked::<I>("para's design", move |count| para::fused::<I>(threads, count)),
        checked::<I>("pariter, 1 map", move |count| pariter::fused::<I>(threads, count)),
        checked::<I>("plain loop", |count| Ok(plain::fused::<I>(count))),
    ];
    let (time, repetitions) = if arguments.quick { (30, 9) } else { (60, 41) };
    let sizing = Sizing::Aimed { pilot: 10_000, time: Duration::from_millis(time) };
    let figures = side_by_side(contenders, sizing, repetitions, |took, count| {
        took.as_nanos() as f64 / (count * I::NUMBERS) as f64
    });
    let name = format!("{way}, {threads} thread{}", if threads == 1 { "" } else { "s" });
    Ok(Row::new(name, "ns", Better::Less, Some(goal), figures))
}

/// A contender whose sum is held to the plain loop's.
fn checked<'a, I: Item>(name: &str, mut run: impl FnMut(u64) -> anyhow::Result<Run> + 'a) -> Contender<'a> {
    Contender::new(name, move |count| {
        let (took, sum) = run(count)?;
        let (_, expected) = plain::fused::<I>(count);
        ensure!(sum == expected, "the sum of {count} items is wrong: lost, doubled or out of order");
        Ok(took)
    })
}
