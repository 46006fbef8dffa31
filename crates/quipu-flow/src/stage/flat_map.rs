//! `flat_map`: one item becomes any number. Each child waits for credit before it is asked for, so a large expansion
//! before a slow sink takes no more memory than a small one.

use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::{Made, Values};
use super::work::Pacer;
use super::{Core, Work};
use crate::flow::Flow;
use crate::machine::{Block, Expansion, Kind, Outcome, Parked, Quantum, Started, Task};
use crate::supervise::contain;
use crate::weigh::{ByType, Weighing};
use std::sync::Arc;
use std::time::Instant;

/// What an expander has yet to yield.
pub(crate) type Children<U> = Box<dyn Iterator<Item = U> + Send>;

/// Marks a flow whose last stage expands its items.
#[derive(Debug)]
pub struct Expanding;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into the items of an iterator. The item itself ends *expanded* after its last child.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = quipu_flow::Flow::from_iter([2u64, 0, 3])
    ///     .flat_map(|count| 0..count)
    ///     .sink(async |_| Ok::<(), String>(()))
    ///     .run().await?;
    /// assert_eq!((report.ends.delivered, report.ends.expanded), (5, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flat_map<I, F>(self, run: F) -> Flow<I::Item, Expanding>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        F: Fn(T) -> I + Send + Sync + 'static,
    {
        let info = Info::new("flat_map");
        let begin =
            move |item| -> (Children<I::Item>, Option<Values>) { (Box::new(run(item).into_iter()), None) };
        self.then(Kind::Expand, info.clone(), None, ByType, move |exit| {
            Work::Core(Arc::new(Expander { begin, exit, info, item: std::marker::PhantomData }))
        })
    }
}

/// The work of all nodes that make several of one: `begin` says what an item becomes, and what it leaves behind.
pub(crate) struct Expander<T, U, F> {
    pub(crate) begin: F,
    pub(crate) exit: Exit<U>,
    pub(crate) info: Arc<Info>,
    pub(crate) item: std::marker::PhantomData<fn(T)>,
}

impl<T, U, F> Core for Expander<T, U, F>
where
    T: 'static,
    U: Send + 'static,
    F: Fn(T) -> (Children<U>, Option<Values>) + Send + Sync,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task, allow } = quantum;
        match task {
            Task::Begin(block) => self.begin(started, block, allow),
            Task::Resume(parked) => bring_forth(started, parked, None, allow, &self.exit, &self.info),
            _ => unreachable!("an expander makes several of one"),
        }
    }
}

impl<T, U, F> Expander<T, U, F>
where
    T: 'static,
    U: Send + 'static,
    F: Fn(T) -> (Children<U>, Option<Values>) + Send + Sync,
{
    fn begin(
        &self,
        started: Started,
        block: Block<Values>,
        allow: crate::machine::Allowance,
    ) -> Outcome<Values> {
        let began = Instant::now();
        let Block { values, mut members, since, .. } = block;
        let member = members.pop_front().unwrap_or_default();
        match contain(|| Ok((self.begin)(values.single::<T>()))) {
            Ok((children, document)) => {
                let busy_ns = nanoseconds(began.elapsed());
                self.info.meter.add(Tally { entered: 1, busy_ns, ..Tally::default() });
                let parked = Parked::new(Values::State(Box::new(children)), member, since);
                bring_forth(started, parked, Some(document), allow, &self.exit, &self.info)
            }
            Err(error) => {
                self.info.meter.add(Tally { entered: 1, failed: 1, ..Tally::default() });
                let mut outcome = Outcome::new(started);
                outcome.failed.push((member, self.info.failure(error)));
                outcome
            }
        }
    }
}

/// Gets as many children as the allowance lets. `begun` says that the item has just begun, and what it leaves.
pub(crate) fn bring_forth<U: Send + 'static>(
    started: Started,
    mut parked: Parked<Values>,
    begun: Option<Option<Values>>,
    allow: crate::machine::Allowance,
    exit: &Exit<U>,
    info: &Info,
) -> Outcome<Values> {
    let began = Instant::now();
    let mut outcome = Outcome::new(started);
    let mut children: Children<U> = std::mem::replace(&mut parked.value, Values::nothing()).state();
    let mut made = Made::with_capacity(allow.items.min(64));
    let mut pace = Pacer::new(began, allow);
    let (mut is_exhausted, mut failure) = (false, None);
    while !is_exhausted && failure.is_none() {
        let next = contain(|| {
            let Some(child) = children.next() else { return Ok(None) };
            let member = exit.admit(&child);
            Ok(Some((child, member)))
        });
        match next {
            Ok(Some((child, member))) => {
                pace.grow(0, member.bytes);
                made.push(child, member);
            }
            Ok(None) => is_exhausted = true,
            Err(error) => failure = Some(info.failure(error)),
        }
        if pace.is_enough() {
            break;
        }
    }
    // Known to be the last, it need not wait for credit to be told so.
    is_exhausted |= failure.is_none() && contain(|| Ok(children.size_hint().1 == Some(0))).unwrap_or(false);
    parked.value = Values::State(Box::new(children));
    outcome.worked = made.members.len();
    outcome.spent = began.elapsed();
    let left = made.members.len() as u64;
    let failed = u64::from(failure.is_some());
    info.meter.add(Tally { left, failed, busy_ns: nanoseconds(outcome.spent), ..Tally::default() });
    if !made.members.is_empty() {
        outcome.fresh.push((0, Block::new(Values::of(made.values), made.members, began)));
    }
    let is_new = begun.is_some();
    outcome.expansion = Some(Expansion { parked, is_new, document: begun.flatten(), is_exhausted, failure });
    outcome
}
