//! `map`, `try_map`, `filter`: stateless work for a core. Neighbours are fused and run in one go.

use super::{Stage, Step, Value, Work, open};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::weigh::{ByType, Weighing};
use std::sync::Arc;

/// Marks a flow whose last stage computes.
#[derive(Debug)]
pub struct Cpu;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into another, on the pool.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::Flow;
    /// let report = Flow::from_iter(["1", "two", "3"])
    ///     .try_map(|text| text.parse::<u32>()).on_error(quipu_flow::OnError::Skip)
    ///     .filter(|number| *number > 1)
    ///     .map(|number| number * 2)
    ///     .sink(async |number| { assert_eq!(number, 6); Ok::<(), String>(()) })
    ///     .run().await?;
    /// let ends = report.ends;
    /// assert_eq!((ends.delivered, ends.filtered, ends.skipped), (1, 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn map<U, F>(self, run: F) -> Flow<U, Cpu>
    where
        U: Send + 'static,
        F: Fn(T) -> U + Send + Sync + 'static,
    {
        let step = Arc::new(move |value| Ok(Some(Box::new(run(open::<T>(value))) as Value)));
        self.compute("map", true, step)
    }

    /// Turns each item into another, or fails it.
    pub fn try_map<U, E, F>(self, run: F) -> Flow<U, Cpu>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Result<U, E> + Send + Sync + 'static,
    {
        let step = Arc::new(move |value| match run(open::<T>(value)) {
            Ok(item) => Ok(Some(Box::new(item) as Value)),
            Err(error) => Err(ItemError::user(error)),
        });
        self.compute("try_map", true, step)
    }

    /// Lets through the items for which `keep` is true; the others end *filtered*.
    pub fn filter<F>(self, keep: F) -> Flow<T, Cpu, W>
    where
        F: Fn(&T) -> bool + Send + Sync + 'static,
        W: Clone,
    {
        let weight = self.weight.clone();
        let step = Arc::new(move |value: Value| {
            let stays = value.downcast_ref::<T>().is_some_and(&keep);
            Ok(stays.then_some(value))
        });
        self.then(Stage::new(Work::Map { verb: "filter", grows: false, step }), weight)
    }

    fn compute<U: Send + 'static>(self, verb: &'static str, grows: bool, step: Step) -> Flow<U, Cpu> {
        self.then(Stage::new(Work::Map { verb, grows, step }), ByType)
    }
}
