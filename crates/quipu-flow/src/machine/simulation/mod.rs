//! The real machine under random graphs, budgets and schedules: never stuck, nothing lost, order kept, within the
//! bound. It is driven by one thread and a seed, in virtual time; a seed that fails is a whole counterexample.

mod audit;
mod case;
mod generate;
mod graph;
mod named;
mod play;
mod search;
mod shrink;
mod wild;

use super::{Budget, Kind, Letter, Machine, Node, Position, Quantum, Side, Task};
use crate::report::{Ended, Ends};
use case::{Bias, Case, Random};
use graph::{Built, Graph};
use play::{Fake, Stage};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    /// With a dead-letter sink.
    letters: Vec<Letter>,
    now: Instant,
    log: Vec<Event>,
    /// When each node has started something.
    starts: Vec<Vec<Instant>>,
    /// Whether only the end of a pause let the run go on.
    was_resumed: bool,
}

/// What a run came to.
#[derive(Debug)]
struct Told {
    stalls: u64,
    delivered: BTreeMap<Position, u64>,
    births: u64,
    ends: Ends,
    ended: Ended,
    items_peak: u64,
    bytes_peak: u64,
    /// The largest of what counts as one item, in items and bytes.
    largest: (u64, u64),
    was_resumed: bool,
    log: Vec<Event>,
    /// By node, how much it might do at once in the end.
    at_once: Vec<Option<usize>>,
}

/// A quantum has started or ended.
#[derive(Debug)]
struct Event {
    is_end: bool,
    node: usize,
    /// It runs over budget.
    is_licensed: bool,
    /// Whom it works on.
    members: Vec<Position>,
}

fn simulate(graph: &Graph, case: &Case) -> Told {
    let mut built = Built::of(graph).under(case);
    built.roughen(&case.rough);
    let budget = Budget { items: case.items_budget, bytes: case.bytes_budget, workers: case.workers };
    let mut it = Simulation {
        case,
        stage: Stage::new(&built, case),
        machine: Machine::new(built.specs.clone(), budget),
        built: &built,
        random: Random(case.seed),
        hands: Vec::new(),
        waiting: Vec::new(),
        letters: Vec::new(),
        now: Instant::now(),
        log: Vec::new(),
        starts: vec![Vec::new(); built.specs.len()],
        was_resumed: false,
    };
    for step in 0.. {
        assert!(step < STEPS_MAX, "no end: {}", it.machine.picture());
        it.intervene(step);
        let licences = it.machine.licences();
        let before = it.machine.stallable();
        it.machine.settle(it.now);
        if !it.case.spurious {
            it.machine.check_stall(&before);
        }
        it.check_licences(&licences);
        let running = it.hands.iter().chain(it.waiting.iter().map(|(quantum, _)| quantum));
        it.machine.audit(&running.collect::<Vec<_>>(), &it.letters);
        it.check_bounds();
        if !it.step(step) {
            break;
        }
    }
    it.conclude()
}

