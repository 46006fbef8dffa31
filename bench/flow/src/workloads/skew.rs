//! Throughput without a setting: stages of unequal times, the last of which starts late, as a share of the optimum.
//!
//! The shapes are those of two issues of Ray Data: 17 and 21 ms where each worker of the second stage has to start up
//! first (#65540), and 1, 3 and 7 ms (#54540). Time is burnt on a core, or slept: burning shows what the machine gives,
//! sleeping shows the scheduling alone, on more workers than there are cores.
//!
//! The optimum is `S + N·Σd / W`: N items, d the stages' times, W workers, S the start-up. It is the time of workers who
//! are never idle and of whom each starts up once; nothing that starts up all of them can be faster. (Who leaves some
//! workers without the last stage saves their start-ups. That needs to know S and N beforehand; the threads of a fixed
//! split do so by accident.)

use crate::arguments::Arguments;
use crate::clock::burn;
use crate::measure::{Contender, Sizing, side_by_side};
use crate::ours;
use crate::peers::onetbb::OneTbb;
use crate::peers::{crossbeam, plain, tokio_channels};
use crate::table::{Better, Group, Row};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const GOAL_PERCENT: f64 = 95.0;
/// Workers where time is slept: cores do not matter then.
const SLEEPERS: usize = 8;

/// How a stage spends its time.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// On a core.
    Burnt,
    /// Holding a worker all the same.
    Slept,
}

/// Items through stages of given times.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) way: Way,
    pub(crate) stages: Vec<Duration>,
    /// What each worker needs once before it can do the last stage.
    pub(crate) start: Duration,
    pub(crate) items: u64,
    pub(crate) workers: usize,
}

impl Shape {
    /// The time of the best schedule in which every worker does every stage.
    fn optimum(&self) -> Duration {
        let all: Duration = self.stages.iter().sum();
        self.start + all.mul_f64(self.items as f64 / self.workers as f64)
    }

    /// A fresh run: nobody has started yet.
    pub(crate) fn begin(&self) -> RunOfShape {
        static RUNS: AtomicU64 = AtomicU64::new(1);
        RunOfShape { shape: self.clone(), number: RUNS.fetch_add(1, Relaxed) }
    }

    fn spend(&self, time: Duration) {
        match self.way {
            Way::Burnt => burn(time),
            Way::Slept => std::thread::sleep(time),
        }
    }

    /// The workers divided evenly, as someone does who has no figures; each stage has one at least.
    fn even_split(&self) -> Vec<usize> {
        let stages = self.stages.len();
        // The later stages take what is left over: here they are the slower ones.
        (0..stages).map(|stage| ((self.workers + stage) / stages).max(1)).collect()
    }

    /// The workers divided as the times demand, as someone does who has measured them: one at least, and each
    /// further one where it helps most.
    fn best_split(&self) -> Vec<usize> {
        let mut split = vec![1; self.stages.len()];
        while split.iter().sum::<usize>() < self.workers {
            let load = |stage: usize| self.stages[stage].as_secs_f64() / split[stage] as f64;
            let slowest = (0..split.len()).max_by(|a, b| load(*a).total_cmp(&load(*b)));
            split[slowest.unwrap_or(0)] += 1;
        }
        split
    }
}

/// One run of a shape; each thread starts up once in it.
#[derive(Clone)]
pub(crate) struct RunOfShape {
    shape: Shape,
    number: u64,
}

impl RunOfShape {
    /// Spends stage `index`'s time on this thread.
    pub(crate) fn stage(&self, index: usize) {
        thread_local! {
            static STARTED: Cell<u64> = const { Cell::new(0) };
        }
        if index + 1 == self.shape.stages.len() && STARTED.replace(self.number) != self.number {
            self.shape.spend(self.shape.start);
        }
        self.shape.spend(self.shape.stages[index]);
    }
}

pub(crate) fn rows(arguments: &Arguments) -> anyhow::Result<Group> {
    let cores = quipu_compute::usable_cores();
    // Divisible by the cores and by the sleepers, so that the last round is a full one.
    let scale = (if arguments.quick { 1 } else { 3 }) * cores as u64;
    let milliseconds = |times: &[u64]| times.iter().copied().map(Duration::from_millis).collect::<Vec<_>>();
    let (two, three) = (milliseconds(&[17, 21]), milliseconds(&[1, 3, 7]));
    let start = Duration::from_millis(150);
    let none = Duration::ZERO;
    let burnt = |stages, start, items| Shape { way: Way::Burnt, stages, start, items, workers: cores };
    let slept = |stages, start, items| Shape { way: Way::Slept, stages, start, items, workers: SLEEPERS };
    let rows = vec![
        row("17 + 21 ms, slow start, burnt", &burnt(two.clone(), start, 20 * scale), arguments)?,
        row("1 + 3 + 7 ms, burnt", &burnt(three.clone(), none, 72 * scale), arguments)?,
        row("17 + 21 ms, slow start, slept", &slept(two, start, 64 * scale), arguments)?,
        row("1 + 3 + 7 ms, slept", &slept(three, none, 192 * scale), arguments)?,
    ];
    let note = format!(
        "share of the computable optimum S + N·Σd / W, no setting; burnt on W = {cores} cores, slept on W = {SLEEPERS} \
         workers; slow start: S = {} ms for each worker before its first 21 ms; oneTBB with four tokens a \
         worker",
        start.as_millis()
    );
    Ok(Group { name: "untuned throughput", note, rows })
}

fn row(name: &str, shape: &Shape, arguments: &Arguments) -> anyhow::Result<Row> {
    let runtime = tokio_channels::runtime(shape.workers)?;
    let mut onetbb = OneTbb::start(&arguments.onetbb);
    let optimum = shape.optimum();
    let contenders = vec![
        Contender::new("ours", |_| ours::skewed(shape, false)),
        Contender::new("ours, an io between", |_| ours::skewed(shape, true)),
        Contender::new("oneTBB", |_| onetbb.skewed(shape)),
        Contender::new("Tokio mpsc, even", |_| tokio_channels::skewed(&runtime, shape, &shape.even_split())),
        Contender::new("crossbeam, even", |_| Ok(crossbeam::skewed(shape, &shape.even_split()))),
        Contender::new("crossbeam, by hand", |_| Ok(crossbeam::skewed(shape, &shape.best_split()))),
        Contender::new("plain threads", |_| Ok(plain::skewed(shape))),
    ];
    let repetitions = if arguments.quick { 1 } else { 3 };
    let figures = side_by_side(contenders, Sizing::Fixed(shape.items), repetitions, |took, _| {
        100.0 * optimum.as_secs_f64() / took.as_secs_f64()
    });
    Ok(Row::new(name.to_owned(), "%", Better::More, Some(GOAL_PERCENT), figures))
}
