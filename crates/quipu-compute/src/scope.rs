//! Many tasks in one Rayon scope at once: [`ScopeExecutor`], for scopes of either order.
//!
//! The tasks only ever start; a scope waits for them at its end, on this worker too. So none of this needs a second
//! worker.

use rayon::{Scope, ScopeFifo};
use std::sync::Arc;

/// Spawns tasks by the many in the scopes of [`execute_scoped`](crate::ComputePool::execute_scoped) and
/// [`execute_scoped_fifo`](crate::ComputePool::execute_scoped_fifo).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), quipu_compute::ComputeError> {
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// use quipu_compute::ScopeExecutor;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// let sum = pool.execute(|| {
///     let sum = AtomicU64::new(0);
///     rayon::scope(|scope| {
///         scope.spawn_each(1..=10, |number| {
///             sum.fetch_add(number, Relaxed);
///         });
///     });
///     sum.into_inner()
/// });
/// assert_eq!(sum.await?, 55);
/// # Ok(())
/// # }
/// ```
pub trait ScopeExecutor<'scope> {
    /// Spawns one task.
    fn spawn_task(&self, task: impl FnOnce() + Send + 'scope);

    /// Spawns `task` once for each item.
    fn spawn_each<I, F>(&self, items: I, task: F)
    where
        I: IntoIterator,
        I::Item: Send + 'scope,
        F: Fn(I::Item) + Send + Sync + 'scope,
    {
        let task = Arc::new(task);
        for item in items {
            let task = task.clone();
            self.spawn_task(move || task(item));
        }
    }

    /// Spawns `task` once for each run of `size` items, or fewer at the end: for items too small to be tasks.
    ///
    /// # Panics
    /// If `size` is zero.
    fn spawn_batches<T, F>(&self, items: Vec<T>, size: usize, task: F)
    where
        T: Send + 'scope,
        F: Fn(Vec<T>) + Send + Sync + 'scope,
    {
        assert!(size > 0, "a batch has items");
        let mut items = items.into_iter();
        let batches = std::iter::from_fn(move || {
            let batch: Vec<T> = items.by_ref().take(size).collect();
            (!batch.is_empty()).then_some(batch)
        });
        self.spawn_each(batches, task);
    }
}

impl<'scope> ScopeExecutor<'scope> for Scope<'scope> {
    fn spawn_task(&self, task: impl FnOnce() + Send + 'scope) {
        self.spawn(move |_| task());
    }
}

impl<'scope> ScopeExecutor<'scope> for ScopeFifo<'scope> {
    fn spawn_task(&self, task: impl FnOnce() + Send + 'scope) {
        self.spawn_fifo(move |_| task());
    }
}
