//! What a pool is made of. How it runs is `pool`'s.

use std::num::NonZeroUsize;

/// How many jobs may wait in a pool's queue unless [`ComputeConfig::queue_jobs_max`] says otherwise.
pub const QUEUE_JOBS_MAX: usize = 65_536;

/// Settings of a [`ComputePool`](crate::ComputePool); the defaults need no change.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ComputeConfig {
    /// Workers; `None` is one per usable core.
    pub threads: Option<usize>,
    /// Stack of each worker in bytes; `None` is the platform's own.
    pub stack_bytes: Option<usize>,
    /// Prefix of the workers' thread names.
    pub thread_name: String,
    /// How many jobs of `execute` and `spawn` may wait at once.
    pub queue_jobs_max: usize,
}

impl Default for ComputeConfig {
    fn default() -> Self {
        Self {
            threads: None,
            stack_bytes: None,
            thread_name: "quipu-compute".to_owned(),
            queue_jobs_max: QUEUE_JOBS_MAX,
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
}

/// How many cores this process may use: affinity and cgroup quotas are respected.
#[must_use]
pub fn usable_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
