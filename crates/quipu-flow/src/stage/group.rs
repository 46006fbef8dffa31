//! `group`: a stream of streams. Each item becomes a group, whose members take their own way, and a state for each
//! group makes outputs of them when the last has come.

use super::exit::Exit;
use super::flat_map::{Children, Expander, bring_forth};
use super::fold::{absorb, give_out};
use super::fork::Entry;
use super::info::{Info, Tally};
use super::value::Values;
use super::{Core, Work};
use crate::flow::{End, Flow};
use crate::machine::{Expansion, Kind, Member, Outcome, Parked, Quantum, Started, Task};
use crate::plan::Outlet;
use crate::supervise::contain;
use crate::weigh::{ByType, Weigh, Weighing};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Marks a flow whose last stage has put groups together.
#[derive(Debug)]
pub struct Grouped;

/// What becomes of a group: a state that `init` makes, `step` takes each member into, and `finish` turns into the
/// group's outputs, any number of them, each when there is credit for it.
pub struct Reduce<B, A, U> {
    init: Box<dyn Fn() -> A + Send + Sync>,
    step: Step<A, B>,
    finish: Box<dyn Fn(A) -> Children<U> + Send + Sync>,
    ordered: bool,
}

type Step<A, B> = Box<dyn Fn(&mut A, B) + Send + Sync>;

impl<B, A, U> Reduce<B, A, U> {
    /// A state for each group.
    pub fn new<I>(
        init: impl Fn() -> A + Send + Sync + 'static,
        step: impl Fn(&mut A, B) + Send + Sync + 'static,
        finish: impl Fn(A) -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: IntoIterator<Item = U>,
        I::IntoIter: Send + 'static,
    {
        let finish = Box::new(move |state| Box::new(finish(state).into_iter()) as Children<U>);
        Self { init: Box::new(init), step: Box::new(step), finish, ordered: false }
    }

    /// Members come to their state in their order.
    #[must_use]
    pub fn ordered(self) -> Self {
        Self { ordered: true, ..self }
    }
}

impl<B, A, U> std::fmt::Debug for Reduce<B, A, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reduce").field("ordered", &self.ordered).finish_non_exhaustive()
    }
}

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns each item into a group: the members that `expand` makes of it go through `body`, and `reduce` makes the
    /// group's outputs when the last of them has come. Groups are worked on beside each other; behind `.ordered()`,
    /// the outputs of one come before those of the next.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Flow, stage::Reduce};
    /// let mut expected = vec![0, 1, 5];
    /// Flow::from_iter(1..=3u64)
    ///     .group(
    ///         |count| 0..count,
    ///         |members| members.map(|member| member * member),
    ///         Reduce::new(|| 0, |sum, square| *sum += square, Some),
    ///     )
    ///     .for_each(move |sum| assert_eq!(sum, expected.remove(0))).ordered()
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn group<M, I, B, S2, W2, A, U>(
        self,
        expand: impl Fn(T) -> I + Send + Sync + 'static,
        body: impl FnOnce(Flow<M, Entry, ByType>) -> Flow<B, S2, W2>,
        reduce: Reduce<B, A, U>,
    ) -> Flow<U, Grouped>
    where
        M: Weigh + Send + 'static,
        I: IntoIterator<Item = M>,
        I::IntoIter: Send + 'static,
        B: Send + 'static,
        W2: Weighing<B>,
        A: Send + 'static,
        U: Send + 'static,
    {
        let info = Info::new("group");
        let begin =
            move |item| -> (Children<M>, Option<Values>) { (Box::new(expand(item).into_iter()), None) };
        let (mut graph, inlets) = self.close(None);
        let group = graph.add(&inlets, Kind::Group { reduce: 0 }, Work::Outside, vec![info.clone()]);
        let exit = Exit { weigh: Weighing::<M>::weigher(ByType), key: None, ask: None };
        let begun = info.clone();
        graph.nodes[group].unfinished = 1;
        graph.nodes[group].work =
            Work::Core(Arc::new(Expander { begin, exit, info: info.clone(), item: PhantomData }));
        let members = Flow::at(graph, vec![Outlet { node: group, out: 0 }], info, ByType);
        let (mut graph, ends) = body(members).close(None);
        let group = graph.find(group, &begun);
        graph.mark(group + 1, |node| node.is_member = true);
        let info = Info::new("reduce");
        let kind = Kind::Reduce { ordered: reduce.ordered };
        let node = graph.add(&ends, kind, Work::Outside, vec![info.clone()]);
        graph.nodes[group].spec.kind = Kind::Group { reduce: node };
        let make = Box::new(move |exit| {
            Work::Core(Arc::new(Reducing { states: Mutex::new(HashMap::new()), reduce, exit, info })
                as Arc<dyn Core>)
        });
        Flow::new(graph, End::Node { node, make }, ByType)
    }
}

struct Reducing<B, A, U> {
    states: Mutex<HashMap<u64, A>>,
    reduce: Reduce<B, A, U>,
    exit: Exit<U>,
    info: Arc<Info>,
}

impl<B, A, U> Core for Reducing<B, A, U>
where
    B: Send + 'static,
    A: Send + 'static,
    U: Send + 'static,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task, allow } = quantum;
        match task {
            Task::Close { group } => self.close(started, group),
            Task::Resume(parked) => bring_forth(started, parked, None, allow, &self.exit, &self.info),
            task => {
                let group = started.group_at_work();
                let state = group.and_then(|group| self.states().remove(&group));
                let mut state = match state.map_or_else(|| contain(|| Ok((self.reduce.init)())), Ok) {
                    Ok(state) => state,
                    Err(error) => return self.fail(started, task, &error),
                };
                let mut step = |member| {
                    (self.reduce.step)(&mut state, member);
                    Ok(())
                };
                let outcome = absorb::<B>(Quantum { started, task, allow }, &self.info, &mut step);
                self.states().extend(group.map(|group| (group, state)));
                outcome
            }
        }
    }

    fn forget(&self, group: u64) {
        let state = self.states().remove(&group);
        drop(state);
    }
}

impl<B, A, U: Send + 'static> Reducing<B, A, U> {
    fn states(&self) -> MutexGuard<'_, HashMap<u64, A>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, started: Started, group: Option<u64>) -> Outcome<Values> {
        let state = group.and_then(|group| self.states().remove(&group));
        let outputs = contain(|| {
            let state = state.unwrap_or_else(|| (self.reduce.init)());
            Ok((self.reduce.finish)(state))
        });
        match outputs {
            Ok(outputs) => give_out(started, outputs),
            Err(error) => {
                self.info.meter.add(Tally { failed: 1, ..Tally::default() });
                let mut outcome = Outcome::new(started);
                outcome.expansion = Some(Expansion {
                    parked: Parked::new(Values::nothing(), Member::default(), Instant::now()),
                    is_new: true,
                    document: None,
                    is_exhausted: true,
                    failure: Some(self.info.failure(error)),
                });
                outcome
            }
        }
    }

    fn fail(&self, started: Started, task: Task<Values>, error: &crate::error::ItemError) -> Outcome<Values> {
        let mut outcome = Outcome::new(started);
        if let Task::Block(block) = task {
            let failed = |member| (member, self.info.failure(error.clone()));
            outcome.failed.extend(block.members.into_iter().map(failed));
        }
        outcome
    }
}
