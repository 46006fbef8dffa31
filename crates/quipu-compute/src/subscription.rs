//! More computing threads than cores: seen when a pool starts, warned of, never forbidden.

use crate::config::usable_cores;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Workers of all of this process's live pools.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// Threads that compete for cores: a finding of [`oversubscription`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Oversubscription {
    /// Workers of all live pools of this process.
    pub compute_threads: usize,
    /// Workers of the current Tokio runtime; zero outside one.
    pub tokio_threads: usize,
    /// Cores that this process may use.
    pub cores: usize,
}

impl fmt::Display for Oversubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compute_threads, tokio_threads, cores } = self;
        write!(
            f,
            "{compute_threads} compute threads and {tokio_threads} Tokio workers share {cores} cores: give all of the \
             process one ComputePool, or fewer threads"
        )
    }
}

/// Whether this process's pools have more workers than there are cores, or together with the current runtime's workers
/// more than twice as many. (One of each per core is the default and does no harm: Tokio's wait while the pool's
/// compute.)
#[must_use]
pub fn oversubscription() -> Option<Oversubscription> {
    let tokio_threads =
        tokio::runtime::Handle::try_current().map_or(0, |runtime| runtime.metrics().num_workers());
    judge(WORKERS.load(Relaxed), tokio_threads, usable_cores())
}

fn judge(compute_threads: usize, tokio_threads: usize, cores: usize) -> Option<Oversubscription> {
    let is_over = compute_threads > cores || compute_threads + tokio_threads > 2 * cores;
    is_over.then_some(Oversubscription { compute_threads, tokio_threads, cores })
}

/// Counts a pool's workers while it lives.
pub(crate) struct Subscribed(usize);

impl Subscribed {
    pub(crate) fn new(workers: usize) -> Self {
        WORKERS.fetch_add(workers, Relaxed);
        Self(workers)
    }

    pub(crate) fn warn(&self) {
        if let Some(over) = oversubscription() {
            tracing::warn!("a compute pool of {} threads was started: {over}", self.0);
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        WORKERS.fetch_sub(self.0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_per_core_is_no_oversubscription() {
        assert_eq!(judge(8, 8, 8), None);
        assert_eq!(judge(8, 0, 8), None);
        assert!(judge(9, 0, 8).is_some());
        let over = judge(8, 9, 8).unwrap();
        assert!(over.to_string().starts_with("8 compute threads and 9 Tokio workers share 8 cores"));
    }
}
