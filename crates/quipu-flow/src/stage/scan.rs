//! `scan` and `for_each`: work with a state, one call at a time; `for_each` is also where a flow may end.

use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::Values;
use super::work::{Pacer, Turns};
use super::{Core, Work};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::machine::{Block, End, Kind, Member, Outcome, Quantum, Task};
use crate::pipeline::Pipeline;
use crate::supervise::{Steps, contain_each};
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
        with(&self.run, |run| map_one_by_one(quantum, &self.info, &self.exit, run))
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
            let (mut outcome, delivered) = one_by_one::<T, ()>(quantum, &self.info, run, |(), _| Ok(()));
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

/// Turns on a block item by item; `keep` is given each output with its member. What it leaves is who has passed.
pub(crate) fn one_by_one<T: Send + 'static, U>(
    quantum: Quantum<Values>,
    info: &Info,
    run: impl FnMut(T) -> Result<U, ItemError>,
    keep: impl FnMut(U, &mut Member) -> Result<(), ItemError>,
) -> (Outcome<Values>, VecDeque<Member>) {
    let Quantum { started, task: Task::Block(block), allow } = quantum else {
        unreachable!("a serial stage works on items")
    };
    let began = Instant::now();
    let values = block.values.column::<T>();
    let turns = Turns::new(block.members, Pacer::new(began, allow));
    let mut each = Each { values, turns, run, keep, info };
    contain_each(&mut each);
    let Each { values, turns, .. } = each;
    let mut outcome = Outcome::new(started);
    (outcome.worked, outcome.spent) = (turns.done(), began.elapsed());
    let (entered, failed) = (turns.done() as u64, turns.failures());
    info.meter.add(Tally { entered, left: entered - failed, failed, busy_ns: nanoseconds(outcome.spent) });
    let rest = |members| Block { values: Values::of(values), members, since: block.since, attempts: 0 };
    let passed = turns.conclude(&mut outcome, rest);
    (outcome, passed)
}

struct Each<'a, T, F, G> {
    values: VecDeque<T>,
    turns: Turns,
    run: F,
    keep: G,
    info: &'a Info,
}

impl<T, U, F, G> Steps for Each<'_, T, F, G>
where
    F: FnMut(T) -> Result<U, ItemError>,
    G: FnMut(U, &mut Member) -> Result<(), ItemError>,
{
    fn go_on(&mut self) -> Result<(), ItemError> {
        while let Some(member) = self.turns.next() {
            let Some(item) = self.values.pop_front() else { break };
            let before = member.bytes;
            let output = (self.run)(item)?;
            (self.keep)(output, member)?;
            let after = member.bytes;
            self.turns.pass(before, after);
        }
        Ok(())
    }

    fn failed(&mut self, error: ItemError) {
        self.turns.fail(self.info.failure(error));
    }
}

/// Turns on a block whose items become others.
pub(crate) fn map_one_by_one<T: Send + 'static, U: Send + 'static>(
    quantum: Quantum<Values>,
    info: &Info,
    exit: &Exit<U>,
    run: impl FnMut(T) -> Result<U, ItemError>,
) -> Outcome<Values> {
    let mut made = VecDeque::new();
    let (mut outcome, passed) = one_by_one::<T, U>(quantum, info, run, |output, member| {
        exit.appraise(&output, member);
        made.push_back(output);
        Ok(())
    });
    if !passed.is_empty() {
        outcome.moved.push((0, Block::new(Values::of(made), passed, Instant::now())));
    }
    outcome
}
