//! What a pool counted: [`ComputeMetrics`] is a reading. Workers count in `meter`, durations lie in `histogram`.

#[cfg(feature = "metrics")]
mod export;
mod histogram;
mod meter;

pub use histogram::Histogram;
pub(crate) use meter::Meter;

use crate::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A reading of a pool's counters since it started, or since they were last reset. Gauges (`active`, `queued`) are as
/// they stand: no reset touches them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComputeMetrics {
    /// Worker threads.
    pub threads: usize,
    /// Jobs in the queue now.
    pub queued: usize,
    /// Jobs on a worker now.
    pub active: usize,
    /// Jobs that ran, panicked ones included.
    pub completed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs that were cancelled before they ran.
    pub cancelled: u64,
    /// Jobs that ran longer than [`ComputeConfig::slow_job`](crate::ComputeConfig::slow_job).
    pub slow: u64,
    /// How long completed jobs were queued, the wait for a place included.
    pub wait: Histogram,
    /// How long completed jobs were on a worker, without what they waited before.
    pub run: Histogram,
}

impl std::fmt::Display for ComputeMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { threads, queued, active, completed, panicked, cancelled, slow, wait, run } = self;
        writeln!(f, "threads {threads}, active {active}, queued {queued}")?;
        writeln!(f, "completed {completed}, panicked {panicked}, cancelled {cancelled}, slow {slow}")?;
        writeln!(f, "wait: {wait}")?;
        write!(f, "run: {run}")
    }
}

/// A pool's meters and the reading that its resets subtract.
pub(crate) struct Meters {
    workers: Box<[Meter]>,
    /// Jobs that their awaiters took out of the queue.
    withdrawn: AtomicU64,
    baseline: Mutex<ComputeMetrics>,
}

impl Meters {
    pub(crate) fn new(workers: usize, slow_after: Duration) -> Self {
        let workers = (0..workers).map(|_| Meter::new(slow_after)).collect();
        Self { workers, withdrawn: AtomicU64::new(0), baseline: Mutex::default() }
    }

    pub(crate) fn of_worker(&self, worker: usize) -> &Meter {
        &self.workers[worker]
    }

    pub(crate) fn count_withdrawn(&self) {
        self.withdrawn.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, queued: usize) -> ComputeMetrics {
        let baseline = self.baseline.lock();
        let now = self.total(queued);
        ComputeMetrics {
            completed: now.completed.saturating_sub(baseline.completed),
            panicked: now.panicked.saturating_sub(baseline.panicked),
            cancelled: now.cancelled.saturating_sub(baseline.cancelled),
            slow: now.slow.saturating_sub(baseline.slow),
            wait: now.wait.since(&baseline.wait),
            run: now.run.since(&baseline.run),
            ..now
        }
    }

    /// Counts from now on. The counters themselves go on, so a job in flight cannot take one below zero.
    pub(crate) fn reset(&self) {
        let mut baseline = self.baseline.lock();
        *baseline = self.total(0);
    }

    fn total(&self, queued: usize) -> ComputeMetrics {
        let sum = |counter: fn(&Meter) -> &AtomicU64| {
            self.workers.iter().map(|meter| counter(meter).load(Relaxed)).sum::<u64>()
        };
        let mut total = ComputeMetrics {
            threads: self.workers.len(),
            queued,
            active: usize::try_from(sum(|meter| &meter.active)).unwrap_or(usize::MAX),
            completed: sum(|meter| &meter.completed),
            panicked: sum(|meter| &meter.panicked),
            cancelled: sum(|meter| &meter.cancelled) + self.withdrawn.load(Relaxed),
            slow: sum(|meter| &meter.slow),
            ..ComputeMetrics::default()
        };
        for meter in &self.workers {
            total.wait.add(&meter.wait);
            total.run.add(&meter.run);
        }
        total
    }
}

impl ComputeMetrics {
    /// The share of the workers' time that jobs took, over a `span` that this reading covers: 0.0 to 1.0.
    #[must_use]
    pub fn utilisation(&self, span: Duration) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let available = span.as_secs_f64() * self.threads as f64;
        if available > 0.0 { (self.run.sum().as_secs_f64() / available).min(1.0) } else { 0.0 }
    }
}
