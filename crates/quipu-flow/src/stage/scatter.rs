//! `scatter`: an item's parts take their own way, and the item goes on, put together again, when each has had an end.

use super::exit::Exit;
use super::flat_map::{Children, Expander};
use super::fork::Entry;
use super::info::{Info, Tally, nanoseconds};
use super::value::Values;
use super::{Core, Work};
use crate::error::ItemError;
use crate::flow::{End, Flow};
use crate::machine::{Block, Failure, Kind, Outcome, Quantum, Task};
use crate::plan::Outlet;
use crate::supervise::contain;
use crate::weigh::{ByType, Weigh, Weighing};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// Marks a flow whose last stage has put items together again.
#[derive(Debug)]
pub struct Scattered;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Splits each item into what stays of it and its parts; the parts go through `body`, a flow of its own; and when
    /// each of them has had an end there, `gather` puts the item together, with its parts in their order. Parts that
    /// were filtered are missing. A part that fails fails its item, with its own error, unless its stage says
    /// otherwise.
    ///
    /// Item and parts keep their credit and their acknowledgement until the sink's `Ok`. A body may multiply parts,
    /// never merge them: `batch`, `fold` and groups in it are refused when the flow is compiled; `map_batch` works on
    /// the parts of many items together.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// Flow::from_iter(["a knot", "two cords and a knot"])
    ///     .scatter(
    ///         |text| (text, text.split(' ')),
    ///         |words| words.map_batch(Batch::items(4), |words| words.into_iter().map(str::len).collect::<Vec<_>>()),
    ///         |text, lengths| (text, lengths),
    ///     )
    ///     .for_each(|(text, lengths)| assert_eq!(lengths.iter().sum::<usize>() + lengths.len() - 1, text.len()))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scatter<D, I, Q, U, S2, W2>(
        self,
        split: impl Fn(T) -> (D, I) + Send + Sync + 'static,
        body: impl FnOnce(Flow<I::Item, Entry, ByType>) -> Flow<Q, S2, W2>,
        gather: impl Fn(D, Vec<Q>) -> U + Send + Sync + 'static,
    ) -> Flow<U, Scattered>
    where
        D: Send + 'static,
        I: IntoIterator,
        I::Item: Weigh + Send + 'static,
        I::IntoIter: Send + 'static,
        Q: Send + 'static,
        U: Send + 'static,
        W2: Weighing<Q>,
    {
        let gather = move |document, parts: Vec<Result<Q, ItemError>>| {
            gather(document, parts.into_iter().filter_map(Result::ok).collect())
        };
        self.scattered(split, body, gather, false)
    }

    /// The same, and `gather` is told of each part that failed, with its error, in the parts' order. The item itself
    /// goes on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// quipu_flow::Flow::from_iter(["1 2 x"])
    ///     .scatter_partial(
    ///         |text| ((), text.split(' ')),
    ///         |words| words.try_map(str::parse::<u32>),
    ///         |(), numbers| numbers.into_iter().map(|number| number.ok()).collect::<Vec<_>>(),
    ///     )
    ///     .for_each(|numbers| assert_eq!(numbers, [Some(1), Some(2), None]))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scatter_partial<D, I, Q, U, S2, W2>(
        self,
        split: impl Fn(T) -> (D, I) + Send + Sync + 'static,
        body: impl FnOnce(Flow<I::Item, Entry, ByType>) -> Flow<Q, S2, W2>,
        gather: impl Fn(D, Vec<Result<Q, ItemError>>) -> U + Send + Sync + 'static,
    ) -> Flow<U, Scattered>
    where
        D: Send + 'static,
        I: IntoIterator,
        I::Item: Weigh + Send + 'static,
        I::IntoIter: Send + 'static,
        Q: Send + 'static,
        U: Send + 'static,
        W2: Weighing<Q>,
    {
        self.scattered(split, body, gather, true)
    }

    fn scattered<D, I, Q, U, S2, W2>(
        self,
        split: impl Fn(T) -> (D, I) + Send + Sync + 'static,
        body: impl FnOnce(Flow<I::Item, Entry, ByType>) -> Flow<Q, S2, W2>,
        gather: impl Fn(D, Vec<Result<Q, ItemError>>) -> U + Send + Sync + 'static,
        is_partial: bool,
    ) -> Flow<U, Scattered>
    where
        D: Send + 'static,
        I: IntoIterator,
        I::Item: Weigh + Send + 'static,
        I::IntoIter: Send + 'static,
        Q: Send + 'static,
        U: Send + 'static,
        W2: Weighing<Q>,
    {
        let info = Info::new("scatter");
        let begin = move |item| -> (Children<I::Item>, Option<Values>) {
            let (document, parts) = split(item);
            (Box::new(parts.into_iter()), Some(Values::one(document)))
        };
        let (mut graph, inlets) = self.close(None);
        let scatter = graph.add(&inlets, Kind::Scatter { gather: 0 }, Work::Outside, vec![info.clone()]);
        let exit = Exit { weigh: Weighing::<I::Item>::weigher(ByType), key: None, ask: None };
        let begun = info.clone();
        graph.nodes[scatter].unfinished = 1;
        graph.nodes[scatter].work =
            Work::Core(Arc::new(Expander { begin, exit, info: info.clone(), item: PhantomData }));
        let parts = Flow::at(graph, vec![Outlet { node: scatter, out: 0 }], info, ByType);
        let (mut graph, ends) = body(parts).close(None);
        let scatter = graph.find(scatter, &begun);
        graph.mark(scatter + 1, |node| node.is_part = true);
        let info = Info::new("gather");
        let kind = Kind::Gather { grows: true, is_partial };
        let node = graph.add(&ends, kind, Work::Outside, vec![info.clone()]);
        graph.nodes[scatter].spec.kind = Kind::Scatter { gather: node };
        let make = Box::new(move |exit| {
            Work::Core(Arc::new(Gathering { gather, exit, info, parts: PhantomData }) as Arc<dyn Core>)
        });
        Flow::new(graph, End::Node { node, make }, ByType)
    }
}

