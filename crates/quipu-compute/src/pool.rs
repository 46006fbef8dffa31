//! The pool that users hold. Its queue and runners are `queue`'s, one job's life is `handle`'s.

use crate::config::{ComputeConfig, usable_cores};
use crate::error::ComputeError;
use crate::handle;
use crate::metrics::{ComputeMetrics, Gauges};
use crate::queue::Queue;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A pool of cores for async code; clones share it. Its threads end when the last clone is gone and the queue is empty.
#[derive(Clone)]
pub struct ComputePool {
    threads: Arc<rayon::ThreadPool>,
    queue: Arc<Queue>,
    gauges: Arc<Gauges>,
    places: Arc<Semaphore>,
    queue_jobs_max: usize,
}

impl ComputePool {
    /// Starts the workers.
    ///
    /// # Errors
    /// A count of zero, or threads that the operating system refused.
    pub fn new(config: ComputeConfig) -> Result<Self, ComputeError> {
        let workers = config.threads.unwrap_or_else(usable_cores);
        if workers == 0 {
            return Err(ComputeError::Zero("threads"));
        }
        if config.queue_jobs_max == 0 {
            return Err(ComputeError::Zero("queue_jobs_max"));
        }
        let name = config.thread_name;
        let mut builder =
            rayon::ThreadPoolBuilder::new().num_threads(workers).thread_name(move |i| format!("{name}-{i}"));
        if let Some(bytes) = config.stack_bytes {
            builder = builder.stack_size(bytes);
        }
        let threads = Arc::new(builder.build()?);
        let queue = Queue::new(workers);
        queue.serve_with(&threads);
        let queue_jobs_max = config.queue_jobs_max.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(queue_jobs_max));
        Ok(Self { threads, queue, gauges: Arc::default(), places, queue_jobs_max })
    }

    /// The pool that this process shares, of default make; started when it is first asked for.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn shared() -> Result<Self, ComputeError> {
        static SHARED: Mutex<Option<ComputePool>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some(pool) => Ok(pool.clone()),
            None => Ok(shared.insert(Self::new(ComputeConfig::default())?).clone()),
        }
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Runs `work` on a worker and waits for it without holding a Tokio worker. While the queue is full this waits for
    /// a place. A future dropped before its job ran takes the job out of the queue; a job that runs is run to its end.
    ///
    /// # Errors
    /// The job's panic, or its loss while the pool went down.
    pub async fn execute<R, F>(&self, work: F) -> Result<R, ComputeError>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await.map_err(|_| ComputeError::Dropped)?;
        let (job, answer) = handle::job(&self.gauges, Some(place), work);
        self.queue.push(job);
        answer.await.map_err(|_| ComputeError::Dropped)?
    }

    /// Queues `work` and forgets it; a panic in it is contained.
    ///
    /// # Errors
    /// [`ComputeError::QueueFull`] when as many jobs wait as the configuration lets.
    pub fn spawn<F>(&self, work: F) -> Result<(), ComputeError>
    where
        F: FnOnce() + Send + 'static,
    {
        let place = self.place_now()?;
        self.enqueue(Some(place), work);
        Ok(())
    }

    /// Queues one anonymous job of an engine that bounds its own: at most one per worker and run. It takes no place of
    /// the queue's limit, so an engine never fails for the users of the pool beside it.
    pub fn spawn_ticket<F>(&self, ticket: F)
    where
        F: FnOnce() + Send + 'static,
    {
        self.enqueue(None, ticket);
    }

    /// Whether jobs wait. An engine looks here after every quantum and lets the others go first.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Runs `work` on a worker and blocks this thread until it is done; on a worker of this pool it runs at once.
    /// Never call it on a Tokio worker: that is what [`execute`](Self::execute) is for.
    ///
    /// # Errors
    /// As of [`execute`](Self::execute), and a full queue.
    pub fn install<R, F>(&self, work: F) -> Result<R, ComputeError>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        if self.threads.current_thread_index().is_some() {
            return std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
                .map_err(|panic| ComputeError::Panicked(crate::error::panic_message(&*panic)));
        }
        let place = self.place_now()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let (job, mut answer) = handle::job(&self.gauges, Some(place), work);
        self.queue.push(Box::new(move || {
            job();
            // The caller blocks on the other end; it cannot be gone.
            let _ = sender.send(());
        }));
        receiver.recv().map_err(|_| ComputeError::Dropped)?;
        answer.try_recv().map_err(|_| ComputeError::Dropped)?
    }

    /// The gauges and sums as they stand.
    #[must_use]
    pub fn metrics(&self) -> ComputeMetrics {
        self.gauges.read()
    }

    fn place_now(&self) -> Result<OwnedSemaphorePermit, ComputeError> {
        let place = self.places.clone().try_acquire_owned();
        place.map_err(|_| ComputeError::QueueFull(self.queue_jobs_max))
    }

    fn enqueue<F>(&self, place: Option<OwnedSemaphorePermit>, work: F)
    where
        F: FnOnce() + Send + 'static,
    {
        let (job, answer) = handle::job(&self.gauges, place, work);
        // Held by the job itself, so that it does not count as abandoned.
        self.queue.push(Box::new(move || {
            job();
            drop(answer);
        }));
    }
}

impl std::fmt::Debug for ComputePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComputePool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
