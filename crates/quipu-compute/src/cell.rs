//! One job and its answer, in one allocation that the queue and the awaiter share. When the job runs is `runner`'s.
//!
//! A cell goes *waiting → running → done*, or *waiting → gone* when its awaiter leaves first. Who leaves *waiting* is
//! decided under the queue's lock (see `line`), so a job is run or dropped, never both and never neither; the rest
//! happens under the cell's own lock, which no user code runs under. Checked with loom: `tests/loom.rs`.

use crate::sync::Mutex;
use std::any::Any;
use std::task::{Context, Poll, Waker};

/// Why a job has no answer.
pub(crate) enum Fault {
    /// The job panicked, with this.
    Panic(Box<dyn Any + Send>),
    /// It was cancelled before it ran.
    Cancelled,
}

/// A job's work `F` until it runs, its answer `R` once it did.
pub(crate) struct Cell<F, R> {
    stage: Mutex<Stage<F, R>>,
}

struct Stage<F, R> {
    at: At<F, R>,
    /// Whom to wake with the answer.
    waker: Option<Waker>,
}

enum At<F, R> {
    Waiting(F),
    Running,
    Done(Result<R, Fault>),
    Gone,
}

impl<F, R> Cell<F, R> {
    pub(crate) fn new(work: F) -> Self {
        Self { stage: Mutex::new(Stage { at: At::Waiting(work), waker: None }) }
    }

    /// Takes the work to run it. `None` when the awaiter left.
    pub(crate) fn start(&self) -> Option<F> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut stage.at, At::Running) {
            At::Waiting(work) => Some(work),
            other => {
                stage.at = other;
                None
            }
        }
    }

    /// Leaves the answer and wakes the awaiter. An answer that nobody wants is dropped.
    pub(crate) fn finish(&self, answer: Result<R, Fault>) {
        let mut stage = self.stage.lock();
        if matches!(stage.at, At::Gone) {
            drop(stage);
            return drop(answer);
        }
        stage.at = At::Done(answer);
        let waker = stage.waker.take();
        drop(stage);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The answer, once; until then whoever polled last is woken when it comes.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Result<R, Fault>> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut stage.at, At::Gone) {
            At::Done(answer) => Poll::Ready(answer),
            other => {
                stage.at = other;
                match &mut stage.waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Whether the answer is there; until then the waker is woken when it comes, as by [`poll`](Self::poll).
    pub(crate) fn poll_done(&self, context: &Context<'_>) -> Poll<()> {
        let mut stage = self.stage.lock();
        if matches!(stage.at, At::Done(_) | At::Gone) {
            return Poll::Ready(());
        }
        stage.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The awaiter leaves: whatever the cell holds is dropped, and what comes later will be.
    pub(crate) fn leave(&self) {
        let mut stage = self.stage.lock();
        let left = (std::mem::replace(&mut stage.at, At::Gone), stage.waker.take());
        drop(stage);
        // Users' destructors, not under the lock.
        drop(left);
    }
}
