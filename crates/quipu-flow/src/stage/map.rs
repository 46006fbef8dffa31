//! `map`, `try_map`, `filter`, `filter_map`, `inspect`: stateless work for a core. Neighbours are fused and run in one
//! go.

use super::chain::{Filter, Map, TryMap};
use super::info::Info;
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::weigh::{ByType, Weighing};

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
    ///     .for_each(|number| assert_eq!(number, 6))
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
        self.fuse(Info::new("map"), true, |_| ByType, |before, stage| Box::new(Map { before, stage, run }))
    }

    /// Turns each item into another, or fails it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Flow, RunError};
    /// let numbers = Flow::from_iter(["1", "two"]).try_map(|text| text.parse::<u32>());
    /// let Err(RunError::Failed { failed, .. }) = numbers.for_each(drop).run().await else { panic!() };
    /// assert_eq!(failed.to_string(), "stage 'try_map', item 1: invalid digit found in string");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_map<U, E, F>(self, run: F) -> Flow<U, Cpu>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Result<U, E> + Send + Sync + 'static,
    {
        let run = move |item| run(item).map(Some).map_err(ItemError::user);
        self.fuse(
            Info::new("try_map"),
            true,
            |_| ByType,
            |before, stage| Box::new(TryMap { before, stage, run }),
        )
    }

    /// Lets through the items for which `keep` is true; the others end *filtered*.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let odd = quipu_flow::Flow::from_iter(0..10u32).filter(|number| number % 2 == 1);
    /// let report = odd.for_each(|number| assert_eq!(number % 2, 1)).run().await?;
    /// assert_eq!((report.ends.delivered, report.ends.filtered), (5, 5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter<F>(self, keep: F) -> Flow<T, Cpu, W>
    where
        F: Fn(&T) -> bool + Send + Sync + 'static,
    {
        self.fuse(Info::new("filter"), false, W::clone, |before, stage| {
            Box::new(Filter { before, stage, keep })
        })
    }

    /// Turns each item into another, or into none: then it ends *filtered*.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = quipu_flow::Flow::from_iter(["7", "x"])
    ///     .filter_map(|text| text.parse::<u32>().ok())
    ///     .for_each(|number| assert_eq!(number, 7))
    ///     .run().await?;
    /// assert_eq!((report.ends.delivered, report.ends.filtered), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter_map<U, F>(self, run: F) -> Flow<U, Cpu>
    where
        U: Send + 'static,
        F: Fn(T) -> Option<U> + Send + Sync + 'static,
    {
        let run = move |item| Ok(run(item));
        self.fuse(
            Info::new("filter_map"),
            true,
            |_| ByType,
            |before, stage| Box::new(TryMap { before, stage, run }),
        )
    }

    /// Looks at each item on its way.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    /// static SUM: AtomicU64 = AtomicU64::new(0);
    /// quipu_flow::Flow::from_iter(1..=4u64)
    ///     .inspect(|number| { SUM.fetch_add(*number, Relaxed); })
    ///     .for_each(drop)
    ///     .run().await?;
    /// assert_eq!(SUM.load(Relaxed), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inspect<F>(self, look: F) -> Flow<T, Cpu, W>
    where
        F: Fn(&T) + Send + Sync + 'static,
    {
        let keep = move |item: &T| {
            look(item);
            true
        };
        self.fuse(Info::new("inspect"), false, W::clone, |before, stage| {
            Box::new(Filter { before, stage, keep })
        })
    }
}
