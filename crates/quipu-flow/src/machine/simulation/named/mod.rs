//! The named laws: for each a small graph by hand, under many budgets, workers and schedules. What `simulate` checks of
//! every run (bound, order, counts, acknowledgement, licences, no stuck state) holds for each of them; the test says what
//! its name says besides.

mod batches;
mod endings;
mod folds;
mod forks;
mod growth;
mod order;
mod rates;
mod scatters;

use super::case::{Bias, Case};
use super::graph::{Built, Fails, Graph, Last, Line, Op, Source, Start, Tree};
use super::search::{cases, try_case};
use super::{Kind, Told};
use crate::report::Ended;

/// A graph, and the limits and schedules that it is tried under.
struct Grid {
    graph: Graph,
    items: Vec<u64>,
    bytes: Vec<u64>,
    workers: Vec<usize>,
    seeds: u64,
    /// What all its cases have in common.
    like: Case,
}

/// Tries a graph with small budgets of items, and bytes enough.
fn grid(graph: Graph) -> Grid {
    Grid {
        graph,
        items: vec![0, 1, 2, 3, 9],
        bytes: vec![1_000_000],
        workers: vec![1, 3],
        seeds: 24,
        like: Case::plain(0),
    }
}

impl Grid {
    fn items(self, items: &[u64]) -> Self {
        Self { items: items.to_vec(), ..self }
    }

    /// Bytes are short, and items are not.
    fn bytes(self, bytes: &[u64], bytes_max: u64) -> Self {
        let like = Case { bytes_max, ..self.like };
        Self { items: vec![1_000], bytes: bytes.to_vec(), like, ..self }
    }

    fn workers(self, workers: &[usize]) -> Self {
        Self { workers: workers.to_vec(), ..self }
    }

    fn seeds(self, seeds: u64) -> Self {
        Self { seeds, ..self }
    }

    fn like(self, change: impl FnOnce(&mut Case)) -> Self {
        let mut like = self.like;
        change(&mut like);
        Self { like, ..self }
    }

    /// Runs all cases, each to its end `Done`, and says the sum of stall steps.
    fn all_done(self, mut check: impl FnMut(&Case, &Told)) -> u64 {
        self.all(|case, told| {
            assert_eq!(told.ended, Ended::Done);
            check(case, told);
        })
    }

    /// Runs all cases; a failure says which.
    fn all(self, mut check: impl FnMut(&Case, &Told)) -> u64 {
        let mut stalls = 0;
        for seed in 0..cases(self.seeds) {
            let bias = [Bias::None, Bias::IoSlow, Bias::StartFirst][seed as usize % 3];
            for &items_budget in &self.items {
                for &bytes_budget in &self.bytes {
                    for &workers in &self.workers {
                        let like = self.like.clone();
                        let case = Case { seed, workers, items_budget, bytes_budget, bias, ..like };
                        stalls += self.one(&case, &mut check);
                    }
                }
            }
        }
        stalls
    }

    fn one(&self, case: &Case, check: &mut impl FnMut(&Case, &Told)) -> u64 {
        let told = try_case(&self.graph, case).unwrap_or_else(|why| panic!("{why}\n{case:?}"));
        let run = std::panic::AssertUnwindSafe(|| check(case, &told));
        if let Err(panic) = std::panic::catch_unwind(run) {
            panic!("{}\n{case:?}\n{:?}", quipu_compute::panic_message(&*panic), told.ends);
        }
        told.stalls
    }
}

fn line(items: u64, window: Option<usize>, body: Vec<Op>, last: Last) -> Line {
    Line { sources: vec![Source { items, external: false, window }], body, last }
}

/// So many items through a body, in order.
fn ordered(items: u64, body: Vec<Op>) -> Graph {
    Graph::Flow(line(items, None, body, Last::Ordered { waits: true }))
}

/// So many items through a body, in any order.
fn unordered(items: u64, body: Vec<Op>) -> Graph {
    Graph::Flow(line(items, None, body, Last::Sink { slots: 1 }))
}

/// One item after the other: the next is born when all that was made of the last is acknowledged.
fn one_by_one(items: u64, body: Vec<Op>) -> Graph {
    Graph::Flow(line(items, Some(1), body, Last::Sink { slots: 1 }))
}

fn map() -> Op {
    Op::Map { grows: false }
}

fn io(slots: usize) -> Op {
    Op::Io { slots, retries: 0, fails: Fails::Never, grows: false }
}

fn failing_io(retries: u32, fails: Fails) -> Op {
    Op::Io { slots: 2, retries, fails, grows: false }
}

fn batch(max: u64) -> Op {
    Op::Batch { max, within: false, ordered: false }
}

fn map_batch(max: u64) -> Op {
    Op::MapBatch { max, within: false, grows: false, fails: Fails::Never }
}

fn growing_map_batch(max: u64) -> Op {
    Op::MapBatch { max, within: false, grows: true, fails: Fails::Never }
}

fn scatter(most: u64, body: Vec<Op>) -> Op {
    Op::Scatter { most, grows: false, fails: false, partial: false, body }
}

fn zip_fork(branches: Vec<Vec<Op>>) -> Op {
    Op::Fork { zips: true, branches }
}

/// The nodes of one kind.
fn nodes(graph: &Graph, is_kind: impl Fn(&Kind) -> bool) -> Vec<usize> {
    let specs = Built::of(graph).specs;
    (0..specs.len()).filter(|&node| is_kind(&specs[node].kind)).collect()
}

impl Told {
    /// How many were delivered; each of them once.
    fn delivered_once(&self) -> u64 {
        assert!(self.delivered.values().all(|&times| times == 1), "delivered twice: {:?}", self.delivered);
        self.delivered.len() as u64
    }

    /// The positions of what was worked on at a node, by quantum, in the order in which they started.
    fn quanta_at(&self, node: usize) -> impl Iterator<Item = &[crate::machine::Position]> {
        let here = self.log.iter().filter(move |event| event.node == node && !event.is_end);
        here.map(|event| &event.members[..])
    }

    fn licences_at(&self, node: usize) -> usize {
        self.log.iter().filter(|event| event.node == node && event.is_licensed).count()
    }
}
