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

mod config;
mod error;
mod handle;
mod metrics;
mod pool;
mod queue;

pub use config::{ComputeConfig, QUEUE_JOBS_MAX, usable_cores};
pub use error::{ComputeError, panic_message};
pub use metrics::ComputeMetrics;
pub use pool::ComputePool;
