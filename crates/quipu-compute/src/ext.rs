//! Many items at once, awaited: [`ComputePoolExt`], for whatever has a pool.

use crate::context::ComputeContext;
use crate::handle::ComputeHandle;
use crate::pool::ComputePool;
use rayon::prelude::*;

/// Maps items on a pool's workers.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), quipu_compute::ComputeError> {
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// use quipu_compute::ComputePoolExt;
///
/// let squares = pool.parallel_map(vec![1, 2, 3], |number| number * number).await?;
/// assert_eq!(squares, [1, 4, 9]);
/// let sums = pool.parallel_batch(vec![1, 2, 3], 2, |batch| vec![batch.iter().sum::<i32>()]).await?;
/// assert_eq!(sums, [3, 3]);
/// # Ok(())
/// # }
/// ```
pub trait ComputePoolExt {
    /// The pool that is meant.
    fn compute_pool(&self) -> &ComputePool;

    /// What `map` makes of each item, in the items' order. One job: it takes one place in the queue.
    fn parallel_map<T, R, F>(&self, items: Vec<T>, map: F) -> ComputeHandle<Vec<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: Fn(T) -> R + Send + Sync + 'static,
    {
        self.compute_pool().execute(move || items.into_par_iter().map(map).collect())
    }

    /// What `map` makes of each run of `size` items (fewer at the end), in the items' order, joined: for items too
    /// small to be worth a task each.
    ///
    /// # Panics
    /// If `size` is zero.
    fn parallel_batch<T, R, F>(&self, items: Vec<T>, size: usize, map: F) -> ComputeHandle<Vec<R>>
    where
        T: Send + Sync + 'static,
        R: Send + 'static,
        F: Fn(&[T]) -> Vec<R> + Send + Sync + 'static,
    {
        assert!(size > 0, "a batch has items");
        self.compute_pool().execute(move || {
            let batches: Vec<Vec<R>> = items.par_chunks(size).map(map).collect();
            batches.into_iter().flatten().collect()
        })
    }
}

impl ComputePoolExt for ComputePool {
    fn compute_pool(&self) -> &ComputePool {
        self
    }
}

impl ComputePoolExt for ComputeContext {
    fn compute_pool(&self) -> &ComputePool {
        self.pool()
    }
}
