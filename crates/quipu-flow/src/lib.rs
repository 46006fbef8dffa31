//! A dataflow engine: typed stages on shared cores, bounded memory, exact counts.
//!
//! A [`Flow`] is built from a source, stages and a sink. Work that computes runs on one pool of cores
//! (`quipu-compute`), work that waits runs as Tokio tasks, and nothing has a worker or a queue of its own: each core
//! takes the most useful work that is ready when it becomes free. There is one knob, the memory budget in bytes.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use quipu_flow::{Batch, Flow};
//! use std::time::Duration;
//!
//! let report = Flow::from_iter(1..=100u64)
//!     .key(|number| number.to_string())
//!     .io(async |number| Ok::<_, std::io::Error>(number)).named("fetch").limit(8)
//!     .map(|number| number * number)
//!     .batch(Batch::items(10).within(Duration::from_secs(1)))
//!     .sink(async |squares: Vec<u64>| { assert!(squares.len() <= 10); Ok::<(), String>(()) })
//!     .memory(64 << 20)
//!     .run().await?;
//! assert_eq!(report.births, report.ends.total());
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//! - `Fn` stages run in parallel, the `FnMut` sink one call at a time. CPU functions never run on a Tokio worker; only
//!   `.key`, `.weigh` and batch weights do, on what an io has made: keep them cheap.
//! - Every item has credit, in items and bytes, from its birth to its end, and births wait for credit; so queues are
//!   bounded. Members of a batch keep credit and acknowledgement until the sink's `Ok`.
//! - A panic in a user's function is that item's error. What happens to failed items is [`OnError`]'s.
//! - On every ending, the number of births is the sum of all ends ([`Ends`]).

mod error;
mod flow;
mod machine;
mod pipeline;
mod plan;
mod report;
mod run;
pub mod stage;
mod supervise;
mod weigh;

pub use error::{BoxError, Failed, ItemError, RunError};
pub use flow::Flow;
pub use machine::Position;
pub use pipeline::Pipeline;
pub use plan::{Plan, PlannedStage};
pub use report::{Bound, Ended, Ends, Progress, Report, StageProgress, StageReport, Waiting};
pub use run::{Controls, Handle};
pub use stage::{Batch, ItemStream, Reduce, Streaming};
pub use supervise::{DeadLetters, OnError};
pub use weigh::{ByFunction, ByType, Weigh, Weighing};
