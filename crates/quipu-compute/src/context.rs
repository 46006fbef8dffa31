//! Which pool this thread's work goes to: [`ComputeContext`], for macros and libraries that are handed no pool.
//!
//! Tokio's workers get it by [`ComputeContext::install`], the thread that calls `block_on` by a guard of
//! [`ComputeContext::enter`], a pool's own workers from the pool. Where there is none, that is an error which says so;
//! nothing falls back to running work where it would do harm.

use crate::error::ComputeError;
use crate::pool::{ComputePool, Shared};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock, Weak};
#[cfg(not(loom))]
use tokio::runtime::Builder;

thread_local! {
    static CURRENT: RefCell<Option<Source>> = const { RefCell::new(None) };
}

enum Source {
    Pool(ComputePool),
    /// On a pool's own worker: filled once the pool is complete, and no reason for it to live.
    Own(Arc<OnceLock<Weak<Shared>>>),
}

/// The pool of the current thread.
///
/// ```
/// use quipu_compute::{ComputeContext, ComputePool, compute_large};
///
/// let context = ComputeContext::new(ComputePool::with_defaults()?);
/// let mut builder = tokio::runtime::Builder::new_multi_thread();
/// let runtime = context.install(&mut builder).worker_threads(1).build().expect("a runtime");
///
/// let _guard = context.enter(); // for the thread that calls `block_on`
/// let sum = runtime.block_on(async { compute_large!((1..=10).sum::<u64>()).await })?;
/// assert_eq!(sum, 55);
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ComputeContext {
    pool: ComputePool,
}

impl ComputeContext {
    /// A context of `pool`.
    #[must_use]
    pub fn new(pool: ComputePool) -> Self {
        Self { pool }
    }

    /// The current thread's.
    ///
    /// # Errors
    /// [`ComputeError::NoContext`] where there is none.
    pub fn current() -> Result<Self, ComputeError> {
        let pool = CURRENT.with_borrow(|current| match current {
            Some(Source::Pool(pool)) => Some(pool.clone()),
            Some(Source::Own(pool)) => {
                pool.get().and_then(Weak::upgrade).map(|shared| ComputePool { shared })
            }
            None => None,
        });
        pool.map(Self::new).ok_or(ComputeError::NoContext)
    }

    /// Its pool.
    #[must_use]
    pub fn pool(&self) -> &ComputePool {
        &self.pool
    }

    /// Gives every thread of the runtime to be built this context. A builder has one hook for that, `on_thread_start`:
    /// if you need it yourself, call [`adopt`](Self::adopt) in yours instead.
    // Tokio's builder has no hooks where it is itself compiled for loom.
    #[cfg(not(loom))]
    pub fn install<'a>(&self, builder: &'a mut Builder) -> &'a mut Builder {
        let context = self.clone();
        builder.on_thread_start(move || context.adopt())
    }

    /// Makes this the current thread's context for good.
    pub fn adopt(&self) {
        CURRENT.set(Some(Source::Pool(self.pool.clone())));
    }

    /// Makes this the current thread's context until the guard is dropped.
    pub fn enter(&self) -> ContextGuard {
        let before = CURRENT.replace(Some(Source::Pool(self.pool.clone())));
        ContextGuard { before, _thread: PhantomData }
    }
}

/// Gives the thread back the context that it had before. See [`ComputeContext::enter`].
#[must_use = "the context ends with its guard"]
pub struct ContextGuard {
    before: Option<Source>,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

impl std::fmt::Debug for ContextGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextGuard").finish_non_exhaustive()
    }
}

/// Called on each worker of a pool as it starts.
pub(crate) fn adopt(pool: Arc<OnceLock<Weak<Shared>>>) {
    CURRENT.set(Some(Source::Own(pool)));
}
