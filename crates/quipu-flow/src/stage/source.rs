//! Sources: where items are born. Births are gated; nothing is fetched that there is no credit for.

use super::{Items, SourceWork, Stage, Value, Work};
use crate::flow::Flow;
use crate::weigh::ByType;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Marks a flow whose last stage is its source.
#[derive(Debug)]
pub struct Source;

impl<T: Send + 'static> Flow<T> {
    /// A flow of an iterator's items. `next` is called on the pool, one call at a time, when there is credit.
    #[expect(clippy::should_implement_trait, reason = "it is no collection, and its bounds are narrower")]
    pub fn from_iter<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        let items = items.into_iter().map(|item| Box::new(item) as Value);
        Self::from_items(Items::Iterator(Box::new(items)))
    }

    /// A flow of a stream's items; a Tokio task polls it when there is credit.
    pub fn from_stream(items: impl Stream<Item = T> + Send + 'static) -> Self {
        Self::from_items(Items::Stream(items.map(|item| Box::new(item) as Value).boxed()))
    }

    /// A flow of what comes through a bounded channel, until its senders are gone. A run that ends or drains closes
    /// the channel; its senders see that as an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (orders, receiver) = tokio::sync::mpsc::channel(8);
    /// let (acknowledge, mut acknowledged) = tokio::sync::mpsc::channel(8);
    /// let run = quipu_flow::Flow::from_channel(receiver)
    ///     .on_ack(|order: &u32| *order, move |order| acknowledge.try_send(order).unwrap_or_default())
    ///     .sink(async |_order| Ok::<(), String>(()))
    ///     .start()?;
    /// orders.send(7).await?;
    /// assert_eq!(acknowledged.recv().await, Some(7));
    /// run.drain();
    /// run.join().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_channel(mut items: mpsc::Receiver<T>) -> Self {
        Self::from_stream(stream::poll_fn(move |context| items.poll_recv(context)))
    }

    fn from_items(items: Items) -> Self {
        Self::start(Stage::new(Work::Source(SourceWork { items, on_ack: None })), ByType)
    }
}

impl<T: Send + 'static, W> Flow<T, Source, W> {
    /// Calls `then` with what `take` kept of a source item, once everything that was made from the item has ended
    /// well: delivered, filtered, skipped or dead-lettered. After a failure that stops the run, or a cancel, it is not
    /// called. `then` runs wherever the last of these ends; it must be short and must not block.
    #[must_use]
    pub fn on_ack<A, K, F>(mut self, take: K, then: F) -> Self
    where
        A: Send + Sync + 'static,
        K: Fn(&T) -> A + Send + Sync + 'static,
        F: Fn(A) + Send + Sync + 'static,
    {
        let then = Arc::new(then);
        if let Work::Source(source) = &mut self.last_mut().work {
            source.on_ack = Some(Arc::new(move |item| {
                let kept = take(item.downcast_ref::<T>()?);
                let then = then.clone();
                Some(Box::new(move || then(kept)))
            }));
        }
        self
    }
}
