//! The real machine under random graphs, budgets and schedules: never stuck, nothing lost, order kept, within the
//! bound. It is driven by one thread and a seed, in virtual time; a seed that fails is a whole counterexample.

mod audit;
mod graph;
mod play;

use super::{Budget, Kind, Machine, Position, Quantum, Side};
use crate::report::Ended;
use graph::{Built, Graph};
use play::{Fake, Stage};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A small generator of its own, so that seeds mean the same for ever.
pub(super) struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn toss(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One case: limits and a schedule for a graph.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    workers: usize,
    items_budget: u64,
    bytes_budget: u64,
    bytes_max: u64,
    /// Source items weigh one byte, whatever becomes of them.
    small_births: bool,
    cancel_at: Option<u64>,
    drain_at: Option<u64>,
    pauses: bool,
    bias: Bias,
}

/// What a schedule favours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bias {
    None,
    /// Ios hardly ever end.
    IoSlow,
    /// What is started is hardly ever ended while more can be started.
    StartFirst,
}

impl Case {
    fn random(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(7).wrapping_add(1));
        let at = 1 + random.below(80);
        let mode = random.below(6);
        Self {
            seed,
            workers: 1 + random.below(3) as usize,
            items_budget: random.pick(&[0, 1, 1, 2, 3, 5, 9, 20]),
            bytes_budget: random.pick(&[0, 1, 2, 3, 6, 20, 50, 100]),
            bytes_max: random.pick(&[3, 3, 3, 20]),
            small_births: false,
            cancel_at: (mode == 3).then_some(at),
            drain_at: (mode == 4).then_some(at),
            pauses: mode == 5,
            bias: random.pick(&[Bias::None, Bias::None, Bias::IoSlow, Bias::StartFirst]),
        }
    }

    fn random_growth(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(7).wrapping_add(2));
        Self {
            seed,
            workers: 1 + random.below(4) as usize,
            items_budget: random.pick(&[3, 30, 60, 60]),
            bytes_budget: random.pick(&[0, 8, 16, 30, 60]),
            bytes_max: 40,
            small_births: true,
            cancel_at: None,
            drain_at: None,
            pauses: false,
            bias: random.pick(&[Bias::None, Bias::None, Bias::IoSlow, Bias::StartFirst]),
        }
    }
}

/// No run takes more steps.
const STEPS_MAX: u64 = 60_000;

struct Simulation<'a> {
    case: &'a Case,
    built: &'a Built,
    stage: Stage,
    machine: Machine<Fake>,
    random: Random,
    /// Quanta on cores and device threads.
    hands: Vec<Quantum<Fake>>,
    /// Quanta that wait for the world, and whether they back off.
    waiting: Vec<(Quantum<Fake>, bool)>,
    now: Instant,
    stopped: bool,
}

/// What a run came to.
#[derive(Debug)]
struct Told {
    stalls: u64,
    delivered: BTreeMap<Position, u64>,
}

fn simulate(graph: &Graph, case: &Case) -> Told {
    let built = Built::of(graph);
    let budget = Budget { items: case.items_budget, bytes: case.bytes_budget, workers: case.workers };
    let mut it = Simulation {
        case,
        stage: Stage::new(&built, case.bytes_max, case.small_births),
        machine: Machine::new(built.specs.clone(), budget),
        built: &built,
        random: Random(case.seed),
        hands: Vec::new(),
        waiting: Vec::new(),
        now: Instant::now(),
        stopped: false,
    };
    for step in 0.. {
        assert!(step < STEPS_MAX, "no end: {}", it.machine.picture());
        it.intervene(step);
        it.machine.settle();
        it.machine
            .audit(&it.hands.iter().chain(it.waiting.iter().map(|(quantum, _)| quantum)).collect::<Vec<_>>());
        it.check_bounds();
        if !it.step() {
            break;
        }
    }
    it.conclude()
}