struct Gathering<D, Q, U, F> {
    gather: F,
    exit: Exit<U>,
    info: Arc<Info>,
    parts: PhantomData<fn(D, Q)>,
}

impl<D, Q, U, F> Core for Gathering<D, Q, U, F>
where
    D: 'static,
    Q: 'static,
    U: Send + 'static,
    F: Fn(D, Vec<Result<Q, ItemError>>) -> U + Send + Sync,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Gather(gathered), .. } = quantum else {
            unreachable!("a gather puts parts together")
        };
        let began = Instant::now();
        let mut outcome = Outcome::new(started);
        let Block { values, mut members, .. } = gathered.parent;
        let mut member = members.pop_front().unwrap_or_default();
        if let Some(failure) = gathered.parts.failure {
            // The part's own error, at its own stage; what becomes of the item is this stage's to say.
            let verdict = self.info.failure(failure.error.clone()).verdict;
            self.info.meter.add(Tally { entered: 1, failed: 1, ..Tally::default() });
            outcome.failed.push((member, Failure { verdict, ..failure }));
            return outcome;
        }
        let whole = contain(|| {
            let parts = gathered.parts.parts.into_iter().map(|part| part.map(Values::single::<Q>)).collect();
            let whole = (self.gather)(values.single::<D>(), parts);
            self.exit.appraise(&whole, &mut member);
            Ok(whole)
        });
        let mut tally = Tally { entered: 1, ..Tally::default() };
        match whole {
            Ok(whole) => {
                tally.left = 1;
                outcome.moved.push((0, Block::new(Values::one(whole), VecDeque::from([member]), began)));
            }
            Err(error) => {
                tally.failed = 1;
                outcome.failed.push((member, self.info.failure(error)));
            }
        }
        (outcome.worked, outcome.spent) = (1, began.elapsed());
        self.info.meter.add(Tally { busy_ns: nanoseconds(outcome.spent), ..tally });
        outcome
    }
}
