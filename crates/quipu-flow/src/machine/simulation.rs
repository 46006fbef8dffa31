//! The machine under random lines of nodes, budgets and schedules: never stuck, nothing lost, order kept, within the
//! bound. A seed that fails is a whole counterexample.

use super::{Birth, Failure, Machine, Made, NodeKind, Quantum, Trace, Verdict};
use crate::error::ItemError;
use crate::machine::Position;
use crate::report::Ended;
use std::time::Instant;

/// A small generator of its own, so that seeds mean the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What depends on the item alone, not on the schedule.
fn fate(node: usize, position: &Position) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    (node, position).hash(&mut hasher);
    hasher.finish()
}

struct Line {
    kinds: Vec<NodeKind>,
    /// Nodes before which nothing passes untouched: `batch` rather than `map_batch`.
    groups: Vec<bool>,
    births: u64,
    bytes_max: u64,
    /// Items are born with one byte each and grow on their way.
    grows: bool,
    workers: usize,
    items_budget: u64,
    bytes_budget: u64,
    stop_at: Option<u64>,
    drain_at: Option<u64>,
}

impl Line {
    fn random(random: &mut Random) -> Self {
        let mut kinds = vec![NodeKind::Source { external: random.below(2) == 0 }];
        let mut groups = vec![false];
        for _ in 0..random.below(6) {
            let gather = |size_max, grows| NodeKind::Gather { size_max, within: None, grows };
            let (kind, group) = match random.below(6) {
                0 => (NodeKind::Cpu { grows: random.below(2) == 0 }, false),
                1 => (NodeKind::Expand, false),
                2 => (NodeKind::Io { slots: 1 + random.below(3) as usize }, false),
                3 => (gather(1 + random.below(4), true), false),
                4 => (gather(1 + random.below(4), false), true),
                _ => (NodeKind::Cpu { grows: true }, false),
            };
            kinds.push(kind);
            groups.push(group);
        }
        kinds.push(NodeKind::Sink { ordered: random.below(2) == 0 });
        groups.push(false);
        let sometimes = |random: &mut Random| (random.below(4) == 0).then(|| random.below(200));
        // Small budgets cannot show growth that is left behind an order, so some lines have many small items.
        let grows = random.below(3) == 0;
        let scale = if grows { 5 } else { 1 };
        Self {
            kinds,
            groups,
            births: random.below(20 * scale),
            bytes_max: 1 + random.below(9 * scale),
            grows,
            workers: 1 + random.below(3) as usize,
            items_budget: 1 + random.below(8 * scale * scale),
            bytes_budget: random.below(30),
            stop_at: sometimes(random),
            drain_at: sometimes(random),
        }
    }

    /// items ≤ B + D·I + W·(I−1), bytes ≤ B + (D + W + G)·L, as flow.md states them.
    fn bounds(&self) -> (u64, u64) {
        let (mut depth, mut growing, mut group) = (1, 0, 1u64);
        let mut largest = 1;
        for (kind, is_group) in self.kinds.iter().zip(&self.groups) {
            match kind {
                NodeKind::Expand => depth += 1,
                NodeKind::Io { slots } => growing += *slots as u64,
                NodeKind::Gather { size_max, .. } => {
                    // Batches of batches multiply.
                    if *is_group {
                        group *= size_max;
                    }
                    largest = largest.max(*size_max);
                }
                _ => {}
            }
        }
        let bytes = self.bytes_max * group * largest;
        let workers = self.workers as u64;
        (
            self.items_budget + depth * group + workers * (group - 1),
            self.bytes_budget + (depth + workers + growing) * bytes,
        )
    }
}

struct Simulation<'a> {
    line: &'a Line,
    machine: Machine<()>,
    hands: Vec<Quantum<()>>,
    born: u64,
    delivered: Vec<Position>,
    now: Instant,
}

