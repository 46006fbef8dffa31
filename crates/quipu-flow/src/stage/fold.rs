//! `fold`: everything into one state, which is the flow's only item when its input has ended.

use super::exit::Exit;
use super::flat_map::bring_forth;
use super::info::Info;
use super::scan::{one_by_one, with};
use super::value::Values;
use super::{Core, Work};
use crate::flow::Flow;
use crate::machine::{End, Expansion, Kind, Member, Outcome, Parked, Quantum, Started, Task};
use crate::weigh::{ByType, Weighing};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Marks a flow whose last stage takes everything in.
#[derive(Debug)]
pub struct Fold;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Takes every item into `state`, one at a time, in the order in which they come; `.ordered()` makes that the
    /// source's. The state goes on as one item when the input has ended. What it has taken in is acknowledged and holds
    /// no credit any more: while it grows, the state is the user's own memory, not the run's budget.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// quipu_flow::Flow::from_iter(["a knot", "a cord", "a knot"])
    ///     .fold(Vec::new(), |words, word: &str| words.push(word.len()))
    ///     .for_each(|lengths| assert_eq!(lengths, [6, 6, 6]))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fold<A, F>(self, state: A, run: F) -> Flow<A, Fold>
    where
        A: Send + 'static,
        F: FnMut(&mut A, T) + Send + 'static,
    {
        let info = Info::new("fold");
        self.then(Kind::Fold { ordered: false }, info.clone(), None, ByType, move |exit| {
            let parts = Mutex::new(Some((Some(state), run)));
            Work::Core(Arc::new(Folding { parts, exit, info, item: PhantomData }))
        })
    }
}

impl<T, W> Flow<T, Fold, W> {
    /// The state takes items in their source's order.
    #[must_use]
    pub fn ordered(mut self) -> Self {
        if let Some(node) = self.last_node() {
            node.spec.kind = Kind::Fold { ordered: true };
        }
        self
    }
}

struct Folding<T, A, F> {
    /// Empty while a quantum has them; the state is gone once it has been given out.
    parts: Mutex<Option<(Option<A>, F)>>,
    exit: Exit<A>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, A, F> Core for Folding<T, A, F>
where
    T: Send + 'static,
    A: Send + 'static,
    F: FnMut(&mut A, T) + Send,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task, allow } = quantum;
        match task {
            Task::Close { .. } => {
                let parts = &mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner);
                let state = parts.as_mut().and_then(|(state, _)| state.take());
                give_out::<A>(started, Box::new(state.into_iter()))
            }
            Task::Resume(parked) => bring_forth(started, parked, None, allow, &self.exit, &self.info),
            task => with(&self.parts, |(state, run)| {
                let mut take_in = |item| {
                    if let Some(state) = state {
                        run(state, item);
                    }
                    Ok(())
                };
                absorb::<T>(Quantum { started, task, allow }, &self.info, &mut take_in)
            }),
        }
    }
}

/// Works a block into a state.
pub(crate) fn absorb<T: Send + 'static>(
    quantum: Quantum<Values>,
    info: &Info,
    take_in: &mut dyn FnMut(T) -> Result<(), crate::error::ItemError>,
) -> Outcome<Values> {
    let (mut outcome, absorbed) = one_by_one::<T, ()>(quantum, info, take_in, |(), _| Ok(()));
    outcome.ended.push((End::Absorbed, absorbed));
    outcome
}

/// A state has ended, and gives its outputs out when there is credit for them.
pub(crate) fn give_out<U: Send + 'static>(
    started: Started,
    outputs: super::flat_map::Children<U>,
) -> Outcome<Values> {
    let mut outcome = Outcome::new(started);
    let parked = Parked::new(Values::State(Box::new(outputs)), Member::default(), Instant::now());
    outcome.expansion =
        Some(Expansion { parked, is_new: true, document: None, is_exhausted: false, failure: None });
    outcome
}

/// A state has ended and is nobody's output.
pub(crate) fn give_nothing(started: Started) -> Outcome<Values> {
    let mut outcome = Outcome::new(started);
    let parked = Parked::new(Values::nothing(), Member::default(), Instant::now());
    outcome.expansion =
        Some(Expansion { parked, is_new: true, document: None, is_exhausted: true, failure: None });
    outcome
}
