//! Where items come from: an iterator, a stream, a channel.

use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::{Made, Values};
use super::work::Pacer;
use super::{Core, Work};
use crate::error::ItemError;
use crate::flow::{End, Flow};
use crate::machine::{Allowance, Block, Failure, Hook, Kind, Member, Outcome, Quantum, Started, Verdict};
use crate::plan::Graph;
use crate::supervise::{Steps, contain, contain_async, contain_each};
use crate::weigh::ByType;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;

/// Marks a flow whose last stage is its source.
#[derive(Debug)]
pub struct Source;

/// What is called when an item is acknowledged; made of the item as it is born.
pub(crate) type OnAck<T> = Arc<OnceLock<Box<dyn Fn(&T) -> Hook + Send + Sync>>>;

/// A source outside the pool: one task waits for it.
pub(crate) trait Arrivals: Send + Sync {
    /// Waits until there is an item; false when there will be none any more, or the source broke.
    fn wait(&self) -> BoxFuture<'_, bool>;
    /// The items that are there, born now.
    fn take(&self, started: Started, allow: Allowance) -> Outcome<Values>;
}

impl<T: Send + 'static> Flow<T> {
    /// A flow of an iterator's items. `next` is called on the pool, one call at a time, when there is credit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = quipu_flow::Flow::from_iter(1..=3u32).for_each(|number| println!("{number}")).run().await?;
    /// assert_eq!(report.births, 3);
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::should_implement_trait, reason = "it is no collection, and its bounds are narrower")]
    pub fn from_iter<I>(items: I) -> Self
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        let items = items.into_iter();
        Self::source(false, move |exit, info, hook| {
            let birth = Birth { exit, info, hook };
            Work::Core(Arc::new(FromIterator { items: Mutex::new(Some(items)), birth }))
        })
    }

    /// A flow of a stream's items; a Tokio task polls it, and holds one item back while there is no credit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ticks = futures_util::stream::iter(["tick", "tock"]);
    /// let report = quipu_flow::Flow::from_stream(ticks).for_each(|tick| println!("{tick}")).run().await?;
    /// assert_eq!(report.births, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_stream(items: impl Stream<Item = T> + Send + 'static) -> Self {
        let items = items.boxed();
        Self::source(true, move |exit, info, hook| {
            let birth = Birth { exit, info, hook };
            let stream = Arriving { items, first: None, broken: None };
            Work::Arrivals(Arc::new(FromStream { stream: Mutex::new(Some(stream)), birth }))
        })
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

    fn source(
        external: bool,
        make: impl FnOnce(Exit<T>, Arc<Info>, OnAck<T>) -> Work + Send + 'static,
    ) -> Self {
        let mut graph = Graph::default();
        let (info, hook) = (Info::new("source"), OnAck::default());
        let node = graph.add(&[], Kind::Source { external, window: None }, Work::Outside, vec![info.clone()]);
        graph.nodes[node].hook = Some(Box::new(hook.clone()));
        let make = Box::new(move |exit| make(exit, info, hook));
        Self::new(graph, End::Node { node, make }, ByType)
    }
}

impl<T: Send + 'static, W> Flow<T, Source, W> {
    /// Calls `then` with what `take` kept of a source item, once everything that was made from the item has ended
    /// well: delivered, filtered, skipped, dead-lettered, or taken into a state. After a failure that stops the run,
    /// or a cancel, it is not called. `then` runs wherever the last of these ends; it must be short and must not block.
    ///
    /// It is the source's alone. What a state has taken in is acknowledged then, so that what comes out of a fold
    /// acknowledges nobody:
    ///
    /// ```compile_fail,E0599
    /// let flow = quipu_flow::Flow::from_iter(0..3u32);
    /// let sum = flow.fold(0, |sum, number| *sum += number).on_ack(|sum| *sum, |sum| println!("{sum}"));
    /// ```
    #[must_use]
    pub fn on_ack<A, K, F>(mut self, take: K, then: F) -> Self
    where
        A: Send + Sync + 'static,
        K: Fn(&T) -> A + Send + Sync + 'static,
        F: Fn(A) + Send + Sync + 'static,
    {
        let then = Arc::new(then);
        let hook = self.last_node().and_then(|node| node.hook.as_ref()?.downcast_ref::<OnAck<T>>().cloned());
        if let Some(hook) = hook {
            let _ = hook.set(Box::new(move |item| {
                let (kept, then) = (take(item), then.clone());
                Box::new(move || then(kept))
            }));
        }
        self
    }

    /// At most so many of its items may be unacknowledged: the next is born only when everything that was made of an
    /// earlier one has ended.
    #[must_use]
    pub fn unacknowledged(mut self, items: usize) -> Self {
        if let Some(node) = self.last_node()
            && let Kind::Source { window, .. } = &mut node.spec.kind
        {
            *window = Some(items);
        }
        self
    }
}

/// How items are born.
struct Birth<T> {
    exit: Exit<T>,
    info: Arc<Info>,
    hook: OnAck<T>,
}

