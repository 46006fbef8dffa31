//! `fork`, `broadcast`, `route`, `fork_zip`: one flow becomes several, which meet again. Branches are functions over
//! flows, so a graph has no cycles.

use super::exit::{Exit, Weigher};
use super::info::{Info, Tally, nanoseconds};
use super::value::{Made, Values};
use super::{Core, Work};
use crate::flow::{End, Flow};
use crate::machine::{Block, Expansion, Kind, Outcome, Parked, Quantum, Started, Task};
use crate::plan::{Graph, Outlet};
use crate::supervise::contain;
use crate::weigh::{ByFunction, Weighing};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// Marks a branch, or a sub-flow, that has just begun.
#[derive(Debug)]
pub struct Entry;

/// Marks a flow at which several have met.
#[derive(Debug)]
pub struct Branching;

/// A branch as it begins.
pub type Branch<T> = Flow<T, Entry, ByFunction<T>>;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Sends a clone of each item through both branches; what comes out of them flows on together.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = quipu_flow::Flow::from_iter(1..=3u32)
    ///     .fork(|plain| plain.map(|number| number), |tens| tens.map(|number| number * 10))
    ///     .for_each(|number| assert!(number <= 3 || number % 10 == 0))
    ///     .run().await?;
    /// assert_eq!(report.ends.delivered, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork<U, S1, W1, S2, W2>(
        self,
        first: impl FnOnce(Branch<T>) -> Flow<U, S1, W1>,
        second: impl FnOnce(Branch<T>) -> Flow<U, S2, W2>,
    ) -> Flow<U, Branching, ByFunction<U>>
    where
        T: Clone,
        U: Send + 'static,
        W1: Weighing<U>,
        W2: Weighing<U>,
    {
        let (grafting, weight) = self.clones(2).branch(first);
        grafting.branch(second).0.meet(weight)
    }

    /// The same with `count` branches of one kind; `branch` is given each one's number.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let report = quipu_flow::Flow::from_iter(1..=3u32)
    ///     .broadcast(4, |branch, items| items.map(move |number| number * branch as u32))
    ///     .for_each(drop)
    ///     .run().await?;
    /// assert_eq!(report.ends.delivered, 12);
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast<U, S2, W2>(
        self,
        count: usize,
        branch: impl FnMut(usize, Branch<T>) -> Flow<U, S2, W2>,
    ) -> Flow<U, Branching, ByFunction<U>>
    where
        T: Clone,
        U: Send + 'static,
        W2: Weighing<U>,
    {
        self.clones(count).branches(count, branch)
    }

    /// Sends each item through one of `count` branches: the one whose number `choose` says. A number that is no
    /// branch's fails the item.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// quipu_flow::Flow::from_iter(0..10usize)
    ///     .route(2, |number| number % 2, |branch, numbers| numbers.map(move |number| (branch, number)))
    ///     .for_each(|(branch, number)| assert_eq!(branch, number % 2))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn route<U, S2, W2>(
        self,
        count: usize,
        choose: impl Fn(&T) -> usize + Send + Sync + 'static,
        branch: impl FnMut(usize, Branch<T>) -> Flow<U, S2, W2>,
    ) -> Flow<U, Branching, ByFunction<U>>
    where
        U: Send + 'static,
        W2: Weighing<U>,
    {
        self.ways(count, choose).branches(count, branch)
    }

    /// Sends items for which `choose` is true through the first branch, the others through the second.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// quipu_flow::Flow::from_iter(["a", "long"])
    ///     .route_if(|text| text.len() > 1, |long| long.map(str::len), |short| short.map(|_| 0))
    ///     .for_each(|length| assert!(length == 0 || length == 4))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn route_if<U, S1, W1, S2, W2>(
        self,
        choose: impl Fn(&T) -> bool + Send + Sync + 'static,
        yes: impl FnOnce(Branch<T>) -> Flow<U, S1, W1>,
        no: impl FnOnce(Branch<T>) -> Flow<U, S2, W2>,
    ) -> Flow<U, Branching, ByFunction<U>>
    where
        U: Send + 'static,
        W1: Weighing<U>,
        W2: Weighing<U>,
    {
        let (grafting, weight) = self.ways(2, move |item| usize::from(!choose(item))).branch(yes);
        grafting.branch(no).0.meet(weight)
    }

    /// Sends a clone of each item through both branches, and pairs what they make of it. A branch makes at most one of
    /// each: where it makes none, the other's ends *unpaired*. Whatever merges, multiplies or waits for the end of its
    /// input is refused in a branch when the flow is compiled.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// quipu_flow::Flow::from_iter(["a knot", "a cord"])
    ///     .fork_zip(|text| text.map(str::len), |text| text.map(str::to_uppercase))
    ///     .for_each(|(length, text)| assert_eq!(length, text.len()))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork_zip<A, B, S1, W1, S2, W2>(
        self,
        first: impl FnOnce(Branch<T>) -> Flow<A, S1, W1>,
        second: impl FnOnce(Branch<T>) -> Flow<B, S2, W2>,
    ) -> Flow<(A, B), Branching, ByFunction<(A, B)>>
    where
        T: Clone,
        A: Send + 'static,
        B: Send + 'static,
        W1: Weighing<A>,
        W2: Weighing<B>,
    {
        let info = Info::new("zip");
        let (grafting, one) = self.clones(2).branch(first);
        let (grafting, other) = grafting.branch(second);
        let Grafting { mut graph, node, from, ends, .. } = grafting;
        graph.mark(from, |node| node.is_paired = true);
        let zip = graph.add(&ends, Kind::Zip { branches: 2 }, Work::Outside, vec![info.clone()]);
        graph.nodes[node].spec.kind = Kind::Fork { branches: 2, zip: Some(zip) };
        let weight = ByFunction(Arc::new(move |(a, b): &(A, B)| one(a) + other(b)));
        let make = Box::new(move |exit| Work::Core(Arc::new(Pairer { exit, info }) as Arc<dyn Core>));
        Flow::new(graph, End::Node { node: zip, make }, weight)
    }

    fn clones(self, branches: usize) -> Grafting<T>
    where
        T: Clone,
    {
        let info = Info::new("fork");
        let weight = ByFunction(self.weight.clone().weigher());
        let exit = Exit { weigh: weight.0.clone(), key: None, ask: None };
        let (mut graph, inlets) = self.close(None);
        let work = Work::Core(Arc::new(Cloner { branches, exit, info: info.clone() }));
        let node = graph.add(&inlets, Kind::Fork { branches, zip: None }, work, vec![info.clone()]);
        graph.nodes[node].unfinished = branches;
        Grafting::new(graph, node, &info, weight)
    }

    fn ways<F>(self, count: usize, choose: F) -> Grafting<T>
    where
        F: Fn(&T) -> usize + Send + Sync + 'static,
    {
        let info = Info::new("route");
        let weight = ByFunction(self.weight.clone().weigher());
        let (mut graph, inlets) = self.close(None);
        let work = Work::Core(Arc::new(Router { count, choose, info: info.clone(), item: PhantomData }));
        let node = graph.add(&inlets, Kind::Cpu { grows: false }, work, vec![info.clone()]);
        graph.nodes[node].unfinished = count;
        Grafting::new(graph, node, &info, weight)
    }
}

