//! The awaiter's end of a job: [`ComputeHandle`]. How the answer comes is `cell`'s.

use crate::blocking::refuse_async_context;
use crate::cell::Fault;
use crate::error::{ComputeError, panic_message};
use crate::job::Answer;
use crate::pool::Shared;
use crate::runner::Job;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tokio_util::sync::CancellationToken;

/// A job's answer to come: a future of `Result<R, ComputeError>`.
///
/// The job is queued when the handle is made, if there is a place; otherwise the handle waits for one, first come
/// first served, from the first time that it is polled. A dropped handle takes its job out of the queue; a job that
/// runs already runs to its end, and its [`CancellationToken`], if it has one, is cancelled.
#[must_use = "a dropped handle cancels its job"]
pub struct ComputeHandle<R> {
    pool: Arc<Shared>,
    answer: Arc<dyn Answer<R>>,
    token: Option<CancellationToken>,
    at: At,
}

enum At {
    /// Not in line yet: the job, and this entrant's number once it was polled.
    Outside { job: Arc<dyn Job>, number: Option<u64> },
    /// In line or running.
    Inside,
    /// The answer was taken, or the job.
    Over,
}

impl<R: Send + 'static> ComputeHandle<R> {
    /// Puts the job in line if there is a place.
    pub(crate) fn submit(
        pool: Arc<Shared>,
        job: Arc<dyn Job>,
        answer: Arc<dyn Answer<R>>,
        token: Option<CancellationToken>,
    ) -> Self {
        let at = match pool.push(job) {
            Ok(()) => At::Inside,
            Err(job) => At::Outside { job, number: None },
        };
        Self { pool, answer, token, at }
    }

    /// A handle of a job that has run already.
    pub(crate) fn admitted(
        pool: Arc<Shared>,
        answer: Arc<dyn Answer<R>>,
        token: Option<CancellationToken>,
    ) -> Self {
        Self { pool, answer, token, at: At::Inside }
    }

    /// Whether the job has been queued, run or cancelled; false while it waits for a place.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        !matches!(self.at, At::Outside { .. })
    }

    /// Cancels: a queued job is taken out and answers [`ComputeError::Cancelled`]; a running one has its token
    /// cancelled, and its answer still comes.
    pub fn cancel(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
        if self.withdraw() {
            self.at = At::Over;
        }
    }

    /// Waits on this thread. On a worker of the pool it runs the job itself, if nobody does yet: a pool of one worker
    /// would wait for ever.
    ///
    /// # Errors
    /// As of awaiting it.
    ///
    /// # Panics
    /// On a thread that drives a Tokio runtime, which it would hold up: await the handle there.
    pub fn wait(mut self) -> Result<R, ComputeError> {
        match self.pool.threads.current_thread_index() {
            Some(worker) => self.run_if_queued(worker),
            None => refuse_async_context(),
        }
        park_until(|context| Pin::new(&mut self).poll(context))
    }

    /// The answer alone: a panic of the job goes on in the awaiter, with its own payload.
    ///
    /// # Panics
    /// With the job's panic; and if the job was cancelled by its token.
    pub async fn unwinding(mut self) -> R {
        match std::future::poll_fn(|context| self.poll_fault(context)).await {
            Ok(answer) => answer,
            Err(Fault::Panic(panic)) => std::panic::resume_unwind(panic),
            Err(Fault::Cancelled) => panic!("{}", ComputeError::Cancelled),
        }
    }

    fn run_if_queued(&mut self, worker: usize) {
        if self.take_back() {
            self.at = At::Inside;
            self.answer.run_here(self.pool.hall.meters.of_worker(worker));
        }
    }

    /// Blocks this thread until the answer is there, and leaves it to be polled.
    pub(crate) fn park_until_done(&mut self) {
        park_until(|context| match self.poll_place(context) {
            Poll::Ready(()) => self.answer.poll_done(context),
            Poll::Pending => Poll::Pending,
        });
    }

    fn poll_place(&mut self, context: &Context<'_>) -> Poll<()> {
        if let At::Outside { job, number } = &mut self.at {
            let job = &*job;
            match self.pool.enter(number, context, || job.clone()) {
                Poll::Ready(()) => self.at = At::Inside,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn poll_fault(&mut self, context: &Context<'_>) -> Poll<Result<R, Fault>> {
        if self.poll_place(context).is_pending() {
            return Poll::Pending;
        }
        if matches!(self.at, At::Over) {
            return Poll::Ready(Err(Fault::Cancelled));
        }
        let answer = self.answer.poll(context);
        if answer.is_ready() {
            self.at = At::Over;
        }
        answer
    }
}

impl<R> ComputeHandle<R> {
    /// Takes the job back and drops it; false if a runner has it.
    fn withdraw(&mut self) -> bool {
        let is_back = self.take_back();
        if is_back {
            self.pool.hall.meters.count_withdrawn();
            self.answer.leave();
        }
        is_back
    }

    /// Takes the job out of the line, or away from its door; false if a runner has it, or nobody any more.
    fn take_back(&mut self) -> bool {
        let line = &self.pool.hall.line;
        match std::mem::replace(&mut self.at, At::Inside) {
            At::Outside { number, .. } => {
                number.into_iter().for_each(|number| line.leave(number));
                true
            }
            At::Inside => line.withdraw(&*self.answer),
            At::Over => {
                self.at = At::Over;
                false
            }
        }
    }
}

impl<R: Send + 'static> Future for ComputeHandle<R> {
    type Output = Result<R, ComputeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_fault(context).map_err(|fault| match fault {
            Fault::Panic(panic) => ComputeError::Panicked(panic_message(&*panic)),
            Fault::Cancelled => ComputeError::Cancelled,
        })
    }
}

impl<R> Unpin for ComputeHandle<R> {}

impl<R> Drop for ComputeHandle<R> {
    fn drop(&mut self) {
        if matches!(self.at, At::Over) {
            return;
        }
        if let Some(token) = &self.token {
            token.cancel();
        }
        if !self.withdraw() {
            self.answer.leave();
        }
    }
}

impl<R> std::fmt::Debug for ComputeHandle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = match self.at {
            At::Outside { .. } => "waiting for a place",
            At::Inside => "queued or running",
            At::Over => "over",
        };
        f.debug_struct("ComputeHandle").field("at", &at).finish_non_exhaustive()
    }
}

/// Polls on this thread, which sleeps in between.
fn park_until<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Wakes a thread that waits for an answer.
struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
