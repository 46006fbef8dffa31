//! `io`: work that waits. Each item is a spawned Tokio task, so nothing depends on anyone polling.

use super::{IoWork, Stage, Value, Work, open};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::weigh::{ByType, Weighing};
use futures_util::FutureExt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How many items an io stage works on at once unless `.limit(…)` says otherwise.
pub(crate) const IO_SLOTS: usize = 64;

/// How long an io waits before its first retry unless `.backoff(…)` says otherwise.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Marks a flow whose last stage is an io over `T`.
#[derive(Debug)]
pub struct Io<T>(PhantomData<fn(T)>);

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into another by an async function, many at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// let report = quipu_flow::Flow::from_iter(["a".to_string(), "bc".to_string()])
    ///     .io(async |path: String| Ok::<_, std::io::Error>(path.into_bytes()))
    ///     .limit(8).timeout(Duration::from_secs(5)).retry(2).output_at_most(|path| path.len())
    ///     .sink(async |_bytes| Ok::<(), String>(()))
    ///     .run().await?;
    /// assert_eq!(report.ends.delivered, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn io<U, E, F, Fut>(self, run: F) -> Flow<U, Io<T>>
    where
        U: Send + 'static,
        E: Into<BoxError>,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        let run = move |value| -> super::Future<Value> {
            let answer = run(open::<T>(value));
            async move { answer.await.map(|item| Box::new(item) as Value).map_err(ItemError::user) }.boxed()
        };
        let work = IoWork {
            run: Arc::new(run),
            limit: IO_SLOTS,
            timeout: None,
            retries: 0,
            backoff: BACKOFF_FIRST,
            copy: None,
            at_most: None,
        };
        self.then(Stage::new(Work::Io(work)), ByType)
    }
}

impl<T: Send + 'static, U, W> Flow<U, Io<T>, W> {
    /// At most so many items at once.
    #[must_use]
    pub fn limit(self, items: usize) -> Self {
        self.with_io(|io| io.limit = items)
    }

    /// Each attempt may take this long; then it is dropped and counts as failed.
    #[must_use]
    pub fn timeout(self, each: Duration) -> Self {
        self.with_io(|io| io.timeout = Some(each))
    }

    /// A failed item is tried up to `more` times again, after a growing, jittered pause in which it takes no slot. The
    /// copy that this needs is charged to the memory budget.
    #[must_use]
    pub fn retry(self, more: u32) -> Self
    where
        T: Clone,
    {
        self.with_io(|io| {
            io.retries = more;
            io.copy = Some(Arc::new(|value| {
                let copy: T = value.downcast_ref::<T>()?.clone();
                Some(Box::new(copy))
            }));
        })
    }

    /// How long the pause before the first retry is; it doubles with each.
    #[must_use]
    pub fn backoff(self, first: Duration) -> Self {
        self.with_io(|io| io.backoff = first)
    }

    /// What `run` will make of an item is at most so many bytes. They are charged before it starts, so that many at
    /// once cannot pass the memory budget.
    #[must_use]
    pub fn output_at_most<F>(self, bytes: F) -> Self
    where
        F: Fn(&T) -> usize + Send + Sync + 'static,
    {
        self.with_io(|io| {
            io.at_most =
                Some(Arc::new(move |value| value.downcast_ref::<T>().map_or(0, |item| bytes(item) as u64)));
        })
    }

    fn with_io(mut self, change: impl FnOnce(&mut IoWork)) -> Self {
        if let Work::Io(io) = &mut self.last_mut().work {
            change(io);
        }
        self
    }
}