impl Simulation<'_> {
    fn intervene(&mut self, step: u64) {
        if self.case.cancel_at == Some(step) {
            self.machine.stop(Ended::Cancelled);
            self.stopped = true;
        }
        if self.case.drain_at == Some(step) {
            self.machine.drain();
        }
        if self.case.pauses && self.random.below(20) == 0 {
            let is_paused = self.machine.is_paused;
            self.machine.pause(!is_paused);
        }
    }

    /// Does one thing at random; false if there is nothing left to do.
    fn step(&mut self) -> bool {
        let gone = self.machine.take_gone();
        self.stage.acknowledge(gone, &self.machine, &self.hands, &self.waiting);
        let starts = self.starts();
        let can_end = !self.hands.is_empty() || !self.waiting.is_empty();
        let starts_first = self.case.bias == Bias::StartFirst || self.random.toss();
        if !starts.is_empty() && (starts_first || !can_end) {
            let node = starts[self.random.below(starts.len() as u64) as usize];
            self.start(node);
            return true;
        }
        if let Some(letter) = self.machine.take_letter() {
            self.machine.lettered(letter, Ok(()));
            return true;
        }
        if self.poll(can_end) || self.arrive(can_end) || self.tick(can_end) {
            return true;
        }
        if can_end {
            self.end_one();
            return true;
        }
        // Only a pause can keep a run from going on.
        let was_paused = self.machine.is_paused;
        self.machine.pause(false);
        was_paused
    }

    /// Nodes at which a quantum may start, in any order: what is picked first must not matter.
    fn starts(&self) -> Vec<usize> {
        if self.machine.is_stopping() {
            return Vec::new();
        }
        let computing = self.hands.iter().filter(|quantum| self.is_on_core(quantum)).count();
        let has_core = computing < self.case.workers;
        let may = |&node: &usize| match self.built.specs[node].kind.side(node) {
            None => false,
            Some(Side::Core) => has_core && self.machine.can_start(node),
            Some(_) => self.machine.can_start(node),
        };
        (0..self.built.specs.len()).filter(may).collect()
    }

    fn is_on_core(&self, quantum: &Quantum<Fake>) -> bool {
        let node = quantum.started.node;
        self.built.specs[node].kind.side(node) == Some(Side::Core)
    }

    fn start(&mut self, node: usize) {
        let quantum = self.machine.take_at(node, self.now);
        match self.built.specs[node].kind.side(node) {
            Some(Side::Tokio) => self.waiting.push((quantum, false)),
            _ => self.hands.push(quantum),
        }
    }

    /// Somebody outside takes what is offered to it.
    fn poll(&mut self, can_end: bool) -> bool {
        let is_stream = |node: &usize| matches!(self.built.specs[*node].kind, Kind::Stream { .. });
        let streams: Vec<usize> = (0..self.built.specs.len()).filter(is_stream).collect();
        streams.into_iter().any(|node| self.random.below(3) == 0 && self.machine.take_offered(node).is_some())
            || (!can_end && self.poll_all())
    }

    fn poll_all(&mut self) -> bool {
        (0..self.built.specs.len()).any(|node| {
            matches!(self.built.specs[node].kind, Kind::Stream { .. })
                && self.machine.take_offered(node).is_some()
        })
    }

    /// The world has something for a source, sometimes.
    fn arrive(&mut self, can_end: bool) -> bool {
        if can_end && self.random.below(3) > 0 {
            return false;
        }
        let may = |&node: &usize| self.machine.nodes[node].birth == super::node::Birth::Idle;
        let external: Vec<usize> = (0..self.built.specs.len())
            .filter(|&node| matches!(self.built.specs[node].kind, Kind::Source { external: true, .. }))
            .filter(|&node| !self.machine.nodes[node].has_arrival)
            .filter(may)
            .collect();
        let Some(&node) = external.first() else { return false };
        if self.stage.has_left(node) {
            self.machine.arrive(node);
        } else {
            self.machine.end_source(node);
        }
        true
    }

    /// Time passes, sometimes.
    fn tick(&mut self, can_end: bool) -> bool {
        let Some(deadline) = self.machine.deadline() else { return false };
        if can_end && self.random.below(10) > 0 {
            return false;
        }
        self.now = self.now.max(deadline) + Duration::from_micros(1);
        self.machine.close_due(self.now);
        true
    }

    fn end_one(&mut self) {
        let slow = self.case.bias == Bias::IoSlow && !self.hands.is_empty() && self.random.below(20) > 0;
        let choices = if slow { self.hands.len() } else { self.hands.len() + self.waiting.len() };
        let chosen = self.random.below(choices as u64) as usize;
        if chosen < self.hands.len() {
            let quantum = self.hands.swap_remove(chosen);
            let outcome = self.stage.play(quantum, &self.machine, &mut self.random);
            self.machine.finish(outcome, self.now);
            return;
        }
        let (quantum, backs_off) = self.waiting.swap_remove(chosen - self.hands.len());
        let node = quantum.started.node;
        if backs_off {
            self.machine.back_on(node);
            let outcome = self.stage.give_back(quantum);
            self.machine.finish(outcome, self.now);
        } else if self.stage.fails_for_now(&quantum) && !self.machine.is_stopping() {
            self.machine.back_off(node);
            self.waiting.push((quantum, true));
        } else {
            let outcome = self.stage.play(quantum, &self.machine, &mut self.random);
            self.machine.finish(outcome, self.now);
        }
    }

    /// items ≤ B + D·I + W·(I−1) and bytes ≤ B + (D + W + G)·L, for each share of the budget.
    fn check_bounds(&mut self) {
        let workers = self.case.workers as u64;
        for region in 0..self.built.depth.len() {
            let (largest_items, largest_bytes) = self.machine.largest();
            self.stage.largest.0 = self.stage.largest.0.max(largest_items);
            self.stage.largest.1 = self.stage.largest.1.max(largest_bytes).max(self.case.bytes_max);
            let (most_items, most_bytes) = self.stage.largest;
            let (depth, growing) = (self.built.depth[region], self.built.growing[region]);
            let credit = &self.machine.regions[region].credit;
            let items = credit.items_budget + depth * most_items + workers * (most_items - 1);
            let bytes = credit.bytes_budget + (depth + workers + growing) * most_bytes;
            assert!(credit.items <= items, "{} items > {items}: {}", credit.items, self.machine.picture());
            assert!(credit.bytes <= bytes, "{} bytes > {bytes}: {}", credit.bytes, self.machine.picture());
        }
    }

    fn conclude(mut self) -> Told {
        let gone = self.machine.take_gone();
        self.stage.acknowledge(gone, &self.machine, &[], &[]);
        assert!(self.machine.is_over(), "stuck: {}", self.machine.picture());
        let figures = self.machine.figures();
        assert_eq!(figures.births, figures.ends.total(), "{:?}", figures.ends);
        assert_eq!((figures.items, figures.bytes), (0, 0), "credit not returned");
        for node in 0..self.built.specs.len() {
            let figures = self.machine.node(node);
            assert_eq!((figures.bytes, figures.queued, figures.running), (0, 0, 0), "node {node}");
        }
        if figures.ended == Ended::Done {
            self.stage.check_acknowledged();
        }
        Told { stalls: figures.stalls, delivered: self.stage.delivered }
    }
}

