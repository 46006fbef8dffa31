//! `io`: work that waits. Tokio tasks carry it, so nothing depends on anyone polling.

use super::Work;
use super::exit::{Exit, Reserve};
use super::info::Info;
use super::value::Values;
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::machine::{CALLS_MAX, Kind, Member, Rate};
use crate::plan::Node;
use crate::weigh::{ByType, Weighing};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How long an io waits before its first retry unless `.backoff(…)` says otherwise.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Work for a Tokio task, on one item.
pub(crate) trait Call: Send + Sync {
    /// Starts the call.
    fn call(&self, values: Values) -> BoxFuture<'static, Result<Answer, ItemError>>;
    /// A copy for another try.
    fn copy(&self, values: &Values) -> Option<Values>;
    /// Appraises what the call has made.
    fn appraise(&self, values: &Values, member: &mut Member) -> Result<(), ItemError>;
    fn info(&self) -> &Arc<Info>;
}

/// How a call ended well.
pub(crate) enum Answer {
    /// It has made this of its item.
    Made(Values),
    Delivered,
}

/// How a node's calls are made.
#[derive(Clone, Debug)]
pub(crate) struct IoSettings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) backoff: Duration,
}

impl Default for IoSettings {
    fn default() -> Self {
        Self { timeout: None, retries: 0, backoff: BACKOFF_FIRST }
    }
}

/// Marks a flow whose last stage is an io over `T`.
#[derive(Debug)]
pub struct Io<T>(PhantomData<fn(T)>);

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into another by an async function, many at once. How many is for the engine to find out, unless
    /// `.limit(…)` says: 32 at first; more, up to 256, while that gets more of them done in a second; fewer, down to 4,
    /// where they only wait for each other, or fail. The report says what it came to.
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
        let (info, reserve) = (Info::new("io"), Arc::new(Reserve::<T>::default()));
        let asks = reserve.clone();
        let (of, made_by) = (reserve.clone(), info.clone());
        let kind = Kind::Io { slots: CALLS_MAX, adapts: true, grows: true };
        let make = move |exit| -> Work {
            Work::Call(Arc::new(IoCall { run, exit, info: made_by, reserve: of, answer: PhantomData }))
        };
        let ask = Arc::new(move |item: &T, bytes| asks.of(item, bytes));
        let mut flow = self.then(kind, info, Some(ask), ByType, make);
        if let Some(node) = flow.last_node() {
            node.hook = Some(Box::new(reserve));
        }
        flow
    }
}

struct IoCall<T, U, F, Fut> {
    run: F,
    exit: Exit<U>,
    info: Arc<Info>,
    reserve: Arc<Reserve<T>>,
    answer: PhantomData<fn() -> Fut>,
}

impl<T, U, E, F, Fut> Call for IoCall<T, U, F, Fut>
where
    T: Send + 'static,
    U: Send + 'static,
    E: Into<BoxError>,
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<U, E>> + Send + 'static,
{
    fn call(&self, values: Values) -> BoxFuture<'static, Result<Answer, ItemError>> {
        let answer = (self.run)(values.single::<T>());
        async move { answer.await.map(|item| Answer::Made(Values::one(item))).map_err(ItemError::user) }
            .boxed()
    }

    fn copy(&self, values: &Values) -> Option<Values> {
        let copy = self.reserve.copy.get()?;
        values.peek::<T>().map(|item| Values::one(copy(item)))
    }

    fn appraise(&self, values: &Values, member: &mut Member) -> Result<(), ItemError> {
        values.peek::<U>().map_or(Ok(()), |item| self.exit.try_appraise(item, member))
    }

    fn info(&self) -> &Arc<Info> {
        &self.info
    }
}

impl<T: Send + 'static, U, W> Flow<U, Io<T>, W> {
    /// So many items at once, and no other number.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let flow = || quipu_flow::Flow::from_iter(0..9u32).io(async |page: u32| Ok::<_, String>(page));
    /// let (free, fixed) = (flow().for_each(drop), flow().limit(3).for_each(drop));
    /// assert!(free.explain().to_string().contains("4 to 256 at once"));
    /// assert!(fixed.explain().to_string().contains("≤ 3 at once"));
    /// assert_eq!(fixed.run().await?.stages[1].at_once, Some(3));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn limit(self, items: usize) -> Self {
        self.with_node(|node| node.spec.kind = Kind::Io { slots: items, adapts: false, grows: true })
    }

    /// At most so many calls are begun in any period of this length, retries among them; the oldest item goes first. What
    /// waits for that takes no slot. Nothing is saved up: after a pause as many may begin at once as in any period, and
    /// no more. For an even pace say `.rate(1, ms(100))`, not `.rate(10, secs(1))`; the clock's grain is a millisecond.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// let pipeline = quipu_flow::Flow::from_iter(0..6u32)
    ///     .io(async |page: u32| Ok::<_, String>(page)).rate(2, Duration::from_millis(10))
    ///     .for_each(drop);
    /// assert!(pipeline.explain().to_string().contains("≤ 2 starts in 10ms"));
    /// assert!(pipeline.run().await?.elapsed >= Duration::from_millis(20));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rate(self, calls: u32, per: Duration) -> Self {
        self.with_node(|node| node.spec.rate = Some(Rate { starts: calls, per }))
    }

    /// Each attempt may take this long; then it is dropped and counts as failed.
    #[must_use]
    pub fn timeout(self, each: Duration) -> Self {
        self.with_node(|node| node.io.timeout = Some(each))
    }

    /// A failed item is tried up to `more` times again, after a growing, jittered pause in which it takes no slot. The
    /// copy that this needs is charged to the memory budget.
    #[must_use]
    pub fn retry(self, more: u32) -> Self
    where
        T: Clone,
    {
        self.with_node(|node| {
            node.io.retries = more;
            if let Some(reserve) = reserve_of::<T>(node) {
                let _ = reserve.copy.set(T::clone);
            }
        })
    }

    /// How long the pause before the first retry is; it doubles with each.
    #[must_use]
    pub fn backoff(self, first: Duration) -> Self {
        self.with_node(|node| node.io.backoff = first)
    }

    /// What `run` will make of an item is at most so many bytes. They are charged before it starts, so that many at
    /// once cannot pass the memory budget.
    #[must_use]
    pub fn output_at_most<F>(self, bytes: F) -> Self
    where
        F: Fn(&T) -> usize + Send + Sync + 'static,
    {
        self.with_node(|node| {
            if let Some(reserve) = reserve_of::<T>(node) {
                let _ = reserve.at_most.set(Arc::new(bytes));
            }
        })
    }

    fn with_node(mut self, change: impl FnOnce(&mut Node)) -> Self {
        if let Some(node) = self.last_node() {
            change(node);
        }
        self
    }
}

fn reserve_of<T: 'static>(node: &Node) -> Option<&Arc<Reserve<T>>> {
    node.hook.as_ref()?.downcast_ref()
}
