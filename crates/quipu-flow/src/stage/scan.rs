//! `scan` and `for_each`: work with a state, one call at a time; `for_each` is also where a flow may end.

use super::chain::Pacer;
use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::{Made, Values};
use super::{Core, Work};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::machine::{Block, End, Kind, Outcome, Quantum, Task};
use crate::pipeline::Pipeline;
use crate::supervise::contain;
use crate::weigh::{ByType, Weighing};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Marks a flow whose last stage has a state.
#[derive(Debug)]
pub struct Serial;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into another with a state, one at a time, in the order in which they come; `.ordered()` makes
    /// that the source's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut sums = Vec::new();
    /// let mut last = 0;
    /// quipu_flow::Flow::from_iter(1..=4u32)
    ///     .scan(0, |sum, number| { *sum += number; *sum }).ordered()
    ///     .for_each(move |sum| { assert!(sum > last); last = sum; sums.push(sum); }).ordered()
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan<A, U, F>(self, state: A, mut run: F) -> Flow<U, Serial>
    where
        A: Send + 'static,
        U: Send + 'static,
        F: FnMut(&mut A, T) -> U + Send + 'static,
    {
        let (info, mut state) = (Info::new("scan"), state);
        let run = move |item| Ok(run(&mut state, item));
        self.then(
            Kind::Serial { ordered: false, waits: false, grows: true },
            info.clone(),
            None,
            ByType,
            move |exit| {
                Work::Core(Arc::new(Scan { run: Mutex::new(Some(run)), exit, info, item: PhantomData }))
            },
        )
    }

    /// Ends the flow in a function on a core, one call at a time. In the source's order, if `.ordered()` says so.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut next = 1;
    /// quipu_flow::Flow::from_iter(1..=100u32)
    ///     .map(|number| number * 2)
    ///     .for_each(move |double| { assert_eq!(double, next * 2); next += 1; }).ordered()
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<F>(self, mut run: F) -> Pipeline
    where
        F: FnMut(T) + Send + 'static,
    {
        self.finish_on_core("for_each", move |item| {
            run(item);
            Ok(())
        })
    }

    /// Ends the flow in a function on a core that may refuse its item.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Flow, OnError};
    /// let report = Flow::from_iter(["1", "x"])
    ///     .try_for_each(|text| text.parse::<u32>().map(drop)).on_error(OnError::Skip)
    ///     .run().await?;
    /// assert_eq!((report.ends.delivered, report.ends.skipped), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_for_each<E, F>(self, mut run: F) -> Pipeline
    where
        E: Into<BoxError>,
        F: FnMut(T) -> Result<(), E> + Send + 'static,
    {
        self.finish_on_core("try_for_each", move |item| run(item).map_err(ItemError::user))
    }

    fn finish_on_core<F>(self, verb: &'static str, run: F) -> Pipeline
    where
        F: FnMut(T) -> Result<(), ItemError> + Send + 'static,
    {
        let info = Info::new(verb);
        let (mut graph, inlets) = self.close(None);
        let work = ForEach { run: Mutex::new(Some(run)), info: info.clone(), item: PhantomData };
        graph.add(
            &inlets,
            Kind::Serial { ordered: false, waits: false, grows: false },
            Work::Core(Arc::new(work)),
            vec![info],
        );
        Pipeline::new(graph)
    }
}

impl<T, W> Flow<T, Serial, W> {
    /// Its items come in their source's order. What came too early waits, in credit.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        if let Some(node) = self.last_node()
            && let Kind::Serial { ordered, .. } = &mut node.spec.kind
        {
            *ordered = true;
        }
        self
    }
}

struct Scan<T, U, F> {
    /// Empty while a quantum has it.
    run: Mutex<Option<F>>,
    exit: Exit<U>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, U, F> Core for Scan<T, U, F>
where
    T: Send + 'static,
    U: Send + 'static,
    F: FnMut(T) -> Result<U, ItemError> + Send,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        with(&self.run, |run| {
            let mut made = Made::with_capacity(0);
            let mut outcome = one_by_one::<T, U>(quantum, &self.info, run, |output, member, pace| {
                let before = member.bytes;
                self.exit.try_appraise(&output, member)?;
                pace.grow(before, member.bytes);
                made.push(output, std::mem::take(member));
                Ok(())
            });
            if !made.members.is_empty() {
                outcome.moved.push((0, Block::new(Values::of(made.values), made.members, Instant::now())));
            }
            outcome
        })
    }
}

struct ForEach<T, F> {
    run: Mutex<Option<F>>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, F> Core for ForEach<T, F>
where
    T: Send + 'static,
    F: FnMut(T) -> Result<(), ItemError> + Send,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        with(&self.run, |run| {
            let mut delivered = VecDeque::new();
            let mut outcome = one_by_one::<T, ()>(quantum, &self.info, run, |(), member, _| {
                delivered.push_back(std::mem::take(member));
                Ok(())
            });
            outcome.ended.push((End::Delivered, delivered));
            outcome
        })
    }
}

/// Takes a state out of its place for as long as it is worked with, so that no lock is held over user code.
pub(crate) fn with<F, R>(place: &Mutex<Option<F>>, work: impl FnOnce(&mut F) -> R) -> R {
    let lock = || place.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut state) = lock().take() else { unreachable!("a serial stage has one quantum at a time") };
    let answer = work(&mut state);
    *lock() = Some(state);
    answer
}

/// Works on a block item by item. `keep` is given each output with its member, and takes that member.
pub(crate) fn one_by_one<T: Send + 'static, U>(
    quantum: Quantum<Values>,
    info: &Info,
    run: &mut dyn FnMut(T) -> Result<U, ItemError>,
    mut keep: impl FnMut(U, &mut crate::machine::Member, &mut Pacer) -> Result<(), ItemError>,
) -> Outcome<Values> {
    let Quantum { started, task: Task::Block(block), allow } = quantum else {
        unreachable!("a serial stage works on items")
    };
    let began = Instant::now();
    let mut outcome = Outcome::new(started);
    let mut values = block.values.column::<T>();
    let mut members = block.members;
    let mut pace = Pacer::new(began, allow);
    let mut tally = Tally::default();
    while let (Some(item), Some(mut member)) = (values.pop_front(), members.pop_front()) {
        tally.entered += 1;
        match contain(|| run(item)).and_then(|output| keep(output, &mut member, &mut pace)) {
            Ok(()) => tally.left += 1,
            Err(error) => {
                tally.failed += 1;
                outcome.failed.push((member, info.failure(error)));
            }
        }
        if pace.is_enough() {
            break;
        }
    }
    (outcome.worked, outcome.spent) = (pace.items, began.elapsed());
    info.meter.add(Tally { busy_ns: nanoseconds(outcome.spent), ..tally });
    if !members.is_empty() {
        outcome.rest = Some(Block { values: Values::of(values), members, since: block.since, attempts: 0 });
    }
    outcome
}
