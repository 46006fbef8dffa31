//! The callers' side: [`WorkerPool`] hands files to worker processes, a bounded number at a time, and decides which
//! workers to keep.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::process::{Ending, Failure, Registry, Worker, lock};
use crate::{ExtractError, Extracted, Format, Limits};

/// A worker that keeps more than one part in so many of its memory limit while idle is replaced: what one file
/// left behind in its allocator must not count against the next.
const IDLE_MEMORY_PART: u64 = 4;

/// How workers are started, and what they may take.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The program whose body is [`super::serve`].
    pub command: PathBuf,
    /// Its arguments: the hidden subcommand.
    pub arguments: Vec<OsString>,
    /// Most workers at a time.
    pub workers_max: usize,
    /// Most bytes of private memory of one worker. Looked at every [`WorkerConfig::MEMORY_LOOK_EVERY`], so that a
    /// worker may pass it by what it can write in that time. Enforced on Linux only.
    pub memory_bytes_max: u64,
    /// Longest time for one file.
    pub time_max: Duration,
    /// A worker is replaced after so many files: leaks in parsers stay small.
    pub recycle_after: usize,
    /// Limits of each extraction.
    pub limits: Limits,
}

impl WorkerConfig {
    /// How often a busy worker's memory is looked at.
    pub const MEMORY_LOOK_EVERY: Duration = Duration::from_millis(15);

    /// Workers that run `command` with `arguments`: one for each core, 30 s and 512 MiB a file.
    pub fn new(
        command: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        WorkerConfig {
            command: command.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            workers_max: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes_max: 512 << 20,
            time_max: Duration::from_secs(30),
            recycle_after: 500,
            limits: Limits::default(),
        }
    }
}

/// Worker processes, started when first needed and reused between files.
///
/// Dropping the pool, or a future of [`WorkerPool::extract`], kills the workers concerned.
#[derive(Debug)]
pub struct WorkerPool {
    config: WorkerConfig,
    /// One permit for each worker that may be busy; fair, first come first served.
    permits: Semaphore,
    /// Workers that wait for a file.
    idle: Mutex<Vec<Worker>>,
    registry: Arc<Registry>,
}

impl WorkerPool {
    /// A pool without any worker yet.
    pub fn new(config: WorkerConfig) -> Self {
        let permits = Semaphore::new(config.workers_max.clamp(1, Semaphore::MAX_PERMITS));
        WorkerPool { config, permits, idle: Mutex::default(), registry: Arc::default() }
    }

    /// Extracts in a worker, waiting for one to be free.
    ///
    /// # Errors
    ///
    /// What [`crate::extract`] says, or [`ExtractError::Timeout`], [`ExtractError::Memory`],
    /// [`ExtractError::Crashed`] when the worker was killed or died, [`ExtractError::Io`] when none could be started.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O and time enabled.
    pub async fn extract(&self, format: &Format, bytes: &[u8]) -> Result<Extracted, ExtractError> {
        if !format.is_supported() {
            return Err(ExtractError::Unsupported(*format));
        }
        if bytes.len() as u64 > self.config.memory_bytes_max {
            return Err(ExtractError::too_large("memory_bytes_max", self.config.memory_bytes_max));
        }
        let closed = |_| ExtractError::Io {
            doing: "waiting for a worker".into(),
            source: std::io::Error::other("the pool is shut down"),
        };
        let _permit = self.permits.acquire().await.map_err(closed)?;
        let answer = match self.take_idle() {
            Some(mut reused) => match reused.ask(format, bytes, &self.config).await {
                // It was leaving when it was chosen. A new one answers for the file: it has no past to die of.
                Err(Failure::NotTaken(_)) => {
                    reused.end(Ending::Killed).await;
                    None
                }
                answer => Some((reused, answer)),
            },
            None => None,
        };
        let (worker, answer) = match answer {
            Some(answer) => answer,
            None => {
                let mut fresh = Worker::start(&self.config, &self.registry)?;
                let answer = fresh.ask(format, bytes, &self.config).await;
                (fresh, answer)
            }
        };
        match answer {
            Ok(answer) => {
                self.keep(worker);
                answer
            }
            Err(failure) => Err(self.bury(worker, failure).await),
        }
    }

    /// The process ids of all living workers.
    pub fn pids(&self) -> Vec<u32> {
        self.registry.pids()
    }

    /// The most bytes of private memory that any worker was seen to have.
    pub fn memory_bytes_peak(&self) -> u64 {
        self.registry.memory_bytes_peak()
    }

    /// Waits for busy workers, then ends all. Later calls of [`WorkerPool::extract`] fail.
    pub async fn shutdown(&self) {
        let all = u32::try_from(self.config.workers_max.max(1)).unwrap_or(u32::MAX);
        let permits = self.permits.acquire_many(all).await;
        self.permits.close();
        drop(permits);
        while let Some(worker) = self.take_idle() {
            worker.end(Ending::Asked).await;
        }
    }

    /// A waiting worker that is alive; dead ones are dropped. The one used last comes first, so that the others may
    /// be paged out.
    fn take_idle(&self) -> Option<Worker> {
        loop {
            let mut worker = lock(&self.idle).pop()?;
            if worker.is_alive() {
                return Some(worker);
            }
        }
    }

    /// Keeps a worker for the next file, unless it has done enough or grown fat.
    fn keep(&self, worker: Worker) {
        let fat = worker.private_bytes() > self.config.memory_bytes_max / IDLE_MEMORY_PART;
        if worker.files() < self.config.recycle_after && !fat {
            lock(&self.idle).push(worker);
        }
    }

    /// Ends a worker that failed, and says what happened.
    async fn bury(&self, worker: Worker, failure: Failure) -> ExtractError {
        match failure {
            Failure::Timeout => {
                worker.end(Ending::Killed).await;
                ExtractError::Timeout(self.config.time_max)
            }
            Failure::Memory => {
                worker.end(Ending::Killed).await;
                ExtractError::Memory { limit_bytes: self.config.memory_bytes_max }
            }
            Failure::NotTaken(error) | Failure::Broken(error) => {
                ExtractError::Crashed { how: worker.end(Ending::Dying).await.describe(&error) }
            }
        }
    }
}
