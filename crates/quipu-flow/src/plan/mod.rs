//! From a flow to what runs: checked, fused into segments, and explained.

mod explain;
mod fuse;

pub use explain::{Plan, PlannedStage};
pub(crate) use fuse::{Compiled, Segment, StageInfo, Task, compile};
