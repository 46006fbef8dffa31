//! `merge`, `zip`, `concat`, `join_with`: flows that were begun apart come together.

use super::chain::Pass;
use super::exit::Exit;
use super::fold::absorb;
use super::fork::Branching;
use super::info::{Info, Tally, nanoseconds};
use super::scan::map_one_by_one;
use super::value::Values;
use super::{Core, Work};
use crate::flow::{End, Flow};
use crate::machine::{Block, Kind, Member, Outcome, Quantum, Task};
use crate::weigh::{ByFunction, ByType, Weighing};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Marks a flow that was joined with another.
#[derive(Debug)]
pub struct Joined;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// The items of both flows, as they come. Births take turns as the sources have items; both draw on one budget.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::Flow;
    /// let report = Flow::from_iter(0..3u32).merge(Flow::from_iter(10..12)).for_each(drop).run().await?;
    /// assert_eq!(report.ends.delivered, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge<S2, W2>(self, other: Flow<T, S2, W2>) -> Flow<T, Branching, ByFunction<T>>
    where
        W2: Weighing<T>,
    {
        let weight = ByFunction(self.weight.clone().weigher());
        let (mut graph, mut ends) = self.close(None);
        let (other, other_ends) = other.close(None);
        let region = graph.region(ends[0]);
        let shift = graph.absorb_into(region, other, other_ends[0]);
        ends.extend(other_ends.into_iter().map(|end| end.shifted(shift)));
        let info = Info::new("merge");
        let met: Flow<T, Branching, ByFunction<T>> = Flow::at(graph, ends, info.clone(), weight);
        met.fuse(info, false, Clone::clone, |before, stage| Box::new(Pass { before, stage }))
    }

    /// Pairs the first item of this flow with the first of the other, the second with the second, in their sources'
    /// order. Each side has its share of the budget. It ends with the shorter side; what the other has left ends
    /// *unpaired*.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::Flow;
    /// let report = Flow::from_iter(0..3usize)
    ///     .zip(Flow::from_iter(["a", "b"]))
    ///     .for_each(|(number, name)| assert_eq!(["a", "b"][number], name))
    ///     .run().await?;
    /// assert_eq!(report.ends.delivered, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The two are different flows: one would have to wait for itself, and is moved in but once. What is made of the
    /// same items in two ways is paired by [`fork_zip`](Self::fork_zip).
    ///
    /// ```compile_fail,E0382
    /// let flow = quipu_flow::Flow::from_iter(0..3u32);
    /// let pairs = flow.zip(flow);
    /// ```
    pub fn zip<U, S2, W2>(self, other: Flow<U, S2, W2>) -> Flow<(T, U), Joined, ByFunction<(T, U)>>
    where
        U: Send + 'static,
        W2: Weighing<U>,
    {
        let (one, two) = (self.weight.clone().weigher(), other.weight.clone().weigher());
        let weight = ByFunction(Arc::new(move |(a, b): &(T, U)| one(a) + two(b)));
        self.meet_at_ports(other, true, "zip", weight, |offers: Vec<Block<Values>>| {
            let [a, b] = <[Block<Values>; 2]>::try_from(offers).unwrap_or_else(|_| unreachable!("two ports"));
            (a.values.single::<T>(), b.values.single::<U>())
        })
    }

    /// All items of this flow, then all of the other, each in their sources' order. Each side has its share of the
    /// budget, so the other side begins, but does not run ahead.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::Flow;
    /// let mut next = 0;
    /// Flow::from_iter(0..3)
    ///     .concat(Flow::from_iter(3..6))
    ///     .for_each(move |number| { assert_eq!(number, next); next += 1; }).ordered()
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn concat<S2, W2>(self, other: Flow<T, S2, W2>) -> Flow<T, Joined, ByFunction<T>>
    where
        W2: Weighing<T>,
    {
        let weight = ByFunction(self.weight.clone().weigher());
        self.meet_at_ports(other, false, "concat", weight, |mut offers: Vec<Block<Values>>| {
            offers.pop().map(|offer| offer.values.single::<T>()).unwrap_or_else(|| unreachable!("one port"))
        })
    }

    fn meet_at_ports<U, R, S2, W2, F>(
        self,
        other: Flow<U, S2, W2>,
        pairs: bool,
        verb: &'static str,
        weight: ByFunction<R>,
        combine: F,
    ) -> Flow<R, Joined, ByFunction<R>>
    where
        U: Send + 'static,
        R: Send + 'static,
        W2: Weighing<U>,
        F: Fn(Vec<Block<Values>>) -> R + Send + Sync + 'static,
    {
        let info = Info::new(verb);
        let (mut graph, ends) = self.close(None);
        let left = graph.add(&ends, Kind::Port, Work::Outside, Vec::new());
        let (mut other, ends) = other.close(None);
        let right = other.add(&ends, Kind::Port, Work::Outside, Vec::new());
        let right = right + graph.absorb(other);
        let kind = Kind::Joint { ports: vec![left, right], pairs };
        let node = graph.add(&[], kind, Work::Outside, vec![info.clone()]);
        let make =
            Box::new(move |exit| Work::Core(Arc::new(Meeting { combine, exit, info }) as Arc<dyn Core>));
        Flow::new(graph, End::Node { node, make }, weight)
    }

    /// Looks each item up in a table that `build` is taken into first, one item at a time. This flow's source is not
    /// opened before the table is whole. The table is the user's memory, not the run's budget.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::Flow;
    /// use std::collections::HashMap;
    /// let names = Flow::from_iter([(1, "one"), (2, "two")]);
    /// Flow::from_iter([2, 1, 3])
    ///     .join_with(
    ///         names,
    ///         HashMap::new(),
    ///         |table, (number, name)| { table.insert(number, name); },
    ///         |table, number| table.get(&number).copied().unwrap_or("?"),
    ///     )
    ///     .for_each(|name| assert!(["one", "two", "?"].contains(&name)))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_with<B, A, U, S2, W2>(
        self,
        build: Flow<B, S2, W2>,
        table: A,
        insert: impl FnMut(&mut A, B) + Send + 'static,
        probe: impl Fn(&A, T) -> U + Send + Sync + 'static,
    ) -> Flow<U, Joined>
    where
        B: Send + 'static,
        A: Send + Sync + 'static,
        U: Send + 'static,
        W2: Weighing<B>,
    {
        let (info, building) = (Info::new("join"), Info::new("table"));
        let whole = Arc::new(OnceLock::new());
        let (mut build, build_ends) = build.close(None);
        let parts = Mutex::new(Some((Some(table), insert)));
        let work = Table { parts, whole: whole.clone(), info: building.clone(), item: PhantomData };
        let kind = Kind::Fold { ordered: false };
        let gate = build.add(&build_ends, kind, Work::Core(Arc::new(work)), vec![building]);
        // This flow's nodes keep their numbers: it may be a branch, whose fork knows them.
        let (mut graph, ends) = self.close(None);
        let region = graph.region(ends[0]);
        let gate = gate + graph.nodes.len();
        for node in graph.nodes.iter_mut().filter(|node| node.spec.kind.is_source()) {
            // One that feeds an earlier table, or waits for it, comes after this one all the same.
            node.spec.gate.get_or_insert(gate);
        }
        graph.absorb_into(region, build, build_ends[0]);
        let node = graph.add(&ends, Kind::Cpu { grows: true }, Work::Outside, vec![info.clone()]);
        graph.nodes[node].spec.gate = Some(gate);
        let make = Box::new(move |exit| {
            let probe = move |item| {
                let table: &A = whole.get().unwrap_or_else(|| unreachable!("nothing is looked up before"));
                probe(table, item)
            };
            Work::Core(Arc::new(Probe { probe, exit, info, item: PhantomData }) as Arc<dyn Core>)
        });
        Flow::new(graph, End::Node { node, make }, ByType)
    }
}

