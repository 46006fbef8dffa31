//! Cores for async code: a Rayon pool that Tokio tasks can await.
//!
//! Tokio's workers wait, a [`ComputePool`]'s workers compute, and neither does the other's job. A pool is its own
//! Rayon pool (the global one is never started), so a closure that runs on it may use `par_iter`, `join` and
//! `scope`, which then share its cores.
//!
//! Jobs do not enter Rayon one by one. They wait in one bounded queue of ours and are served in order by at most one
//! *runner* per worker: Rayon looks at jobs injected from outside last, so work that respawns itself would starve
//! them for ever.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), quipu_compute::ComputeError> {
//! use quipu_compute::{ComputeConfig, ComputePool};
//!
//! let pool = ComputePool::new(ComputeConfig::default())?;
//! let sum = pool.execute(|| (1..=10u64).sum::<u64>()).await?;
//! assert_eq!(sum, 55);
//! # Ok(())
//! # }
//! ```
//!
//! | for | take |
//! | --- | --- |
//! | one job, awaited | [`ComputePool::execute`]; dropping its [`ComputeHandle`] cancels it |
//! | one job that borrows | [`ComputePool::execute_sync`], off Tokio's workers |
//! | many small parts of one job | `par_iter` in a job, [`ComputePool::execute_scoped`], [`ComputePoolExt`], [`patterns`] |
//! | code that is handed no pool | a [`ComputeContext`] and [`compute_large!`] |
//! | knowing what happened | [`ComputePool::metrics`], [`validation`], [`oversubscription`] |

mod config;
mod error;

mod blocking;
mod execute;
mod handle;
mod pool;

mod cell;
mod job;
mod line;
mod runner;
mod sync;

mod affinity;
mod context;
mod ext;
mod metrics;
mod scope;
mod subscription;

pub mod macros;
pub mod patterns;
pub mod validation;

pub use config::{
    ComputeConfig, ENV_PREFIX, QUEUE_JOBS_MAX, SLOW_JOB, STACK_BYTES_MIN, parse_size, usable_cores,
};
pub use context::{ComputeContext, ContextGuard};
pub use error::{ComputeError, panic_message};
pub use ext::ComputePoolExt;
pub use handle::ComputeHandle;
pub use metrics::{ComputeMetrics, Histogram};
pub use pool::ComputePool;
pub use scope::ScopeExecutor;
pub use subscription::{Oversubscription, oversubscription};
pub use tokio_util::sync::CancellationToken;
