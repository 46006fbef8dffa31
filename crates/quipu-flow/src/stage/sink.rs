//! `sink`: where items are delivered, one call at a time. Its `Ok` gives back credit and acknowledges.

use super::{Stage, Work, open};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::pipeline::Pipeline;
use crate::weigh::Weighing;
use futures_util::FutureExt;

/// Marks a finished pipeline's last stage.
#[derive(Debug)]
pub struct Sink;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Ends the flow in an async function. It is called for one item after the other, the next when the last has been
    /// answered.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::{Arc, Mutex};
    /// let squares = Arc::new(Mutex::new(Vec::new()));
    /// let store = squares.clone();
    /// quipu_flow::Flow::from_iter(1..=4u32)
    ///     .map(|number| number * number)
    ///     .sink(move |square| { store.lock().unwrap().push(square); async { Ok::<(), String>(()) } })
    ///     .ordered()
    ///     .run().await?;
    /// assert_eq!(*squares.lock().unwrap(), [1, 4, 9, 16]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sink<E, F, Fut>(self, mut run: F) -> Pipeline
    where
        E: Into<BoxError>,
        F: FnMut(T) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        let run = move |value| {
            let answer = run(open::<T>(value));
            async move { answer.await.map_err(ItemError::user) }.boxed()
        };
        let (mut flow, _) = self.weighed();
        flow.push(Stage::new(Work::Sink { ordered: false, run: Box::new(run) }));
        Pipeline::new(flow.into_stages())
    }
}
