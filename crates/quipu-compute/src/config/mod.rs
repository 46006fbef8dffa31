//! What a pool is made of. Where settings come from other than code is `source`'s, how sizes are written `size`'s.

mod size;
mod source;

pub use size::parse_size;
pub use source::ENV_PREFIX;

use crate::error::ComputeError;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How many jobs may wait in a pool's queue unless [`ComputeConfig::queue_jobs_max`] says otherwise.
pub const QUEUE_JOBS_MAX: usize = 65_536;

/// The least stack that a worker is given: below it not even Rayon's own frames fit.
pub const STACK_BYTES_MIN: usize = 64 << 10;

/// From this time on a job counts as slow unless [`ComputeConfig::slow_job`] says otherwise.
pub const SLOW_JOB: Duration = Duration::from_millis(100);

/// Settings of a [`ComputePool`](crate::ComputePool); the defaults need no change.
///
/// ```
/// use quipu_compute::ComputeConfig;
///
/// let config = ComputeConfig::default().threads(4).stack_size("4MB")?.thread_name("embed");
/// assert_eq!(config.stack_bytes, Some(4_000_000));
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "toml", derive(serde::Deserialize), serde(try_from = "source::file::Table"))]
#[non_exhaustive]
pub struct ComputeConfig {
    /// Workers; `None` is one per usable core.
    pub threads: Option<usize>,
    /// Stack of each worker in bytes; `None` is the platform's own.
    pub stack_bytes: Option<usize>,
    /// Prefix of the workers' thread names, before a dash and the worker's number.
    pub thread_name: String,
    /// Whether worker `n` stays on the `n`th usable core (Linux only; an error elsewhere). Good for a machine of one's
    /// own, bad where others compute too.
    pub pin_cores: bool,
    /// How many jobs may wait at once; the next waits for a place, or is refused if it cannot wait.
    pub queue_jobs_max: usize,
    /// From this run time on a job is counted as slow.
    pub slow_job: Duration,
    /// The off switch. When false there is one worker (so that `par_iter` in a job does not reach Rayon's global pool),
    /// and every call that takes a job runs it to its end before it returns, also on a thread that drives a Tokio
    /// runtime. Tickets alone stay beside their callers, as one that respawns itself would never return.
    pub enabled: bool,
    /// Whether the macros count misclassified work; see [`validation`](crate::validation). Once switched on it is so
    /// for the process.
    pub validate: bool,
}

impl Default for ComputeConfig {
    fn default() -> Self {
        Self {
            threads: None,
            stack_bytes: None,
            thread_name: "quipu-compute".to_owned(),
            pin_cores: false,
            queue_jobs_max: QUEUE_JOBS_MAX,
            slow_job: SLOW_JOB,
            enabled: true,
            validate: false,
        }
    }
}

impl ComputeConfig {
    /// The same settings with `threads` workers.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The same settings with workers' stacks of this size, written as in [`parse_size`]: `"4MB"`, `"512KiB"`.
    ///
    /// # Errors
    /// A text that is no size.
    pub fn stack_size(mut self, size: &str) -> Result<Self, ComputeError> {
        self.stack_bytes = Some(size::setting("stack_size", size)?);
        Ok(self)
    }

    /// The same settings with this prefix of thread names.
    #[must_use]
    pub fn thread_name(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name = prefix.into();
        self
    }

    /// The same settings with workers pinned to cores, or not.
    #[must_use]
    pub fn pin_cores(mut self, pin: bool) -> Self {
        self.pin_cores = pin;
        self
    }

    /// The same settings with room for so many waiting jobs.
    #[must_use]
    pub fn queue_jobs_max(mut self, jobs: usize) -> Self {
        self.queue_jobs_max = jobs;
        self
    }

    /// The same settings with another bound from which a job is slow.
    #[must_use]
    pub fn slow_job(mut self, from: Duration) -> Self {
        self.slow_job = from;
        self
    }

    /// The same settings with the pool switched on or off.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Whether a pool can be made of this; [`ComputePool::new`](crate::ComputePool::new) asks too.
    ///
    /// # Errors
    /// A count of zero, a stack too small, a thread name with a zero byte.
    pub fn validate(&self) -> Result<(), ComputeError> {
        if self.threads == Some(0) {
            return Err(ComputeError::Zero("threads"));
        }
        if self.queue_jobs_max == 0 {
            return Err(ComputeError::Zero("queue_jobs_max"));
        }
        if let Some(bytes) = self.stack_bytes.filter(|&bytes| bytes < STACK_BYTES_MIN) {
            let expected = "at least 64KiB";
            return Err(ComputeError::Setting {
                setting: "stack_bytes".into(),
                value: bytes.to_string(),
                expected,
            });
        }
        if self.thread_name.contains('\0') {
            let (setting, value) = ("thread_name".to_owned(), self.thread_name.clone());
            return Err(ComputeError::Setting { setting, value, expected: "a name without zero bytes" });
        }
        Ok(())
    }
}

/// How many cores this process may use: affinity and cgroup quotas are respected.
#[must_use]
pub fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
