//! Extraction in processes that can be killed.
//!
//! A parser of foreign bytes can hang, allocate without end or overflow its stack, and nothing inside its process
//! can stop it. So it runs in another: [`WorkerPool`] starts worker processes when they are first needed, hands
//! each one file at a time over pipes, watches clock and memory, and kills what passes a limit. Only that file
//! fails; the next one gets a new worker. A worker's side is [`serve`], the body of a hidden subcommand of the
//! program.
//!
//! No worker is left behind: it ends when its standard input closes, which the system sees to even when this
//! process is killed, and even while it is parsing; whatever drops a worker here kills it. But it does not share the terminal's
//! Ctrl-C, so that its owner can finish what it has begun.

mod memory;
mod pool;
mod process;
mod protocol;
mod serve;

pub use pool::{WorkerConfig, WorkerPool};
pub use serve::{Parser, serve, serve_with};
