//! What becomes of errors: the one place where user panics are caught, and the policies for failed items.

use crate::error::{BoxError, Failed, ItemError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What to do with an item that failed, per stage (`.on_error`) or for the whole run (`.on_any_error`).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum OnError {
    /// The run ends `Failed`; what is in flight is cancelled.
    #[default]
    Stop,
    /// The item ends *skipped*, which counts as acknowledged.
    Skip,
    /// The item goes to a sink for failed items and ends *dead-lettered* when that says `Ok`; see
    /// [`OnError::dead_letter`].
    DeadLetter(DeadLetters),
}

impl OnError {
    /// The policy that hands failed items to `sink`, one at a time. They keep their credit and their acknowledgement
    /// until it has said `Ok`; its error stops the run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Flow, OnError};
    /// let refused = OnError::dead_letter(async |failed| Ok::<(), String>(println!("{failed}")));
    /// let numbers = Flow::from_iter(["1", "two"]).try_map(|text| text.parse::<u32>()).on_error(refused);
    /// let report = numbers.for_each(drop).run().await?;
    /// assert_eq!((report.ends.delivered, report.ends.dead_lettered), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead_letter<F, Fut, E>(sink: F) -> Self
    where
        F: Fn(Failed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::DeadLetter(DeadLetters(Arc::new(move |failed| {
            let end = sink(failed);
            async move { end.await.map_err(ItemError::user) }.boxed()
        })))
    }
}

type Letters = dyn Fn(Failed) -> BoxFuture<'static, Result<(), ItemError>> + Send + Sync;

/// A sink for failed items, made by [`OnError::dead_letter`].
#[derive(Clone)]
pub struct DeadLetters(Arc<Letters>);

impl DeadLetters {
    pub(crate) async fn deliver(&self, failed: Failed) -> Result<(), ItemError> {
        let sink = self.0.clone();
        contain_async(async move { sink(failed).await }).await
    }
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeadLetters")
    }
}

/// Runs user code of the pool; its panic becomes the item's error.
pub(crate) fn contain<R>(run: impl FnOnce() -> Result<R, ItemError>) -> Result<R, ItemError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// User code that is called item by item.
pub(crate) trait Steps {
    /// Goes on with the next item, until there is none, enough was done, or one has failed.
    fn go_on(&mut self) -> Result<(), ItemError>;
    /// That item has failed.
    fn failed(&mut self, error: ItemError);
}

/// Takes all steps, and catches panics for many of them at once: a net for each item would cost more than a small item.
pub(crate) fn contain_each(steps: &mut impl Steps) {
    while let Err(error) = contain(|| steps.go_on()) {
        steps.failed(error);
    }
}

/// Runs user code of Tokio's side; its panic, wherever it is polled, becomes the item's error.
pub(crate) async fn contain_async<R>(
    run: impl Future<Output = Result<R, ItemError>>,
) -> Result<R, ItemError> {
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> ItemError {
    ItemError::Panic(quipu_compute::panic_message(panic))
}