impl<T: Send + 'static> Birth<T> {
    /// Takes items while they come and the allowance lasts. `next` says nothing where there is none: that ends the
    /// source, and so does its error.
    fn bear(
        &self,
        started: Started,
        allow: Allowance,
        next: impl FnMut() -> Result<Option<T>, ItemError>,
    ) -> Outcome<Values> {
        let began = Instant::now();
        let mut births = Births {
            birth: self,
            next,
            made: Made::with_capacity(allow.items.min(BIRTHS_AT_ONCE)),
            hooks: VecDeque::new(),
            failed: Vec::new(),
            is_last: false,
            is_enough: false,
            is_admitting: false,
            pace: Pacer::new(began, allow),
        };
        contain_each(&mut births);
        let Births { made, hooks, failed, is_last, .. } = births;
        let mut outcome = Outcome { hooks, failed, is_last, ..Outcome::new(started) };
        (outcome.worked, outcome.spent) = (made.members.len(), began.elapsed());
        let (left, failed) = (made.members.len() as u64, outcome.failed.len() as u64);
        let busy_ns = nanoseconds(outcome.spent);
        self.info.meter.add(Tally { entered: left + failed, left, failed, busy_ns });
        if !made.members.is_empty() {
            outcome.fresh.push((0, Block::new(Values::of(made.values), made.members, began)));
        }
        outcome
    }

    /// Nobody can say what the source would have yielded, so the run stops.
    fn broken(&self, error: ItemError) -> Failure {
        Failure { verdict: Verdict::Stop, ..self.info.failure(error) }
    }
}

/// Room is made for so many births at first.
const BIRTHS_AT_ONCE: usize = 512;

/// The births of one quantum.
struct Births<'a, T, N> {
    birth: &'a Birth<T>,
    next: N,
    made: Made<T>,
    hooks: VecDeque<Option<Hook>>,
    failed: Vec<(Member, Failure)>,
    is_last: bool,
    is_enough: bool,
    /// Whether it is an item that is being looked at, or the source that is being asked for one.
    is_admitting: bool,
    pace: Pacer,
}

impl<T: Send + 'static, N: FnMut() -> Result<Option<T>, ItemError>> Steps for Births<'_, T, N> {
    fn go_on(&mut self) -> Result<(), ItemError> {
        while !self.is_enough && !self.is_last {
            self.is_admitting = false;
            let Some(item) = (self.next)()? else {
                self.is_last = true;
                break;
            };
            self.is_admitting = true;
            let member = self.birth.exit.admit(&item);
            if let Some(hook) = self.birth.hook.get() {
                self.hooks.push_back(Some(hook(&item)));
            }
            self.pace.grow(0, member.bytes);
            self.made.push(item, member);
            self.is_enough = self.pace.is_enough();
        }
        Ok(())
    }

    fn failed(&mut self, error: ItemError) {
        // Where it stands among its brothers says later where it stands in the source.
        let place = (self.made.members.len() + self.failed.len()) as u64;
        let failure =
            if self.is_admitting { self.birth.info.failure(error) } else { self.birth.broken(error) };
        self.failed.push((Member::new(0, place), failure));
        self.is_last = !self.is_admitting;
        self.is_enough = self.pace.is_enough();
    }
}

struct FromIterator<T, I> {
    /// Empty while a birth has it.
    items: Mutex<Option<I>>,
    birth: Birth<T>,
}

impl<T: Send + 'static, I: Iterator<Item = T> + Send> Core for FromIterator<T, I> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let lock = || self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let mut items = lock().take();
        let outcome =
            self.birth.bear(quantum.started, quantum.allow, || Ok(items.as_mut().and_then(Iterator::next)));
        *lock() = items;
        outcome
    }
}

struct FromStream<T> {
    /// Empty while the waiting task has it.
    stream: Mutex<Option<Arriving<T>>>,
    birth: Birth<T>,
}

struct Arriving<T> {
    items: BoxStream<'static, T>,
    /// Has arrived, and waits for credit.
    first: Option<T>,
    broken: Option<ItemError>,
}

impl<T: Send + 'static> Arrivals for FromStream<T> {
    fn wait(&self) -> BoxFuture<'_, bool> {
        let waits = async {
            let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(mut stream) = stream else { return false };
            let next = contain_async(async { Ok(stream.items.next().await) }).await;
            match next {
                Ok(next) => stream.first = next,
                Err(error) => stream.broken = Some(error),
            }
            let has_more = stream.first.is_some() || stream.broken.is_some();
            *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
            has_more
        };
        waits.boxed()
    }

    fn take(&self, started: Started, allow: Allowance) -> Outcome<Values> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut stream) = stream else {
            return Outcome { is_last: true, ..Outcome::new(started) };
        };
        let mut is_over = false;
        // What is there already comes along; what is not is waited for by the task.
        let mut outcome = self.birth.bear(started, allow, || {
            if let Some(error) = stream.broken.take() {
                return Err(error);
            }
            if let Some(first) = stream.first.take() {
                return Ok(Some(first));
            }
            let next = contain(|| Ok(stream.items.next().now_or_never()))?;
            is_over = matches!(next, Some(None));
            Ok(next.flatten())
        });
        // Nothing, for once, is not the end.
        outcome.is_last = is_over || (outcome.is_last && !outcome.failed.is_empty());
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        outcome
    }
}
