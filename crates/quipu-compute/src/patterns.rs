//! Shapes of parallel work that come up again and again, for synchronous code that borrows: inside a job (where they run
//! at once and share the pool's workers), in `spawn_blocking`, on a thread without a runtime. Each works with one worker.
//! They take the pool, as called outside one they would otherwise start Rayon's global pool.

use crate::pool::ComputePool;
use rayon::prelude::*;

/// What `map` makes of each item, in their order.
///
/// ```
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// let words = ["knot", "cord"];
/// let lengths = quipu_compute::patterns::parallel_map(&pool, &words, |word| word.len());
/// assert_eq!(lengths, [4, 4]);
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
///
/// # Panics
/// With a panic of `map`, and as [`ComputePool::execute_sync`].
pub fn parallel_map<T, R, F>(pool: &ComputePool, items: &[T], map: F) -> Vec<R>
where
    T: Sync,
    R: Send,
    F: Fn(&T) -> R + Send + Sync,
{
    pool.execute_sync(|| items.par_iter().map(map).collect())
}

/// What `reduce` makes of what `map` makes of each item; `identity` where there are none. `reduce` must be
/// associative; its arguments come in the items' order.
///
/// # Panics
/// With a panic of a closure, and as [`ComputePool::execute_sync`].
pub fn map_reduce<T, R, M, I, F>(pool: &ComputePool, items: &[T], map: M, identity: I, reduce: F) -> R
where
    T: Sync,
    R: Send,
    M: Fn(&T) -> R + Send + Sync,
    I: Fn() -> R + Send + Sync,
    F: Fn(R, R) -> R + Send + Sync,
{
    pool.execute_sync(|| items.par_iter().map(map).reduce(identity, reduce))
}

/// How [`divide_and_conquer`] goes on with a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Division<P> {
    /// Small enough to be solved as it is.
    Whole(P),
    /// To be solved as two.
    Halves(P, P),
}

/// Solves a problem by halves: `divide` splits it until it is small, `solve` solves the small ones, `merge` puts two
/// solutions together, left and right.
///
/// ```
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// use quipu_compute::patterns::{Division, divide_and_conquer};
///
/// let numbers: Vec<u64> = (1..=1000).collect();
/// let halve = |part: &[u64]| part.len() > 64;
/// let sum = divide_and_conquer(
///     &pool,
///     &numbers[..],
///     |part| if halve(part) { let (a, b) = part.split_at(part.len() / 2); Division::Halves(a, b) } else { Division::Whole(part) },
///     |part| part.iter().sum::<u64>(),
///     |left, right| left + right,
/// );
/// assert_eq!(sum, 500_500);
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
///
/// # Panics
/// With a panic of a closure, and as [`ComputePool::execute_sync`].
pub fn divide_and_conquer<P, S, D, C, M>(pool: &ComputePool, problem: P, divide: D, solve: C, merge: M) -> S
where
    P: Send,
    S: Send,
    D: Fn(P) -> Division<P> + Send + Sync,
    C: Fn(P) -> S + Send + Sync,
    M: Fn(S, S) -> S + Send + Sync,
{
    pool.execute_sync(|| conquer(problem, &divide, &solve, &merge))
}

fn conquer<P, S, D, C, M>(problem: P, divide: &D, solve: &C, merge: &M) -> S
where
    P: Send,
    S: Send,
    D: Fn(P) -> Division<P> + Sync,
    C: Fn(P) -> S + Sync,
    M: Fn(S, S) -> S + Sync,
{
    match divide(problem) {
        Division::Whole(problem) => solve(problem),
        Division::Halves(left, right) => {
            let side = |problem| conquer(problem, divide, solve, merge);
            let (left, right) = rayon::join(|| side(left), || side(right));
            merge(left, right)
        }
    }
}

/// A pipeline of scopes: each item goes through `first` and, as soon as it is out, through `second`, while others are
/// still in `first`; what comes out is in the items' order. For more stages, or unequal ones, take a flow.
///
/// ```
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// let parsed = quipu_compute::patterns::two_stages(
///     &pool,
///     vec!["1 2", "3"],
///     |line| line.split(' ').map(str::to_owned).collect::<Vec<_>>(),
///     |words| words.len(),
/// );
/// assert_eq!(parsed, [2, 1]);
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
///
/// # Panics
/// With a panic of a stage, and as [`ComputePool::execute_sync`].
pub fn two_stages<T, U, R, F, G>(pool: &ComputePool, items: Vec<T>, first: F, second: G) -> Vec<R>
where
    T: Send,
    U: Send,
    R: Send,
    F: Fn(T) -> U + Send + Sync,
    G: Fn(U) -> R + Send + Sync,
{
    let mut answers: Vec<Option<R>> = items.iter().map(|_| None).collect();
    pool.execute_sync(|| {
        let (first, second) = (&first, &second);
        rayon::scope(|scope| {
            for (item, answer) in items.into_iter().zip(&mut answers) {
                scope.spawn(move |scope| {
                    let between = first(item);
                    // A task of its own: another worker may take it while this one begins the next item.
                    scope.spawn(move |_| *answer = Some(second(between)));
                });
            }
        });
    });
    answers.into_iter().flatten().collect()
}

/// The items of a tree: `visit` is called once for the root and for each child that it returned, in no order.
///
/// ```
/// # let pool = quipu_compute::ComputePool::with_defaults()?;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let visited = AtomicU32::new(0);
/// quipu_compute::patterns::tree_walk(&pool, 3u32, |depth| {
///     visited.fetch_add(1, Relaxed);
///     if depth == 0 { vec![] } else { vec![depth - 1; 2] }
/// });
/// assert_eq!(visited.into_inner(), 1 + 2 + 4 + 8);
/// # Ok::<(), quipu_compute::ComputeError>(())
/// ```
///
/// # Panics
/// With a panic of `visit`, and as [`ComputePool::execute_sync`].
pub fn tree_walk<T, I, F>(pool: &ComputePool, root: T, visit: F)
where
    T: Send,
    I: IntoIterator<Item = T>,
    F: Fn(T) -> I + Send + Sync,
{
    pool.execute_sync(|| rayon::scope(|scope| walk(scope, root, &visit)));
}

fn walk<'scope, T, I, F>(scope: &rayon::Scope<'scope>, node: T, visit: &'scope F)
where
    T: Send + 'scope,
    I: IntoIterator<Item = T>,
    F: Fn(T) -> I + Send + Sync,
{
    for child in visit(node) {
        scope.spawn(move |scope| walk(scope, child, visit));
    }
}
