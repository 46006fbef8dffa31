//! `sink`: where items are delivered. Its `Ok` gives back credit and acknowledges.

use super::Work;
use super::info::Info;
use super::io::{Answer, Call};
use super::value::Values;
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::machine::{Kind, Member};
use crate::pipeline::Pipeline;
use crate::weigh::Weighing;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Ends the flow in an async function. It is called for one item after the other, the next when the last has been
    /// answered; `.limit(n)` lets so many be answered at once, `.ordered()` makes their order the source's.
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
    pub fn sink<E, F, Fut>(self, run: F) -> Pipeline
    where
        E: Into<BoxError>,
        F: FnMut(T) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        let info = Info::new("sink");
        let (mut graph, inlets) = self.close(None);
        let work = SinkCall { run: Mutex::new(run), info: info.clone(), item: PhantomData };
        let kind = Kind::Serial { ordered: false, waits: true, grows: false };
        graph.add(&inlets, kind, Work::Call(Arc::new(work)), vec![info]);
        Pipeline::new(graph)
    }
}

struct SinkCall<T, F> {
    /// Held only while the function makes its future, by one task at a time.
    run: Mutex<F>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, E, F, Fut> Call for SinkCall<T, F>
where
    T: Send + 'static,
    E: Into<BoxError>,
    F: FnMut(T) -> Fut + Send,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
{
    fn call(&self, values: Values) -> BoxFuture<'static, Result<Answer, ItemError>> {
        let answer = (self.run.lock().unwrap_or_else(PoisonError::into_inner))(values.single::<T>());
        async move { answer.await.map(|()| Answer::Delivered).map_err(ItemError::user) }.boxed()
    }

    fn copy(&self, _: &Values) -> Option<Values> {
        None
    }

    fn appraise(&self, _: &Values, _: &mut Member) -> Result<(), ItemError> {
        Ok(())
    }

    fn info(&self) -> &Arc<Info> {
        &self.info
    }
}