/// A graph on which branches are being grown, at the outputs of one node.
struct Grafting<T> {
    graph: Graph,
    node: usize,
    /// The first node of the branches.
    from: usize,
    weight: ByFunction<T>,
    /// The fork, or the route.
    info: Arc<Info>,
    ends: Vec<Outlet>,
    branches: usize,
}

impl<T: Send + 'static> Grafting<T> {
    fn new(graph: Graph, node: usize, info: &Arc<Info>, weight: ByFunction<T>) -> Self {
        let (from, info) = (graph.nodes.len(), info.clone());
        Self { from, graph, node, info, weight, ends: Vec::new(), branches: 0 }
    }

    /// One more branch; it says what its items weigh.
    fn branch<U, S, W>(mut self, body: impl FnOnce(Branch<T>) -> Flow<U, S, W>) -> (Self, Weigher<U>)
    where
        U: Send + 'static,
        W: Weighing<U>,
    {
        let inlet = Outlet { node: self.node, out: self.branches };
        let branch = body(Flow::at(self.graph, vec![inlet], self.info.clone(), self.weight.clone()));
        let weight = branch.weight.clone().weigher();
        let (graph, ends) = branch.close(None);
        self.graph = graph;
        self.node = self.graph.find(self.node, &self.info);
        if self.graph.astray.is_some() {
            self.ends.clear();
        }
        self.ends.extend(ends);
        self.branches += 1;
        (self, weight)
    }

    /// So many branches of one kind.
    fn branches<U, S, W>(
        mut self,
        count: usize,
        mut body: impl FnMut(usize, Branch<T>) -> Flow<U, S, W>,
    ) -> Flow<U, Branching, ByFunction<U>>
    where
        U: Send + 'static,
        W: Weighing<U>,
    {
        // Without a branch nothing ever comes out; compiling the flow refuses that.
        let mut weight: Weigher<U> = Arc::new(|_| 0);
        for number in 0..count {
            (self, weight) = self.branch(|items| body(number, items));
        }
        self.meet(weight)
    }

    fn meet<U: Send + 'static>(self, weight: Weigher<U>) -> Flow<U, Branching, ByFunction<U>> {
        Flow::at(self.graph, self.ends, self.info, ByFunction(weight))
    }
}

struct Cloner<T> {
    branches: usize,
    exit: Exit<T>,
    info: Arc<Info>,
}

