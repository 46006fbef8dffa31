//! The stages, one operator a file: what a user gives, typed, and what the engine runs, erased.
//!
//! | file | what |
//! | --- | --- |
//! | `value`, `exit`, `info`, `work`, `chain` | how values travel, are appraised, are counted, and pass fused stages |
//! | `source`, `map`, `flat_map`, `io`, `batch`, `map_batch`, `device` | one item after the other |
//! | `scan`, `keyed`, `fold` | with a state |
//! | `fork`, `join`, `scatter`, `group` | graphs |
//! | `sink`, `stream` | ends |

mod batch;
pub(crate) mod chain;
mod device;
pub(crate) mod exit;
mod flat_map;
mod fold;
mod fork;
mod group;
pub(crate) mod info;
mod io;
mod join;
mod keyed;
mod map;
mod map_batch;
mod scan;
mod scatter;
mod sink;
mod source;
mod stream;
pub(crate) mod value;
mod work;

pub use batch::{Batch, Batched};
pub use device::Device;
pub use flat_map::Expanding;
pub use fold::Fold;
pub use fork::{Branch, Branching, Entry};
pub use group::{Grouped, Reduce};
pub use io::Io;
pub use join::Joined;
pub use keyed::Keyed;
pub use map::Cpu;
pub use map_batch::{MapsBatch, Outputs};
pub use scan::Serial;
pub use scatter::Scattered;
pub use source::Source;
pub use stream::{ItemStream, Streaming};

pub(crate) use device::Hosts;
pub(crate) use io::{Answer, Call, IoSettings};
pub(crate) use source::Arrivals;

use crate::machine::{Outcome, Quantum};
use std::sync::Arc;
use value::Values;

/// Work for a core.
pub(crate) trait Core: Send + Sync {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values>;

    /// Drops the state of a group that will not be closed.
    fn forget(&self, _group: u64) {}
}

/// What a node does, erased.
#[derive(Clone)]
pub(crate) enum Work {
    /// On a core.
    Core(Arc<dyn Core>),
    /// As Tokio tasks.
    Call(Arc<dyn Call>),
    /// In the one task that waits for a source outside.
    Arrivals(Arc<dyn Arrivals>),
    /// On a thread of its own.
    Host(Arc<dyn Hosts>),
    /// Taken from by somebody else.
    Outside,
}
