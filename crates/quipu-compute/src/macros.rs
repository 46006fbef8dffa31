//! Work by its size: `compute_small!` runs where it stands, `compute_medium!` and `compute_large!` go to this thread's
//! pool. All three are ordinary calls into this crate: nothing depends on the features of the crate that uses them.

use crate::context::ComputeContext;
use crate::error::ComputeError;
use crate::pool::ComputePool;
use crate::validation::{SizeCheck, SizeClass};

/// Runs an expression of less than 100 µs here and now; it may borrow, return and use `?`.
///
/// ```
/// let words = vec!["knot", "cord"];
/// let letters = quipu_compute::compute_small!(words.iter().map(|word| word.len()).sum::<usize>());
/// assert_eq!((letters, words.len()), (8, 2));
/// ```
#[macro_export]
macro_rules! compute_small {
    ($work:expr) => {{
        let check = $crate::validation::SizeCheck::start($crate::validation::SizeClass::Small);
        let answer = $work;
        ::core::mem::drop(check);
        answer
    }};
}

/// Sends an expression of 100 µs to 1 ms to the pool of this thread's [`ComputeContext`], or to a given one.
///
/// - `compute_medium!(work).await` moves what it uses, and is a `Result<_, ComputeError>`;
/// - `compute_medium!(pool => work).await` names the pool;
/// - `compute_medium!(borrow: work)` may borrow. It blocks, so it is for threads that drive no Tokio runtime, and panics
///   on those that do. (An awaited borrow would be unsound: a future can be forgotten while its job runs.)
///
/// ```
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// let _guard = quipu_compute::ComputeContext::new(pool).enter();
/// let mut numbers = vec![3, 1, 2];
/// quipu_compute::compute_medium!(borrow: numbers.sort())?;
/// assert_eq!(numbers, [1, 2, 3]);
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
#[macro_export]
macro_rules! compute_medium {
    ($($work:tt)+) => { $crate::compute_offload!(Medium, $($work)+) };
}

/// Sends an expression of more than 1 ms to a pool: in the forms of [`compute_medium!`](crate::compute_medium).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), quipu_compute::ComputeError> {
/// let pool = quipu_compute::ComputePool::with_defaults()?;
/// let numbers: Vec<u64> = (1..=10).collect();
/// let sum = quipu_compute::compute_large!(&pool => numbers.iter().sum::<u64>()).await?;
/// assert_eq!(sum, 55);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! compute_large {
    ($($work:tt)+) => { $crate::compute_offload!(Large, $($work)+) };
}

/// What `compute_medium!` and `compute_large!` have in common.
#[doc(hidden)]
#[macro_export]
macro_rules! compute_offload {
    ($class:ident, borrow: $work:expr) => {
        $crate::macros::borrowing($crate::validation::SizeClass::$class, || $work)
    };
    ($class:ident, $pool:expr => $work:expr) => {
        $crate::macros::moving_to($pool, $crate::validation::SizeClass::$class, move || $work)
    };
    ($class:ident, $work:expr) => {
        $crate::macros::moving($crate::validation::SizeClass::$class, move || $work)
    };
}

#[doc(hidden)]
/// An awaited form, on the context's pool. The job is queued by the call, not by the first poll.
pub fn moving<R, F>(
    class: SizeClass,
    work: F,
) -> impl Future<Output = Result<R, ComputeError>> + Send + use<R, F>
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    let handle = ComputeContext::current().map(|context| context.pool().execute(checked(class, work)));
    async move { handle?.await }
}

#[doc(hidden)]
/// An awaited form, on a given pool.
pub fn moving_to<R, F>(
    pool: &ComputePool,
    class: SizeClass,
    work: F,
) -> impl Future<Output = Result<R, ComputeError>> + Send + use<R, F>
where
    R: Send + 'static,
    F: FnOnce() -> R + Send + 'static,
{
    pool.execute(checked(class, work))
}

#[doc(hidden)]
/// A borrowing form.
///
/// # Errors
/// A thread without a context.
#[track_caller]
pub fn borrowing<R, F>(class: SizeClass, work: F) -> Result<R, ComputeError>
where
    R: Send,
    F: FnOnce() -> R + Send,
{
    let context = ComputeContext::current()?;
    Ok(context.pool().execute_sync(checked(class, work)))
}

fn checked<R>(class: SizeClass, work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    move || {
        let _check = SizeCheck::start(class);
        work()
    }
}
