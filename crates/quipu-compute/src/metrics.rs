//! Gauges and sums of a pool. Each is raised and lowered by a value's life, so no ending leaves one raised.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A reading of a pool's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComputeMetrics {
    /// Jobs in the queue now.
    pub waiting: usize,
    /// Jobs on a worker now.
    pub running: usize,
    /// Jobs that ran, panicked ones included.
    pub finished: u64,
    /// Jobs whose future was dropped before they ran.
    pub skipped: u64,
    /// Time that finished jobs spent in the queue, summed.
    pub wait: Duration,
    /// Time that finished jobs spent on a worker, summed.
    pub run: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Gauges {
    waiting: AtomicUsize,
    running: AtomicUsize,
    finished: AtomicU64,
    skipped: AtomicU64,
    wait_ns: AtomicU64,
    run_ns: AtomicU64,
}

impl Gauges {
    pub(crate) fn read(&self) -> ComputeMetrics {
        ComputeMetrics {
            waiting: self.waiting.load(Relaxed),
            running: self.running.load(Relaxed),
            finished: self.finished.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            wait: Duration::from_nanos(self.wait_ns.load(Relaxed)),
            run: Duration::from_nanos(self.run_ns.load(Relaxed)),
        }
    }

    pub(crate) fn count_skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }
}

/// Raised while a job waits. Lives in the queue together with its job.
pub(crate) struct Waiting {
    gauges: std::sync::Arc<Gauges>,
    since: Instant,
}

impl Waiting {
    pub(crate) fn start(gauges: &std::sync::Arc<Gauges>) -> Self {
        gauges.waiting.fetch_add(1, Relaxed);
        Self { gauges: gauges.clone(), since: Instant::now() }
    }

    /// The job goes from the queue onto a worker.
    pub(crate) fn run(self) -> Running {
        let now = Instant::now();
        self.gauges.wait_ns.fetch_add(nanoseconds(now - self.since), Relaxed);
        self.gauges.running.fetch_add(1, Relaxed);
        Running { gauges: self.gauges.clone(), since: now }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gauges.waiting.fetch_sub(1, Relaxed);
    }
}

/// Raised while a job is on a worker.
pub(crate) struct Running {
    gauges: std::sync::Arc<Gauges>,
    since: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gauges.run_ns.fetch_add(nanoseconds(self.since.elapsed()), Relaxed);
        self.gauges.finished.fetch_add(1, Relaxed);
        self.gauges.running.fetch_sub(1, Relaxed);
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
