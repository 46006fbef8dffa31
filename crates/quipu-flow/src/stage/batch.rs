//! `batch`: several items become one `Vec`, and keep each member's position, credit and acknowledgement.

use super::{Measure, Stage, Value, Work, open};
use crate::flow::Flow;
use crate::weigh::{ByFunction, Weigher, Weighing, weigher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How large a batch is: a maximum in items, bytes or weight, and perhaps in time.
///
/// An item that would take a batch past its maximum closes the batch first; one that is larger by itself travels alone.
pub struct Batch<T> {
    pub(crate) size: BatchSize,
    item: PhantomData<fn(T)>,
}

/// A batch's size, erased.
#[derive(Clone)]
pub(crate) struct BatchSize {
    pub(crate) max: usize,
    pub(crate) unit: Unit,
    pub(crate) within: Option<Duration>,
}

#[derive(Clone)]
pub(crate) enum Unit {
    Items,
    Bytes,
    Weight(Measure),
}

impl<T: 'static> Batch<T> {
    /// So many items.
    #[must_use]
    pub fn items(max: usize) -> Self {
        Self::of(max, Unit::Items)
    }

    /// So many bytes, as the items are weighed.
    #[must_use]
    pub fn bytes(max: usize) -> Self {
        Self::of(max, Unit::Bytes)
    }

    /// So much of what `weight` says of each item: tokens, rows, pixels.
    pub fn weight(max: usize, weight: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        Self::of(max, Unit::Weight(weigher(weight)))
    }

    /// Not later than this after its first item, full or not.
    #[must_use]
    pub fn within(mut self, delay: Duration) -> Self {
        self.size.within = Some(delay);
        self
    }

    fn of(max: usize, unit: Unit) -> Self {
        Self { size: BatchSize { max, unit, within: None }, item: PhantomData }
    }
}

impl<T> std::fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({})", self.size)
    }
}

impl std::fmt::Display for BatchSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            Unit::Items => "items",
            Unit::Bytes => "bytes",
            Unit::Weight(_) => "of weight",
        };
        write!(f, "≤ {} {unit}", self.max)?;
        self.within.map_or(Ok(()), |delay| write!(f, " within {delay:?}"))
    }
}

/// Marks a flow whose last stage makes batches.
#[derive(Debug)]
pub struct Batched;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Gathers items into `Vec`s, each oldest first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// let report = Flow::from_iter(0..10u32)
    ///     .batch(Batch::items(4))
    ///     .sink(async |batch: Vec<u32>| { assert!(batch.len() <= 4); Ok::<(), String>(()) })
    ///     .run().await?;
    /// assert_eq!(report.ends.delivered, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch(self, size: Batch<T>) -> Flow<Vec<T>, Batched, ByFunction> {
        let gather =
            |values: Vec<Value>| -> Value { Box::new(values.into_iter().map(open::<T>).collect::<Vec<T>>()) };
        let (mut flow, each) = self.weighed();
        flow.push(Stage::new(Work::Batch { size: size.size, gather: Arc::new(gather) }));
        flow.retyped(ByFunction(sum_of::<T>(each)))
    }
}

/// A batch weighs what its members weigh, and no more: gathering waits for no credit, so it must not grow anything.
fn sum_of<T: 'static>(each: Weigher) -> Weigher {
    Arc::new(move |batch| {
        batch.downcast_ref::<Vec<T>>().map_or(0, |members| members.iter().map(|item| each(item)).sum())
    })
}
