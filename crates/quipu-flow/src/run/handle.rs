//! What a user holds of a run.

use super::Run;
use crate::error::RunError;
use crate::report::{Progress, Report};
use crate::stage::value::Values;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// A run under way. Dropped before it is joined, it cancels the run.
#[must_use = "a dropped handle cancels its run"]
pub struct Handle {
    controls: Controls,
    /// The run's own tasks besides its ios: clock and source.
    tasks: Vec<JoinHandle<()>>,
}

/// Looks into a run and ends it, from anywhere. Holding it keeps nothing running.
#[derive(Clone)]
pub struct Controls {
    run: Arc<Run>,
}

impl Controls {
    /// What the run is doing now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.run.progress()
    }

    /// Closes the sources' gates: nothing more is born, what is in flight goes on. See [`resume`](Self::resume).
    pub fn pause(&self) {
        self.run.turn(|machine, _| machine.pause(true));
    }

    /// Opens the sources' gates again.
    pub fn resume(&self) {
        self.run.turn(|machine, _| machine.pause(false));
    }

    /// End of input, paused or not: nothing more is born but what a stream or channel has given already, what is in
    /// flight goes on to its end, and the run ends `Done`.
    pub fn drain(&self) {
        self.run.drain();
    }

    /// Ends the run now: what waits is dropped, ios are dropped, functions on the pool run out and are discarded.
    pub fn cancel(&self) {
        self.run.cancel();
    }
}

impl Handle {
    pub(super) fn new(run: Arc<Run>, tasks: Vec<JoinHandle<()>>) -> Self {
        Self { controls: Controls { run }, tasks }
    }

    pub(super) fn run(&self) -> &Arc<Run> {
        &self.controls.run
    }

    /// A second grip on the run, for a signal handler or a progress bar.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// What the run is doing now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.controls.progress()
    }

    /// See [`Controls::pause`].
    pub fn pause(&self) {
        self.controls.pause();
    }

    /// See [`Controls::resume`].
    pub fn resume(&self) {
        self.controls.resume();
    }

    /// See [`Controls::drain`].
    pub fn drain(&self) {
        self.controls.drain();
    }

    /// See [`Controls::cancel`].
    pub fn cancel(&self) {
        self.controls.cancel();
    }

    /// Takes an item that is offered to somebody outside; nothing, when there will be none any more.
    pub(crate) fn poll_offered(&self, node: usize, context: &mut Context<'_>) -> Poll<Option<Values>> {
        let run = &self.controls.run;
        let mut taken = None;
        run.turn(|machine, _| taken = machine.take_offered(node));
        if taken.is_some() {
            return Poll::Ready(taken);
        }
        let mut state = run.lock();
        if state.ended_at.is_some() || state.machine.is_stopping() {
            return Poll::Ready(None);
        }
        // Between the turn and here something may have been offered. From here on no wake is lost: whatever offers
        // something, and whatever ends the run, does so under the lock that is held here, and looks for a taker then.
        if state.machine.has_offers() {
            context.waker().wake_by_ref();
        } else {
            let before = state.taker.replace(context.waker().clone());
            drop(state);
            drop(before);
        }
        Poll::Pending
    }

    /// Nobody takes what is offered any more.
    pub(crate) fn end_stream(&self) {
        self.controls.cancel();
    }

    /// Waits for the end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// [`RunError::Failed`] if an item stopped the run. A cancelled run is `Ok`; its report says so.
    pub async fn join(mut self) -> Result<Report, RunError> {
        let run = self.controls.run.clone();
        // The sender lives in the run, so the wait cannot fail.
        let _ = run.over.subscribe().wait_for(|over| *over).await;
        for task in std::mem::take(&mut self.tasks) {
            // They end with the run; a runtime that goes down takes them with it.
            let _ = task.await;
        }
        let report = run.report();
        let failed = run.lock().machine.failure().cloned();
        match failed {
            Some(failed) => Err(RunError::Failed { failed: Box::new(failed), report: Box::new(report) }),
            None => Ok(report),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.controls.cancel();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Controls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controls").finish_non_exhaustive()
    }
}