impl<T: Clone + Send + 'static> Core for Cloner<T> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task, allow } = quantum;
        match task {
            Task::Begin(Block { values, mut members, since, .. }) => {
                self.info.meter.add(Tally { entered: 1, ..Tally::default() });
                let parked = Parked::new(values, members.pop_front().unwrap_or_default(), since);
                self.multiply(started, parked, true, allow.items)
            }
            Task::Resume(parked) => self.multiply(started, parked, false, allow.items),
            _ => unreachable!("a fork makes several of one"),
        }
    }
}

impl<T: Clone + Send + 'static> Cloner<T> {
    fn multiply(
        &self,
        started: Started,
        mut parked: Parked<Values>,
        is_new: bool,
        items: usize,
    ) -> Outcome<Values> {
        let began = Instant::now();
        let mut outcome = Outcome::new(started);
        let mut failure = None;
        let mut next = parked.next as usize;
        let until = self.branches.min(next + items.max(1));
        while next < until && failure.is_none() {
            let is_last = next + 1 == self.branches;
            let values = std::mem::replace(&mut parked.value, Values::nothing());
            let clone = contain(|| {
                if is_last {
                    return Ok((None, values.single::<T>()));
                }
                let clone = values.peek::<T>().cloned();
                Ok((
                    Some(values),
                    clone.unwrap_or_else(|| unreachable!("a parked item is here until its last clone")),
                ))
            });
            match clone.and_then(|(values, clone)| {
                parked.value = values.unwrap_or_else(Values::nothing);
                let mut member = crate::machine::Member::new(0, 0);
                self.exit.try_appraise(&clone, &mut member)?;
                Ok((clone, member))
            }) {
                Ok((clone, member)) => {
                    outcome
                        .fresh
                        .push((next, Block::new(Values::one(clone), VecDeque::from([member]), began)));
                    next += 1;
                }
                Err(error) => failure = Some(self.info.failure(error)),
            }
        }
        (outcome.worked, outcome.spent) = (outcome.fresh.len(), began.elapsed());
        let (left, failed) = (outcome.fresh.len() as u64, u64::from(failure.is_some()));
        self.info.meter.add(Tally { left, failed, busy_ns: nanoseconds(outcome.spent), ..Tally::default() });
        let is_exhausted = next == self.branches;
        outcome.expansion = Some(Expansion { parked, is_new, document: None, is_exhausted, failure });
        outcome
    }
}

struct Router<T, F> {
    count: usize,
    choose: F,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T: Send + 'static, F: Fn(&T) -> usize + Send + Sync> Core for Router<T, F> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Block(block), .. } = quantum else {
            unreachable!("a route works on items")
        };
        let began = Instant::now();
        let mut outcome = Outcome::new(started);
        let values = block.values.column::<T>();
        let mut ways: Vec<Made<T>> = (0..self.count).map(|_| Made::with_capacity(0)).collect();
        let mut tally = Tally { entered: values.len() as u64, ..Tally::default() };
        outcome.worked = values.len();
        for (item, member) in values.into_iter().zip(block.members) {
            let way = contain(|| Ok((self.choose)(&item)));
            match way
                .and_then(|way| ways.get_mut(way).ok_or(crate::ItemError::NoRoute { way, count: self.count }))
            {
                Ok(way) => way.push(item, member),
                Err(error) => outcome.failed.push((member, self.info.failure(error))),
            }
        }
        outcome.spent = began.elapsed();
        tally.failed = outcome.failed.len() as u64;
        tally.left = tally.entered - tally.failed;
        self.info.meter.add(Tally { busy_ns: nanoseconds(outcome.spent), ..tally });
        for (out, made) in ways.into_iter().enumerate().filter(|(_, made)| !made.members.is_empty()) {
            outcome.moved.push((out, Block::new(Values::of(made.values), made.members, began)));
        }
        outcome
    }
}

struct Pairer<A, B> {
    exit: Exit<(A, B)>,
    info: Arc<Info>,
}

impl<A: Send + 'static, B: Send + 'static> Core for Pairer<A, B> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Zip(mut clones), .. } = quantum else {
            unreachable!("a zip pairs clones")
        };
        let began = Instant::now();
        let mut outcome = Outcome::new(started);
        let (Some(first), Some(second)) = (clones.pop_front(), clones.pop_front()) else {
            unreachable!("a pair is two")
        };
        let pair = (first.values.single::<A>(), second.values.single::<B>());
        let mut tally = Tally { entered: 1, ..Tally::default() };
        let mut members = first.members;
        let mut member = members.pop_front().unwrap_or_default();
        match self.exit.try_appraise(&pair, &mut member) {
            Ok(()) => {
                tally.left = 1;
                outcome.moved.push((0, Block::new(Values::one(pair), VecDeque::from([member]), began)));
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
