//! Where workers count. Each worker has a meter of its own: what runs beside it neither waits for it nor shares its
//! cache lines. Gauges fall with a value's life, so no ending leaves one raised.

use super::histogram::{Recorder, add};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One worker's counts, which it alone writes. Aligned so that no two share a pair of cache lines.
#[repr(align(128))]
pub(crate) struct Meter {
    slow_after: Duration,
    pub(super) active: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) slow: AtomicU64,
    pub(super) wait: Recorder,
    pub(super) run: Recorder,
}

impl Meter {
    /// A meter that counts a job as slow from `slow_after` on.
    pub(super) fn new(slow_after: Duration) -> Self {
        Self {
            slow_after,
            active: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            wait: Recorder::default(),
            run: Recorder::default(),
        }
    }

    /// A job that waited since `queued` begins to run.
    pub(crate) fn begin(&self, queued: Instant) -> Active<'_> {
        let since = Instant::now();
        add(&self.active, 1);
        Active { meter: self, waited: since - queued, since, panicked: true }
    }

    /// A job was cancelled as it reached a worker.
    pub(crate) fn cancel(&self) {
        add(&self.cancelled, 1);
    }
}

/// Raised while a job runs. One that is dropped unfinished unwinds.
pub(crate) struct Active<'a> {
    meter: &'a Meter,
    /// Recorded at the end, so that both histograms are of the same jobs.
    waited: Duration,
    since: Instant,
    panicked: bool,
}

impl Active<'_> {
    pub(crate) fn end(mut self, panicked: bool) {
        self.panicked = panicked;
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let (meter, span) = (self.meter, self.since.elapsed());
        meter.wait.record(self.waited);
        meter.run.record(span);
        add(&meter.completed, 1);
        add(&meter.panicked, u64::from(self.panicked));
        add(&meter.slow, u64::from(span >= meter.slow_after));
        meter.active.store(meter.active.load(Relaxed).saturating_sub(1), Relaxed);
    }
}
