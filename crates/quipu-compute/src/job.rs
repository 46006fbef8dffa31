//! A job as the line and its awaiter see it: a `cell` with what the pool needs to know about it.

use crate::cell::{Cell, Fault};
use crate::line::Place;
use crate::metrics::Meter;
use crate::runner::{Job, Runs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the awaiter asks of a job: its work's type is the line's business only.
pub(crate) trait Answer<R>: Place + Send + Sync {
    fn poll(&self, context: &Context<'_>) -> Poll<Result<R, Fault>>;
    fn poll_done(&self, context: &Context<'_>) -> Poll<()>;
    /// Drops the work, or else the answer.
    fn leave(&self);
    /// Runs the job on the worker that waits for it.
    fn run_here(&self, meter: &Meter);
}

/// What a pool and a caller say about a job.
pub(crate) struct Terms {
    /// Whether it counts against the queue's bound.
    pub(crate) bounded: bool,
    pub(crate) token: Option<CancellationToken>,
}

pub(crate) struct Queued<F, R> {
    cell: Cell<F, R>,
    /// Written under the line's lock only.
    claimed: AtomicBool,
    since: Instant,
    terms: Terms,
}

impl<F, R> Queued<F, R> {
    pub(crate) fn new(terms: Terms, work: F) -> Self {
        Self { cell: Cell::new(work), claimed: AtomicBool::new(false), since: Instant::now(), terms }
    }
}

impl<F, R> Place for Queued<F, R> {
    fn is_bounded(&self) -> bool {
        self.terms.bounded
    }

    fn claim(&self) -> bool {
        let is_first = !self.claimed.load(Relaxed);
        self.claimed.store(true, Relaxed);
        is_first
    }

    fn is_claimed(&self) -> bool {
        self.claimed.load(Relaxed)
    }
}

impl<F, R> Job for Queued<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn run(&self, meter: &Meter, runs: Option<Runs<'_>>) {
        // The awaiter may leave between the line and here.
        let Some(work) = self.cell.start() else { return meter.cancel() };
        if self.terms.token.as_ref().is_some_and(CancellationToken::is_cancelled) {
            meter.cancel();
            drop((work, runs));
            return self.cell.finish(Err(Fault::Cancelled));
        }
        let active = meter.begin(self.since);
        let answer = catch_unwind(AssertUnwindSafe(work));
        // Before the awaiter wakes: it finds its own job counted.
        active.end(answer.is_err());
        drop(runs);
        self.cell.finish(answer.map_err(Fault::Panic));
    }
}

impl<F, R> Answer<R> for Queued<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn poll(&self, context: &Context<'_>) -> Poll<Result<R, Fault>> {
        self.cell.poll(context)
    }

    fn poll_done(&self, context: &Context<'_>) -> Poll<()> {
        self.cell.poll_done(context)
    }

    fn leave(&self) {
        self.cell.leave();
    }

    fn run_here(&self, meter: &Meter) {
        self.run(meter, None);
    }
}

impl Place for std::sync::Arc<dyn Job> {
    fn is_bounded(&self) -> bool {
        (**self).is_bounded()
    }

    fn claim(&self) -> bool {
        (**self).claim()
    }

    fn is_claimed(&self) -> bool {
        (**self).is_claimed()
    }
}