struct Meeting<R, F> {
    combine: F,
    exit: Exit<R>,
    info: Arc<Info>,
}

impl<R: Send + 'static, F: Fn(Vec<Block<Values>>) -> R + Send + Sync> Core for Meeting<R, F> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Join(mut offers), .. } = quantum else {
            unreachable!("a joint takes what is offered")
        };
        let began = Instant::now();
        let mut outcome = Outcome::new(started);
        let olds: Vec<VecDeque<Member>> =
            offers.iter_mut().map(|offer| std::mem::take(&mut offer.members)).collect();
        let item = (self.combine)(offers);
        let mut member = Member { lineage: Member::joined(olds.iter().flatten()), ..Member::new(0, 0) };
        match self.exit.try_appraise(&item, &mut member) {
            Ok(()) => outcome.fresh.push((0, Block::new(Values::one(item), VecDeque::from([member]), began))),
            Err(error) => outcome.failed.push((Member::new(0, 0), self.info.failure(error))),
        }
        outcome.ended.extend(olds.into_iter().map(|old| (crate::machine::End::Zipped, old)));
        (outcome.worked, outcome.spent) = (1, began.elapsed());
        let failed = outcome.failed.len() as u64;
        let busy_ns = nanoseconds(outcome.spent);
        self.info.meter.add(Tally { entered: 1, left: 1 - failed, failed, busy_ns });
        outcome
    }
}

struct Table<B, A, F> {
    parts: Mutex<Option<(Option<A>, F)>>,
    whole: Arc<OnceLock<A>>,
    info: Arc<Info>,
    item: PhantomData<fn(B)>,
}

impl<B: Send + 'static, A: Send + Sync, F: FnMut(&mut A, B) + Send> Core for Table<B, A, F> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        if let Task::Close { .. } = quantum.task {
            let parts = &mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(table) = parts.as_mut().and_then(|(table, _)| table.take()) {
                let _ = self.whole.set(table);
            }
            return super::fold::give_nothing(quantum.started);
        }
        super::scan::with(&self.parts, |(table, insert)| {
            let mut take_in = |item| {
                if let Some(table) = table {
                    insert(table, item);
                }
                Ok(())
            };
            absorb::<B>(quantum, &self.info, &mut take_in)
        })
    }
}

struct Probe<T, U, F> {
    probe: F,
    exit: Exit<U>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T: Send + 'static, U: Send + 'static, F: Fn(T) -> U + Send + Sync> Core for Probe<T, U, F> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        map_one_by_one(quantum, &self.info, &self.exit, |item| Ok((self.probe)(item)))
    }
}
