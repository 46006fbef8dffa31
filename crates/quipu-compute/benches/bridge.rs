//! The way from a Tokio task to a core and back: this pool and tokio-rayon, side by side in one run.
//!
//! Prints the median time per no-op job at 1, 8 and 64 in flight, and the CPU time that an idle pool takes.
//! `cargo bench -p quipu-compute --bench bridge [-- ROUNDS [PART OF A LABEL]]`.

use quipu_compute::{ComputeConfig, ComputePool, usable_cores};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio_rayon::AsyncThreadPool;

/// Jobs of one measurement: few, so that the bridges take turns often and a noisy moment meets all of them.
const JOBS: usize = 2_048;

#[derive(Clone)]
enum Bridge {
    Quipu(ComputePool),
    TokioRayon(Arc<rayon::ThreadPool>),
}

impl Bridge {
    async fn round_trip(&self, number: usize) {
        let answer = match self {
            Self::Quipu(pool) => pool.execute(move || black_box(number)).await.expect("a no-op"),
            Self::TokioRayon(pool) => pool.spawn_async(move || black_box(number)).await,
        };
        assert_eq!(answer, number);
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Quipu(_) => "quipu-compute",
            Self::TokioRayon(_) => "tokio-rayon",
        }
    }
}

/// Time per job with `in_flight` tasks that each await one job after another.
fn tasks(runtime: &Runtime, bridge: &Bridge, in_flight: usize) -> Duration {
    let each = JOBS / in_flight;
    let started = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..in_flight)
            .map(|_| {
                let bridge = bridge.clone();
                tokio::spawn(async move {
                    for number in 0..each {
                        bridge.round_trip(number).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
    });
    started.elapsed() / u32::try_from(each * in_flight).expect("few jobs")
}

/// Time per job, one at a time, awaited on the thread that calls `block_on`.
fn block_on(runtime: &Runtime, bridge: &Bridge) -> Duration {
    let started = Instant::now();
    runtime.block_on(async {
        for number in 0..JOBS {
            bridge.round_trip(number).await;
        }
    });
    started.elapsed() / u32::try_from(JOBS).expect("few jobs")
}

/// The value at this share of the sorted times.
fn quantile(times: &[Duration], share: f64) -> Duration {
    times[((times.len() - 1) as f64 * share).round() as usize]
}

/// Measures every bridge in turn, round after round, the first of a round being another each time.
fn compare(label: &str, rounds: usize, bridges: &[Bridge], measure: impl Fn(&Bridge) -> Duration) {
    if std::env::args().nth(2).is_some_and(|part| part != "--bench" && !label.contains(&part)) {
        return;
    }
    let mut times = vec![Vec::new(); bridges.len()];
    for round in 0..=rounds {
        for turn in 0..bridges.len() {
            let index = (turn + round) % bridges.len();
            let time = measure(&bridges[index]);
            // The first round warms up.
            if round > 0 {
                times[index].push(time);
            }
        }
    }
    for (bridge, mut times) in bridges.iter().zip(times) {
        times.sort();
        let [best, low, half, high] = [0.0, 0.25, 0.5, 0.75].map(|share| quantile(&times, share));
        let name = bridge.name();
        println!(
            "{label:<28} {name:<14} median {half:>9.3?}  quartiles {low:>9.3?} {high:>9.3?}  best {best:>9.3?}"
        );
    }
}

/// CPU time of this process so far, in clock ticks of 10 ms.
fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn main() {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(101);
    let cores = usable_cores();
    println!("{cores} usable cores, {JOBS} jobs a measurement, {rounds} rounds");
    let quipu = ComputePool::new(ComputeConfig::default()).expect("a pool");
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(cores).build().expect("a pool");
    let bridges = [Bridge::Quipu(quipu), Bridge::TokioRayon(Arc::new(rayon))];
    let many = Builder::new_multi_thread().worker_threads(cores).build().expect("a runtime");
    let single = Builder::new_current_thread().build().expect("a runtime");
    compare("1 in flight, block_on", rounds, &bridges, |bridge| block_on(&many, bridge));
    compare("1 in flight, current_thread", rounds, &bridges, |bridge| block_on(&single, bridge));
    for in_flight in [1, 8, 64] {
        let label = format!("{in_flight} in flight, tasks");
        compare(&label, rounds, &bridges, |bridge| tasks(&many, bridge, in_flight));
    }
    for in_flight in [8, 64] {
        let label = format!("{in_flight} in flight, current_thread");
        compare(&label, rounds, &bridges, |bridge| tasks(&single, bridge, in_flight));
    }
    let before = cpu_ticks();
    std::thread::sleep(Duration::from_secs(1));
    if let (Some(before), Some(after)) = (before, cpu_ticks()) {
        println!("idle for a second: {} ms of CPU time", (after - before) * 10);
    }
}
