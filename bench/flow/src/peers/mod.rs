//! The others: each does the workloads in its own way, in a small file of its own.

pub(crate) mod crossbeam;
pub(crate) mod dynamo;
pub(crate) mod onetbb;
pub(crate) mod para;
pub(crate) mod pariter;
pub(crate) mod plain;
mod program;
mod reorder;
pub(crate) mod tokio_channels;
pub(crate) mod tokio_rayon;

/// Places of each bounded channel, in items: of 16, 64, 256, 1,024, 4,096 and 16,384 the smallest that was never clearly
/// slower than a larger one for any peer, on a noisy machine. With 16, threads and crossbeam take a hundred times as
/// long.
const CHANNEL_ITEMS: usize = 4096;
/// The same in front of a slow sink, where every place holds a kilobyte and speed does not matter.
const CHANNEL_ITEMS_LARGE: usize = 256;
