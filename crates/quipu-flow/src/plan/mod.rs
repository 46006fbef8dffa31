//! From a flow to what runs: a graph, checked and explained.

mod compile;
mod explain;
mod graph;

pub(crate) use compile::{Compiled, CompiledNode, compile};
pub use explain::{Plan, PlannedStage};
pub(crate) use graph::{Graph, Node, Outlet};
