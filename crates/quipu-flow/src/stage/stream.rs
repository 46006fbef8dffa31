//! `stream`: a flow whose results somebody takes, one after the other, at their own speed.

use super::Work;
use super::info::Info;
use super::value::Values;
use crate::error::RunError;
use crate::flow::Flow;
use crate::machine::Kind;
use crate::pipeline::Pipeline;
use crate::report::Report;
use crate::run::{Controls, Handle};
use crate::weigh::Weighing;
use futures_util::Stream;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A flow that ends in a stream, ready to start.
#[must_use = "a pipeline does nothing until it is started"]
#[derive(Debug)]
pub struct Streaming<T> {
    pipeline: Pipeline,
    node: usize,
    item: PhantomData<fn() -> T>,
}

/// The results of a run under way. What is not taken waits in the run, in credit. Dropped, it cancels the run.
pub struct ItemStream<T> {
    handle: Option<Handle>,
    node: usize,
    item: PhantomData<fn() -> T>,
}

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Ends the flow in a stream that somebody else takes from.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::StreamExt;
    /// let mut squares = quipu_flow::Flow::from_iter(1..=3u32).map(|number| number * number).stream().ordered().start()?;
    /// assert_eq!(squares.next().await, Some(1));
    /// assert_eq!(squares.next().await, Some(4));
    /// assert_eq!(squares.next().await, Some(9));
    /// assert_eq!(squares.next().await, None);
    /// assert_eq!(squares.close().await?.ends.delivered, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A flow has one stream at most: of two, whoever takes slowly would hold the other up.
    ///
    /// ```compile_fail,E0382
    /// let flow = quipu_flow::Flow::from_iter(0..3u32);
    /// let (evens, odds) = (flow.stream(), flow.stream());
    /// ```
    ///
    /// Nor does anything stand behind a stream:
    ///
    /// ```compile_fail,E0599
    /// let squares = quipu_flow::Flow::from_iter(0..3u32).stream().map(|number| number * number);
    /// ```
    pub fn stream(self) -> Streaming<T> {
        let (mut graph, inlets) = self.close(None);
        let node =
            graph.add(&inlets, Kind::Stream { ordered: false }, Work::Outside, vec![Info::new("stream")]);
        Streaming { pipeline: Pipeline::new(graph), node, item: PhantomData }
    }
}

impl<T: Send + 'static> Streaming<T> {
    /// Items come in their source's order.
    pub fn ordered(self) -> Self {
        self.with(Pipeline::ordered)
    }

    /// Settings of the run: memory, pool, policy.
    pub fn with(self, set: impl FnOnce(Pipeline) -> Pipeline) -> Self {
        Self { pipeline: set(self.pipeline), ..self }
    }

    /// Starts the run.
    ///
    /// # Errors
    /// As of [`Pipeline::start`].
    pub fn start(self) -> Result<ItemStream<T>, RunError> {
        Ok(ItemStream { handle: Some(self.pipeline.start()?), node: self.node, item: PhantomData })
    }
}

impl<T: Send + 'static> ItemStream<T> {
    /// A grip on the run: progress, drain, cancel.
    ///
    /// # Panics
    /// Never: the handle is only gone with the stream.
    #[must_use]
    pub fn controls(&self) -> Controls {
        match &self.handle {
            Some(handle) => handle.controls(),
            None => unreachable!("the handle goes with the stream"),
        }
    }

    /// Ends the run, if it has not ended by itself: what was not taken ends cancelled.
    ///
    /// # Errors
    /// [`RunError::Failed`] if an item stopped the run: then the stream ended early.
    pub async fn close(mut self) -> Result<Report, RunError> {
        let Some(handle) = self.handle.take() else { unreachable!("the handle goes with the stream") };
        handle.end_stream();
        handle.join().await
    }
}

impl<T: Send + 'static> Stream for ItemStream<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(handle) = &self.handle else { return Poll::Ready(None) };
        handle.poll_offered(self.node, context).map(|offered| offered.map(Values::single::<T>))
    }
}

impl<T> Unpin for ItemStream<T> {}

impl<T> std::fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ItemStream").finish_non_exhaustive()
    }
}