impl Simulation<'_> {
    fn made(&self, node: usize, trace: &Trace) -> Made<()> {
        self.made_at(node, &trace.position(), trace.items())
    }

    fn made_at(&self, node: usize, position: &Position, items: u64) -> Made<()> {
        let is_small = self.line.grows && node == 0;
        let bytes = if is_small { 1 } else { fate(node, position) % (self.line.bytes_max + 1) };
        let bytes = bytes * items;
        Made { value: (), bytes, measure: 1, reserve: 0, key: None }
    }

    fn failure(&self, fate: u64) -> Failure {
        let verdict = if fate.is_multiple_of(2) { Verdict::Skip } else { Verdict::Letter(nowhere()) };
        Failure { stage: String::new(), key: None, error: ItemError::Panic(String::new()), verdict }
    }

    fn finish(&mut self, quantum: Quantum<()>) {
        let now = self.now;
        match quantum {
            Quantum::Birth => {
                let birth = if self.born < self.line.births {
                    self.born += 1;
                    Birth::Item(self.made_at(0, &Position::of_birth(self.born), 1), None)
                } else {
                    Birth::End
                };
                self.machine.born(birth, now);
            }
            Quantum::Letter(letter) => self.machine.lettered(letter, Ok(())),
            Quantum::Token { node, token } => self.finish_token(node, token.trace),
            Quantum::Batch { node, batch } => {
                let traces: Vec<Trace> = batch.into_iter().map(|token| token.trace).collect();
                if let NodeKind::Gather { size_max, .. } = self.line.kinds[node] {
                    assert!(traces.len() as u64 <= size_max);
                }
                if fate(node, &traces[0].position()).is_multiple_of(7) {
                    self.machine.failed_each(node, traces, &self.failure(node as u64));
                } else if self.line.groups[node] {
                    // A batch weighs what its members weigh: it is not gated, so it must not grow.
                    let bytes = traces.iter().map(|trace| trace.bytes).sum();
                    let made = Made { bytes, ..self.made(node, &traces[0]) };
                    self.machine.forward_as_one(node, traces, made, now);
                } else {
                    let each = traces.into_iter().map(|trace| {
                        let made = self.made(node, &trace);
                        (trace, made)
                    });
                    let each = each.collect();
                    self.machine.forward_each(node, each, now);
                }
            }
        }
    }

    fn finish_token(&mut self, node: usize, mut trace: Trace) {
        let now = self.now;
        let fate = fate(node + 100, &trace.position());
        match self.line.kinds[node] {
            NodeKind::Sink { ordered } => {
                let position = trace.position();
                assert!(
                    !ordered || self.delivered.last().is_none_or(|last| *last < position),
                    "out of order"
                );
                self.delivered.push(position);
                self.machine.delivered(node, trace);
            }
            NodeKind::Expand => {
                let children = self::fate(node, &trace.members[0].position) % 4;
                let next = trace.next_child.unwrap_or(0);
                if next < children {
                    let made = self.made_at(node, &trace.members[0].position.child(next), 1);
                    self.machine.child(node, trace, (), made, now);
                } else {
                    self.machine.expanded(node, trace);
                }
            }
            _ if fate.is_multiple_of(5) => self.machine.filtered(node, trace),
            _ if fate.is_multiple_of(7) => self.machine.failed(node, trace, &self.failure(fate)),
            NodeKind::Io { .. } if fate.is_multiple_of(3) && trace.failures < 2 => {
                self.machine.back_off(node);
                trace.failures += 1;
                let token = super::Token { value: (), trace, measure: 1, reserve: 0, since: now };
                self.machine.retry(node, token);
            }
            NodeKind::Cpu { grows: false } => {
                let made = Made { bytes: trace.bytes, ..self.made(node, &trace) };
                self.machine.forward(node, trace, made, now);
            }
            _ => {
                let made = self.made(node, &trace);
                self.machine.forward(node, trace, made, now);
            }
        }
    }

    /// Whether a taken quantum holds a worker.
    fn computes(&self, quantum: &Quantum<()>) -> bool {
        match quantum {
            Quantum::Birth => self.line.kinds[0].computes(),
            Quantum::Token { node, .. } | Quantum::Batch { node, .. } => self.line.kinds[*node].computes(),
            Quantum::Letter(_) => false,
        }
    }
}

fn nowhere() -> crate::supervise::DeadLetters {
    match crate::OnError::dead_letter(async |_| Ok::<(), String>(())) {
        crate::OnError::DeadLetter(letters) => letters,
        _ => unreachable!("just made"),
    }
}

