//! The stages, one operator a file: what a user gives, typed, and what the engine runs, erased.
//!
//! Between stages a value is a box of anything; each stage opens the type that the builder has put before it, so an
//! edge of the wrong type cannot be written.

mod batch;
mod flat_map;
mod io;
mod map;
mod map_batch;
mod sink;
mod source;

pub use batch::{Batch, Batched};
pub use flat_map::Expanding;
pub use io::Io;
pub use map::Cpu;
pub use map_batch::{MapsBatch, Outputs};
pub use sink::Sink;
pub use source::Source;

pub(crate) use batch::{BatchSize, Unit};
pub(crate) use flat_map::Children;

use crate::error::ItemError;
use crate::supervise::OnError;
use crate::weigh::Weigher;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// An item between stages.
pub(crate) type Value = Box<dyn Any + Send>;

/// A fallible step; `None` is an item that a filter has turned away.
pub(crate) type Step = Arc<dyn Fn(Value) -> Result<Option<Value>, ItemError> + Send + Sync>;
pub(crate) type Expander = Arc<dyn Fn(Value) -> Children + Send + Sync>;
pub(crate) type Gatherer = Arc<dyn Fn(Vec<Value>) -> Value + Send + Sync>;
pub(crate) type BatchStep = Arc<dyn Fn(Vec<Value>) -> Result<Vec<Value>, ItemError> + Send + Sync>;
pub(crate) type Measure = Arc<dyn Fn(&dyn Any) -> u64 + Send + Sync>;
pub(crate) type Keyer = Arc<dyn Fn(&dyn Any) -> String + Send + Sync>;
pub(crate) type Copier = Arc<dyn Fn(&dyn Any) -> Option<Value> + Send + Sync>;
pub(crate) type AckHook = Arc<dyn Fn(&dyn Any) -> Option<Box<dyn FnOnce() + Send + Sync>> + Send + Sync>;
pub(crate) type Future<R> = BoxFuture<'static, Result<R, ItemError>>;

/// One stage as the builder describes it.
pub(crate) struct Stage {
    pub(crate) name: Option<String>,
    pub(crate) work: Work,
    pub(crate) on_error: Option<OnError>,
    /// Names its outputs in error reports.
    pub(crate) key: Option<Keyer>,
    /// Weighs its outputs; a sink has none.
    pub(crate) weigh: Option<Weigher>,
}

/// What a stage does, erased.
pub(crate) enum Work {
    Source(SourceWork),
    Map { verb: &'static str, grows: bool, step: Step },
    FlatMap(Expander),
    Io(IoWork),
    Batch { size: BatchSize, gather: Gatherer },
    MapBatch { size: BatchSize, run: BatchStep },
    Sink { ordered: bool, run: SinkWork },
}

pub(crate) type SinkWork = Box<dyn FnMut(Value) -> Future<()> + Send>;

pub(crate) struct SourceWork {
    pub(crate) items: Items,
    pub(crate) on_ack: Option<AckHook>,
}

/// Where items come from.
pub(crate) enum Items {
    Iterator(Box<dyn Iterator<Item = Value> + Send>),
    Stream(BoxStream<'static, Value>),
}

pub(crate) struct IoWork {
    pub(crate) run: Arc<dyn Fn(Value) -> Future<Value> + Send + Sync>,
    pub(crate) limit: usize,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
    pub(crate) copy: Option<Copier>,
    pub(crate) at_most: Option<Measure>,
}

impl Stage {
    pub(crate) fn new(work: Work) -> Self {
        Self { name: None, work, on_error: None, key: None, weigh: None }
    }
}

impl Work {
    /// The word for it in plans and reports.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Map { verb, .. } => verb,
            Self::FlatMap(_) => "flat_map",
            Self::Io(_) => "io",
            Self::Batch { .. } => "batch",
            Self::MapBatch { .. } => "map_batch",
            Self::Sink { .. } => "sink",
        }
    }
}

/// Opens a value whose type the builder has fixed.
pub(crate) fn open<T: 'static>(value: Value) -> T {
    match value.downcast::<T>() {
        Ok(item) => *item,
        Err(_) => unreachable!("the builder gives each stage the type that the one before it makes"),
    }
}
