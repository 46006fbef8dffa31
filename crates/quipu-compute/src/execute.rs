//! The ways into a [`ComputePool`]: awaited, blocking, scoped, forgotten. They differ in what they return; every one
//! goes through the same queue.

use crate::blocking;
use crate::error::ComputeError;
use crate::handle::ComputeHandle;
use crate::job::{Queued, Terms};
use crate::line::Place;
use crate::pool::ComputePool;
use crate::runner::Job;
use rayon::{Scope, ScopeFifo};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl ComputePool {
    /// Runs `work` on a worker; the handle is a future of its answer. `par_iter`, `join` and `scope` in it share this
    /// pool's workers. While the queue is full, the handle waits for a place.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), quipu_compute::ComputeError> {
    /// # let pool = quipu_compute::ComputePool::with_defaults()?;
    /// let sum = pool.execute(|| (1..=10u64).sum::<u64>()).await?;
    /// assert_eq!(sum, 55);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The handle's: the job's panic, or that it was cancelled.
    pub fn execute<R, F>(&self, work: F) -> ComputeHandle<R>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        self.submit(None, work)
    }

    /// As [`execute`](Self::execute); `work` gets `token` and should look at it from time to time. The token is
    /// cancelled when the handle is dropped. If it is cancelled before the job ran, the job does not run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), quipu_compute::ComputeError> {
    /// # let pool = quipu_compute::ComputePool::with_defaults()?;
    /// use quipu_compute::CancellationToken;
    ///
    /// let shutdown = CancellationToken::new();
    /// let rounds = pool.execute_cancellable(shutdown.child_token(), |token| {
    ///     (0..1000).take_while(|_| !token.is_cancelled()).count()
    /// });
    /// assert_eq!(rounds.await?, 1000);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The handle's: the job's panic, or that it was cancelled before it ran.
    pub fn execute_cancellable<R, F>(&self, token: CancellationToken, work: F) -> ComputeHandle<R>
    where
        R: Send + 'static,
        F: FnOnce(&CancellationToken) -> R + Send + 'static,
    {
        let passed = token.clone();
        self.submit(Some(token), move || work(&passed))
    }

    /// Runs `work`, which may borrow, on a worker and blocks this thread until it is done; on a worker of this pool it
    /// runs at once. Meant for threads without a runtime and for `spawn_blocking`.
    ///
    /// ```
    /// # let pool = quipu_compute::ComputePool::with_defaults()?;
    /// use rayon::prelude::*;
    ///
    /// let mut words = vec!["knot", "cord", "fibre"];
    /// pool.execute_sync(|| words.par_sort());
    /// assert_eq!(words, ["cord", "fibre", "knot"]);
    /// # Ok::<(), quipu_compute::ComputeError>(())
    /// ```
    ///
    /// # Panics
    /// With the job's panic; and on a thread that drives a Tokio runtime, which it would hold up: await
    /// [`execute`](Self::execute) there.
    pub fn execute_sync<R, F>(&self, work: F) -> R
    where
        R: Send,
        F: FnOnce() -> R + Send,
    {
        if self.worker().is_some() {
            return work();
        }
        blocking::refuse_async_context();
        blocking::run_borrowed(self, work)
    }

    /// Runs `work` with a Rayon scope, and waits for all that was spawned in it.
    ///
    /// # Errors
    /// The handle's: a panic of `work` or of what it spawned, or that it was cancelled.
    pub fn execute_scoped<R, F>(&self, work: F) -> ComputeHandle<R>
    where
        R: Send + 'static,
        F: for<'scope> FnOnce(&Scope<'scope>) -> R + Send + 'static,
    {
        self.execute(move || rayon::scope(|scope| work(scope)))
    }

    /// As [`execute_scoped`](Self::execute_scoped); what one thread spawned starts in the order of its spawning.
    ///
    /// # Errors
    /// As of [`execute_scoped`](Self::execute_scoped).
    pub fn execute_scoped_fifo<R, F>(&self, work: F) -> ComputeHandle<R>
    where
        R: Send + 'static,
        F: for<'scope> FnOnce(&ScopeFifo<'scope>) -> R + Send + 'static,
    {
        self.execute(move || rayon::scope_fifo(|scope| work(scope)))
    }

    /// Runs both, in parallel if a worker is free for the second.
    ///
    /// # Errors
    /// The handle's: a panic of either, or that it was cancelled.
    pub fn join<A, B, RA, RB>(&self, first: A, second: B) -> ComputeHandle<(RA, RB)>
    where
        RA: Send + 'static,
        RB: Send + 'static,
        A: FnOnce() -> RA + Send + 'static,
        B: FnOnce() -> RB + Send + 'static,
    {
        self.execute(move || rayon::join(first, second))
    }

    /// Runs `work` where `par_iter` means this pool. Every job does; this is the word by which Rayon's users look for
    /// it.
    ///
    /// # Errors
    /// As of [`execute`](Self::execute).
    pub fn install<R, F>(&self, work: F) -> ComputeHandle<R>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        self.execute(work)
    }

    /// Queues `work` and forgets it; a panic in it is counted and contained.
    ///
    /// # Errors
    /// [`ComputeError::QueueFull`] when as many jobs wait as the configuration lets.
    pub fn spawn<F>(&self, work: F) -> Result<(), ComputeError>
    where
        F: FnOnce() + Send + 'static,
    {
        if !self.shared.enabled {
            drop(self.execute(work));
            return Ok(());
        }
        let job = Arc::new(Queued::new(Terms { bounded: true, token: None }, work));
        self.shared.push(job).map_err(|_| ComputeError::QueueFull(self.shared.queue_jobs_max))
    }

    /// Queues one anonymous job of an engine that bounds its own: at most one per worker and run. It takes no place of
    /// the queue's limit, so an engine never fails for the users of the pool beside it.
    pub fn spawn_ticket<F>(&self, ticket: F)
    where
        F: FnOnce() + Send + 'static,
    {
        // Unbounded jobs are always let in.
        let _ = self.shared.push(Arc::new(Queued::new(Terms { bounded: false, token: None }, ticket)));
    }

    fn submit<R, F>(&self, token: Option<CancellationToken>, work: F) -> ComputeHandle<R>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        let job = Arc::new(Queued::new(Terms { bounded: true, token: token.clone() }, work));
        if self.shared.enabled {
            return ComputeHandle::submit(self.shared.clone(), job.clone(), job, token);
        }
        if let Some(worker) = self.worker() {
            // Queued behind this very job it would wait for itself.
            job.claim();
            job.run(self.shared.hall.meters.of_worker(worker), None);
            return ComputeHandle::admitted(self.shared.clone(), job, token);
        }
        let mut handle = ComputeHandle::submit(self.shared.clone(), job.clone(), job, token);
        handle.park_until_done();
        handle
    }
}
