//! Random flows through the public API on real threads: each ends, loses nothing, leaks nothing, stays within its
//! bound, and delivers what a plain evaluation does.
//!
//! `QUIPU_SOAK=100000 cargo test -p quipu-flow --test soak` tries so many plans (`cargo xtask deep` does); otherwise it
//! takes some seconds. `QUIPU_SEED` says from which seed on. Schedules are the machine's, so that a seed which failed
//! may have to be tried again and again: `QUIPU_AGAIN=1000` does that.

#![allow(clippy::unwrap_used)]

mod bound;
mod build;
mod drive;
mod evaluate;
mod item;
mod plan;
mod wild;

use drive::{Watched, drive};
use plan::Plan;
use quipu_compute::{ComputeConfig, ComputePool};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Longer than any plan takes, on any machine.
const HANG: Duration = Duration::from_secs(60);

/// The short form takes no longer.
const SHORT: Duration = Duration::from_secs(12);

/// Runtimes and pools live as long as the tests, so that what a run leaves in them is found by the next.
struct Machines {
    runtimes: Vec<(usize, Runtime)>,
    pools: Vec<(usize, ComputePool)>,
}

impl Machines {
    fn new() -> Self {
        let runtime =
            |tasks| Builder::new_multi_thread().worker_threads(tasks).enable_time().build().unwrap();
        let pool = |cores| ComputePool::new(ComputeConfig::default().threads(cores)).unwrap();
        Self {
            runtimes: [1, 2].map(|tasks| (tasks, runtime(tasks))).into(),
            pools: [1, 2, 8].map(|cores| (cores, pool(cores))).into(),
        }
    }

    fn run(&self, plan: &Plan, watched: &Watched) {
        let runtime = &self.runtimes.iter().find(|(tasks, _)| *tasks == plan.tasks).unwrap().1;
        let pool = &self.pools.iter().find(|(cores, _)| *cores == plan.cores).unwrap().1;
        runtime.block_on(drive(plan, pool, watched));
        let until = Instant::now() + HANG / 2;
        while runtime.metrics().num_alive_tasks() > 0 {
            assert!(Instant::now() < until, "{} tasks are left", runtime.metrics().num_alive_tasks());
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Planned panics are nobody's to read.
fn silence() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>().is_none_or(|text| !text.ends_with(" panic")) {
            loud(panic);
        }
    }));
}

fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

#[test]
fn random_flows_on_real_threads_are_lawful() {
    silence();
    let first = number("QUIPU_SEED").unwrap_or(0);
    let (count, until) = match number("QUIPU_SOAK") {
        Some(count) => (count, None),
        None => (u64::MAX - first, Some(Instant::now() + SHORT)),
    };
    let again = number("QUIPU_AGAIN").unwrap_or(1);
    let (began, mut tried) = (Instant::now(), 0);
    let (sender, progress) = channel();
    let runner = std::thread::spawn(move || {
        let machines = Machines::new();
        let at_rest = threads();
        for seed in first..first + count {
            let plan = Plan::random(seed);
            for _ in 0..again {
                let watched = Watched::default();
                sender.send(Some((plan.clone(), watched.clone()))).unwrap();
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| machines.run(&plan, &watched))) {
                    panic!("seed {seed}: {}\n{plan:?}", quipu_compute::panic_message(&*panic));
                }
            }
            if until.is_some_and(|until| Instant::now() > until) {
                break;
            }
        }
        let until = Instant::now() + HANG / 2;
        while threads() > at_rest {
            assert!(Instant::now() < until, "{:?} threads where {at_rest:?} were", threads());
            std::thread::sleep(Duration::from_millis(1));
        }
        sender.send(None).unwrap();
    });
    let mut last: Option<(Plan, Watched)> = None;
    loop {
        match progress.recv_timeout(HANG) {
            Ok(Some(next)) => (tried, last) = (tried + 1, Some(next)),
            Ok(None) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                let panic = runner.join().unwrap_err();
                panic!("{}", quipu_compute::panic_message(&*panic));
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                let (plan, watched) = last.unwrap();
                let progress = watched.lock().unwrap().as_ref().map(quipu_flow::Controls::progress);
                panic!("seed {} hangs: {progress:?}\n{plan:?}", plan.seed);
            }
        }
    }
    println!("{tried} plans in {:.1?}", began.elapsed());
}
