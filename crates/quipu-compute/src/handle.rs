//! One awaited job: how its answer comes back and how a dropped future takes it out of the queue.

use crate::error::{ComputeError, panic_message};
use crate::metrics::{Gauges, Waiting};
use crate::queue::Job;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Makes the queue's job of `work`, and the end at which its answer arrives. When that end is dropped before the job
/// ran, the job is skipped. `place` is given back as the job leaves the queue.
pub(crate) fn job<R, F>(
    gauges: &Arc<Gauges>,
    place: Option<OwnedSemaphorePermit>,
    work: F,
) -> (Job, oneshot::Receiver<Result<R, ComputeError>>)
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    let (answer, end) = oneshot::channel();
    let waiting = Waiting::start(gauges);
    let gauges = gauges.clone();
    let job = move || {
        drop(place);
        if answer.is_closed() {
            gauges.count_skipped();
            return;
        }
        let running = waiting.run();
        let result = catch_unwind(AssertUnwindSafe(work));
        drop(running);
        let result = result.map_err(|panic| ComputeError::Panicked(panic_message(&*panic)));
        // A receiver that went away meanwhile wants no answer.
        let _ = answer.send(result);
    };
    (Box::new(job), end)
}
