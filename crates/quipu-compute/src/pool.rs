//! The pool that users hold, and how its threads start. What it runs is `execute`'s, in which order `line`'s.

use crate::affinity::Cores;
use crate::config::{ComputeConfig, usable_cores};
use crate::context;
use crate::error::ComputeError;
use crate::line::Line;
use crate::metrics::{ComputeMetrics, Meters};
use crate::runner::{Hall, Job, measure, send_runner};
use crate::subscription::Subscribed;
use crate::validation;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::task::{Context, Poll};

/// A pool of cores for async code; clones share it. Its threads end when the last clone and the last handle are gone
/// and the queue is empty.
#[derive(Clone)]
pub struct ComputePool {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) threads: rayon::ThreadPool,
    pub(crate) hall: Arc<Hall>,
    pub(crate) enabled: bool,
    pub(crate) queue_jobs_max: usize,
    subscribed: Subscribed,
}

impl ComputePool {
    /// Starts the workers.
    ///
    /// # Errors
    /// A setting that is invalid, cores that workers cannot be pinned to, threads that the operating system refused.
    pub fn new(config: ComputeConfig) -> Result<Self, ComputeError> {
        config.validate()?;
        let workers = match (config.enabled, config.threads) {
            (false, _) => 1,
            (true, threads) => threads.unwrap_or_else(usable_cores),
        };
        let myself = Arc::new(OnceLock::<Weak<Shared>>::new());
        let line = Line::new(workers, config.queue_jobs_max);
        let hall = Arc::new(Hall { line, meters: Meters::new(workers, config.slow_job) });
        let threads = start(&config, workers, hall.clone(), myself.clone())?;
        measure(&threads);
        if config.validate {
            validation::enable(true);
        }
        let shared = Arc::new(Shared {
            threads,
            hall,
            enabled: config.enabled,
            queue_jobs_max: config.queue_jobs_max,
            subscribed: Subscribed::new(workers),
        });
        shared.subscribed.warn();
        let _ = myself.set(Arc::downgrade(&shared));
        Ok(Self { shared })
    }

    /// A pool of default make: one worker per usable core.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn with_defaults() -> Result<Self, ComputeError> {
        Self::new(ComputeConfig::default())
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
            None => Ok(shared.insert(Self::with_defaults()?).clone()),
        }
    }

    /// How many workers there are.
    #[must_use]
    pub fn num_threads(&self) -> usize {
        self.shared.threads.current_num_threads()
    }

    /// Whether jobs run beside their callers; see [`ComputeConfig::enabled`].
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.shared.enabled
    }

    /// Whether the current thread is one of this pool's workers: one that may not wait for the others.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.worker().is_some()
    }

    /// Whether jobs wait. An engine looks here after every quantum and lets the others go first.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.shared.hall.line.live() > 0
    }

    /// The gauges, counts and histograms as they stand.
    #[must_use]
    pub fn metrics(&self) -> ComputeMetrics {
        self.shared.hall.meters.read(self.shared.hall.line.live())
    }

    /// Counts from now on: later readings are differences to this moment. Gauges stay as they are.
    pub fn reset_metrics(&self) {
        self.shared.hall.meters.reset();
    }

    /// This thread's number among the pool's workers.
    pub(crate) fn worker(&self) -> Option<usize> {
        self.shared.threads.current_thread_index()
    }
}

impl Shared {
    /// Puts a job in line; it comes back if there is no place for it.
    pub(crate) fn push(&self, job: Arc<dyn Job>) -> Result<(), Arc<dyn Job>> {
        if self.hall.line.push(job)? {
            send_runner(&self.threads);
        }
        Ok(())
    }

    /// Waits for a place in line; see [`Line::enter`].
    pub(crate) fn enter(
        &self,
        number: &mut Option<u64>,
        context: &Context<'_>,
        job: impl FnOnce() -> Arc<dyn Job>,
    ) -> Poll<()> {
        self.hall.line.enter(number, context, job).map(|spawn| {
            if spawn {
                send_runner(&self.threads);
            }
        })
    }
}

/// Starts the threads, each with this pool as its context, and pins them if that is asked for.
fn start(
    config: &ComputeConfig,
    workers: usize,
    hall: Arc<Hall>,
    myself: Arc<OnceLock<Weak<Shared>>>,
) -> Result<rayon::ThreadPool, ComputeError> {
    let (name, cores) = (config.thread_name.clone(), config.pin_cores.then(Cores::usable).transpose()?);
    let (pinned, pins) = mpsc::sync_channel(workers);
    let mut builder = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(move |worker| format!("{name}-{worker}"))
        .start_handler(move |worker| {
            hall.clone().adopt();
            context::adopt(myself.clone());
            if let Some(cores) = &cores {
                // The receiver is gone only if another worker's pin has failed already.
                let _ = pinned.send(cores.pin(worker));
            }
        });
    if let Some(bytes) = config.stack_bytes {
        builder = builder.stack_size(bytes);
    }
    let threads = builder.build()?;
    if config.pin_cores {
        pins.iter().take(workers).collect::<Result<(), ComputeError>>()?;
    }
    Ok(threads)
}

impl std::fmt::Debug for ComputePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComputePool").field("threads", &self.num_threads()).finish_non_exhaustive()
    }
}