impl Simulation<'_> {
    fn intervene(&mut self, step: u64) {
        if self.case.cancel_at == Some(step) {
            self.machine.stop(Ended::Cancelled);
        }
        if self.case.pause_at == Some(step) {
            self.machine.pause(true);
        }
        if self.case.spurious && self.random.below(4) == 0 {
            let regions = self.built.depth.len() as u64;
            self.machine.stall_by_mistake(self.random.below(regions) as usize);
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
    fn step(&mut self, step: u64) -> bool {
        let gone = self.machine.take_gone();
        let waiting = self.waiting.iter().map(|(quantum, _)| quantum);
        let running: Vec<_> = self.hands.iter().chain(waiting).collect();
        self.stage.acknowledge(gone, &self.machine, &running);
        let starts = self.starts();
        let can_end = !self.hands.is_empty() || !self.waiting.is_empty() || !self.letters.is_empty();
        let starts_first = self.case.bias == Bias::StartFirst || self.random.toss();
        if !starts.is_empty() && (starts_first || !can_end) {
            let node = starts[self.random.below(starts.len() as u64) as usize];
            let side = self.built.specs[node].kind.side(node);
            let picked = side.filter(|_| self.case.rough.picks.is_some());
            self.start(picked.and_then(|side| self.machine.startable(side, self.now)).unwrap_or(node));
            return true;
        }
        if self.post() {
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
        self.machine.check_held_up();
        if was_paused && self.case.drain_at.is_some_and(|at| at > step) {
            return true;
        }
        self.machine.pause(false);
        self.was_resumed |= was_paused;
        was_paused
    }

    /// A letter sets out, or is answered.
    fn post(&mut self) -> bool {
        if let Some(letter) = self.machine.take_letter() {
            self.letters.push(letter);
            if self.case.rough.letters {
                return true;
            }
        }
        if self.case.rough.letters && self.random.below(4) > 0 {
            return false;
        }
        let Some(letter) = self.letters.pop() else { return false };
        let is_refused = self.case.rough.letters && self.random.below(20) == 0;
        if is_refused && self.machine.is_stopping() {
            self.machine.letter_cancelled(&letter);
        } else {
            let refusal = Err(crate::ItemError::Panic(String::new()));
            self.machine.lettered(letter, if is_refused { refusal } else { Ok(()) });
        }
        true
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
        self.machine.check_age(node);
        let is_licensed = self.machine.is_licensed(node);
        let is_due = is_licensed && !self.case.spurious;
        let oldest = self.machine.residents(node).into_iter().map(|member| member.position.clone()).min();
        let quantum = self.machine.take_at(node, self.now);
        self.check_rate(node);
        let members = audit::positions(&quantum);
        if let Task::Join(offers) = &quantum.task {
            let joined = offers.iter().map(super::Block::bytes).sum();
            self.stage.largest.1 = self.stage.largest.1.max(joined);
        }
        if is_due && matches!(self.built.specs[node].kind, Kind::MapBatch { .. } | Kind::Device { .. }) {
            assert_eq!(members, Vec::from_iter(oldest), "over budget a batch is its oldest member alone");
        }
        self.log.push(Event { is_end: false, node, is_licensed, members });
        match self.built.specs[node].kind.side(node) {
            Some(Side::Tokio) => self.waiting.push((quantum, false)),
            _ => self.hands.push(quantum),
        }
    }

    /// No period has more starts than the rate allows, wherever it begins.
    fn check_rate(&mut self, node: usize) {
        self.starts[node].push(self.now);
        let Some(rate) = self.built.specs[node].rate else { return };
        let before = self.starts[node].iter().nth_back(rate.starts as usize);
        assert!(
            before.is_none_or(|before| self.now.duration_since(*before) >= rate.per),
            "{node} starts more than its rate allows: {}",
            self.machine.picture()
        );
    }

    /// Somebody outside takes what is offered to it.
    fn poll(&mut self, can_end: bool) -> bool {
        if self.case.rough.slow_taker && self.random.below(8) > 0 {
            // The world goes on meanwhile.
            return !can_end && (self.arrive(can_end) || self.tick(can_end) || self.machine.has_offers());
        }
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
        if self.stage.has_left(node) && !self.machine.is_draining {
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
        if choices == 0 {
            // Only a letter is on its way.
            return;
        }
        let chosen = self.random.below(choices as u64) as usize;
        if chosen < self.hands.len() {
            let quantum = self.hands.swap_remove(chosen);
            self.log_end(&quantum);
            let outcome = self.stage.play(quantum, &self.machine, &mut self.random);
            self.machine.finish(outcome, self.now);
            return;
        }
        let (quantum, backs_off) = self.waiting.swap_remove(chosen - self.hands.len());
        let node = quantum.started.node;
        self.log_end(&quantum);
        if self.case.rough.loses && self.random.below(40) == 0 {
            self.lose(&quantum, backs_off);
        } else if backs_off {
            self.machine.back_on(node);
            let outcome = self.stage.give_back(quantum);
            self.machine.finish(outcome, self.now);
        } else if self.stage.fails_for_now(&quantum) && !self.machine.is_stopping() {
            self.machine.back_off(node, self.stage.call_time(&quantum));
            self.waiting.push((quantum, true));
        } else {
            let outcome = self.stage.play(quantum, &self.machine, &mut self.random);
            self.machine.finish(outcome, self.now);
        }
    }

    /// Its task is dropped, and it cannot say how far it has come.
    fn lose(&mut self, quantum: &Quantum<Fake>, backs_off: bool) {
        if backs_off {
            self.machine.back_on(quantum.started.node);
        }
        let members = audit::members(quantum).into_iter().cloned().collect();
        self.machine.lose(&quantum.started, &members);
    }

    fn log_end(&mut self, quantum: &Quantum<Fake>) {
        let (node, members) = (quantum.started.node, audit::positions(quantum));
        self.log.push(Event { is_end: true, node, is_licensed: false, members });
    }

    /// A licence was given while nothing ran, and to the oldest of all that wait.
    fn check_licences(&self, before: &[Option<usize>]) {
        if self.case.spurious {
            return;
        }
        let is_new = |(region, licence): (usize, Option<usize>)| licence.filter(|_| before[region].is_none());
        for node in self.machine.licences().into_iter().enumerate().filter_map(is_new) {
            let region = self.built.specs[node].region;
            let waiting = self.waiting.iter().map(|(quantum, _)| quantum);
            let mut running = self.hands.iter().chain(waiting).map(|quantum| quantum.started.node);
            assert!(
                running.all(|node| self.built.specs[node].region != region),
                "a licence while something runs: {}",
                self.machine.picture()
            );
            self.machine.check_licence(region, node);
            let slowed = (0..self.built.specs.len())
                .find(|&node| self.built.specs[node].region == region && self.machine.waits_for_rate(node));
            assert_eq!(slowed, None, "a licence while something waits for its rate alone");
        }
    }

    /// items ≤ B + D·I + W·(I−1) and bytes ≤ B + (D + W + G)·L, for each share of the budget.
    fn check_bounds(&mut self) {
        if self.case.spurious {
            return;
        }
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
        self.stage.acknowledge(gone, &self.machine, &[]);
        assert!(self.machine.is_over(), "stuck: {}", self.machine.picture());
        let figures = self.machine.figures();
        assert_eq!(figures.births, figures.ends.total(), "{:?}", figures.ends);
        assert_eq!((figures.items, figures.bytes), (0, 0), "credit not returned");
        for node in 0..self.built.specs.len() {
            let figures = self.machine.node(node);
            assert_eq!((figures.bytes, figures.queued, figures.running), (0, 0, 0), "node {node}");
        }
        self.stage.check_acknowledged(figures.ended == Ended::Done);
        Told {
            stalls: figures.stalls,
            births: figures.births,
            ends: figures.ends,
            ended: figures.ended,
            items_peak: figures.items_peak,
            bytes_peak: figures.bytes_peak,
            largest: self.stage.largest,
            was_resumed: self.was_resumed,
            delivered: self.stage.delivered,
            log: self.log,
            at_once: self.machine.nodes.iter().map(Node::at_once).collect(),
        }
    }
}