/// Runs a case, and says which it was if it fails.
fn try_case(graph: &Graph, case: &Case) -> Result<Told, String> {
    let run = std::panic::AssertUnwindSafe(|| simulate(graph, case));
    std::panic::catch_unwind(run).map_err(|panic| quipu_compute::panic_message(&*panic))
}

fn hunt(seeds: std::ops::Range<u64>, of: impl Fn(u64) -> (Graph, Case)) -> u64 {
    let mut stalls = 0;
    for seed in seeds {
        let (graph, case) = of(seed);
        match try_case(&graph, &case) {
            Ok(told) => stalls += told.stalls,
            Err(why) => panic!("seed {seed}: {why}\n{graph:?}\n{case:?}"),
        }
    }
    stalls
}

/// How many cases each search tries: more by `QUIPU_CASES`, as `cargo xtask deep` says.
fn cases(few: u64) -> u64 {
    std::env::var("QUIPU_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}

#[test]
fn results_independent_of_budget_workers_schedule() {
    let mut compared = 0;
    for seed in 0..cases(3_000) {
        let graph = Graph::random(&mut Random(seed));
        if !graph.is_determined() {
            continue;
        }
        let at_ease = |seed| Case { cancel_at: None, drain_at: None, ..Case::random(seed) };
        let (one, other) = (at_ease(seed), at_ease(seed + 1_000_000));
        let [one, other] = [one, other].map(|case| match try_case(&graph, &case) {
            Ok(told) => told.delivered,
            Err(why) => panic!("seed {seed}: {why}\n{graph:?}\n{case:?}"),
        });
        assert_eq!(one, other, "seed {seed}: {graph:?}");
        compared += usize::from(!one.is_empty());
    }
    assert!(compared > 100, "hardly anything was compared: {compared}");
}

#[test]
fn random_graphs_under_random_schedules_are_lawful() {
    let stalls = hunt(0..cases(3_000), |seed| (Graph::random(&mut Random(seed)), Case::random(seed)));
    assert!(stalls > 1_000, "the stall step is hardly exercised: {stalls}");
}

#[test]
fn random_growth_behind_an_order_stays_in_bound() {
    hunt(0..cases(1_000), |seed| (Graph::random_growth(&mut Random(seed)), Case::random_growth(seed)));
}