fn simulate(line: &Line, seed: u64) -> u64 {
    let mut random = Random(seed);
    let machine = Machine::new(line.kinds.clone(), line.items_budget, line.bytes_budget);
    let now = Instant::now();
    let mut it = Simulation { line, machine, hands: Vec::new(), born: 0, delivered: Vec::new(), now };
    let (items_bound, bytes_bound) = line.bounds();
    for step in 0.. {
        assert!(step < 200_000, "seed {seed}: no end");
        if line.stop_at == Some(step) {
            it.machine.stop(Ended::Cancelled);
        }
        if line.drain_at == Some(step) {
            it.machine.drain();
        }
        it.machine.settle();
        while let Some(quantum) = it.machine.take_waiting(now) {
            it.hands.push(quantum);
        }
        let computing = it.hands.iter().filter(|quantum| it.computes(quantum)).count();
        if computing < line.workers
            && let Some(quantum) = it.machine.take_cpu(now)
        {
            it.hands.push(quantum);
            continue;
        }
        drop(it.machine.take_gone());
        if it.hands.is_empty() {
            break;
        }
        let chosen = random.below(it.hands.len() as u64) as usize;
        let quantum = it.hands.swap_remove(chosen);
        it.finish(quantum);
        let figures = it.machine.figures();
        assert!(
            figures.items_peak <= items_bound,
            "seed {seed}: {} items > {items_bound}",
            figures.items_peak
        );
        assert!(
            figures.bytes_peak <= bytes_bound,
            "seed {seed}: {} bytes > {bytes_bound}",
            figures.bytes_peak
        );
    }
    assert!(it.machine.is_over(), "seed {seed}: stuck {:?} of {:?}", it.machine.figures(), line.kinds);
    let figures = it.machine.figures();
    assert_eq!(figures.births, figures.ends.total(), "seed {seed}");
    assert_eq!((figures.items, figures.bytes), (0, 0), "seed {seed}: credit not returned");
    for node in 0..line.kinds.len() {
        let node = it.machine.node(node);
        assert_eq!((node.bytes, node.queued, node.running), (0, 0, 0), "seed {seed}");
    }
    figures.stalls
}

#[test]
fn random_lines_under_random_schedules_are_lawful() {
    let mut stalls = 0;
    for seed in 0..20_000 {
        let line = Line::random(&mut Random(seed));
        stalls += simulate(&line, seed);
    }
    assert!(stalls > 1_000, "the stall step is hardly exercised: {stalls}");
}

fn line(kinds: Vec<NodeKind>, births: u64, items_budget: u64, bytes_budget: u64) -> Line {
    let groups = kinds.iter().map(|kind| matches!(kind, NodeKind::Gather { grows: false, .. })).collect();
    Line {
        kinds,
        groups,
        births,
        bytes_max: 5,
        grows: false,
        workers: 1,
        items_budget,
        bytes_budget,
        stop_at: None,
        drain_at: None,
    }
}

const SOURCE: NodeKind = NodeKind::Source { external: false };
const SINK: NodeKind = NodeKind::Sink { ordered: false };

#[test]
fn batch_two_budget_one() {
    let batch = NodeKind::Gather { size_max: 2, within: None, grows: false };
    assert!(simulate(&line(vec![SOURCE, batch, SINK], 5, 1, 1000), 1) >= 4);
}

#[test]
fn growing_map_batch_over_budget_runs_oldest_alone() {
    let batch = NodeKind::Gather { size_max: 6, within: None, grows: true };
    let mut machine = Machine::new(vec![SOURCE, batch, SINK], 100, 6);
    let now = Instant::now();
    let made = || Made { value: (), bytes: 1, measure: 1, reserve: 0, key: None };
    for _ in 0..6 {
        machine.settle();
        assert!(matches!(machine.take_cpu(now), Some(Quantum::Birth)));
        machine.born(Birth::Item(made(), None), now);
    }
    // Six bytes are charged, the batch is whole, and there is no credit for its growth.
    machine.settle();
    let Some(Quantum::Batch { batch, .. }) = machine.take_cpu(now) else { panic!("nothing to run") };
    assert_eq!(batch.len(), 1);
    assert_eq!(batch[0].trace.position(), Position::of_birth(0));
    assert_eq!(machine.node(1).queued, 5);
}

#[test]
fn an_idle_stream_is_not_a_stall() {
    let batch = NodeKind::Gather { size_max: 3, within: None, grows: true };
    let mut machine = Machine::new(vec![NodeKind::Source { external: true }, batch, SINK], 100, 100);
    let now = Instant::now();
    machine.settle();
    assert!(matches!(machine.take_waiting(now), Some(Quantum::Birth)));
    machine.born(Birth::Item(Made { value: (), bytes: 1, measure: 1, reserve: 0, key: None }, None), now);
    machine.settle();
    assert!(matches!(machine.take_waiting(now), Some(Quantum::Birth)));
    machine.settle();
    assert!(machine.take_cpu(now).is_none(), "a partial batch waits for its input");
    assert_eq!(machine.figures().stalls, 0);
}
