//! tokio-rayon: each call one job injected into a Rayon pool, its answer through a oneshot channel.

use crate::clock;
use crate::drive::{Asked, drive};
use crate::workloads::bridge::idle_of;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_rayon::AsyncThreadPool;

/// No-op jobs, awaited on `runtime`.
pub(crate) fn jobs(
    runtime: &Runtime,
    pool: &std::sync::Arc<rayon::ThreadPool>,
    asked: Asked,
    in_flight: usize,
    jobs: u64,
) -> anyhow::Result<Duration> {
    let pool = pool.clone();
    let submit = move || pool.spawn_async(|| ());
    Ok(runtime.block_on(runtime.spawn(drive(asked, jobs, in_flight, submit)))?)
}

/// A pool of so many threads.
pub(crate) fn pool(threads: usize) -> anyhow::Result<std::sync::Arc<rayon::ThreadPool>> {
    Ok(std::sync::Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?))
}

/// CPU time of a pool that has worked and now has nothing to do.
pub(crate) fn idle(runtime: &Runtime, threads: usize, jobs_before: u64) -> anyhow::Result<Duration> {
    let pool = pool(threads)?;
    jobs(runtime, &pool, Asked::ByOne, 1, jobs_before)?;
    Ok(idle_of(clock::of_process))
}
