//! Random lines of stages: the results are those of a plain evaluation, whatever the budget, workers and schedule, and
//! what is charged stays within the bound.

use crate::{Store, with_threads};
use proptest::prelude::*;
use quipu_flow::{Batch, ByFunction, ByType, Flow, OnError, stage};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Op {
    Map(u64),
    Filter(u64),
    TryMap(u64),
    FlatMap(u64),
    Io { limit: usize, fails: u64 },
    MapBatch(usize),
    Batch(usize),
}

/// Weights differ from item to item, so that stages shrink and grow them.
fn weight(item: &u64) -> usize {
    (item % 9) as usize
}

const WEIGHT_MAX: u64 = 8;

type Open = Flow<u64, stage::Cpu, ByFunction<u64>>;

/// One type for every open end: a filter that keeps all, which costs nothing and grows nothing.
fn open<S>(flow: Flow<u64, S, ByType>) -> Open {
    flow.weigh(weight).filter(|_| true)
}

fn append(flow: Open, op: Op) -> Open {
    match op {
        Op::Map(add) => open(flow.map(move |n| n.wrapping_add(add))),
        Op::Filter(by) => flow.filter(move |n| n % by != 0),
        Op::TryMap(by) => open(
            flow.try_map(move |n| if n % by == 0 { Err("unwanted") } else { Ok(n) }).on_error(OnError::Skip),
        ),
        Op::FlatMap(by) => open(flow.flat_map(move |n| (0..n % by).map(move |child| n * 3 + child))),
        Op::Io { limit, fails } => {
            let run = move |n: u64| async move {
                for _ in 0..n % 3 {
                    tokio::task::yield_now().await;
                }
                if n.is_multiple_of(fails) { Err("offline") } else { Ok(n ^ 1) }
            };
            let io = flow.io(run).limit(limit).retry(1).backoff(Duration::from_micros(1));
            open(io.on_error(OnError::dead_letter(async |_| Ok::<(), String>(()))))
        }
        Op::MapBatch(size) => open(flow.map_batch(Batch::items(size), |batch: Vec<u64>| {
            batch.into_iter().map(|n| n.wrapping_mul(5)).collect::<Vec<_>>()
        })),
        Op::Batch(size) => open(flow.batch(Batch::items(size)).flat_map(|batch: Vec<u64>| batch)),
    }
}

fn evaluate(items: Vec<u64>, op: &Op) -> Vec<u64> {
    let items = items.into_iter();
    match *op {
        Op::Map(add) => items.map(|n| n.wrapping_add(add)).collect(),
        Op::Filter(by) | Op::TryMap(by) => items.filter(|n| n % by != 0).collect(),
        Op::FlatMap(by) => items.flat_map(|n| (0..n % by).map(move |child| n * 3 + child)).collect(),
        Op::Io { fails, .. } => items.filter(|n| n % fails != 0).map(|n| n ^ 1).collect(),
        Op::MapBatch(_) => items.map(|n| n.wrapping_mul(5)).collect(),
        Op::Batch(_) => items.collect(),
    }
}

/// items ≤ B + D·I + W·(I−1) and bytes ≤ B + (D + W + G)·L.
fn bounds(ops: &[Op], items: u64, bytes: u64, workers: u64) -> (u64, u64) {
    let (mut depth, mut growing, mut group, mut gathered) = (1, 0, 1, 1);
    for op in ops {
        match *op {
            Op::FlatMap(_) => depth += 1,
            Op::Io { limit, .. } => growing += limit as u64,
            Op::MapBatch(size) => gathered = gathered.max(size as u64),
            Op::Batch(size) => {
                depth += 1;
                group = group.max(size as u64);
                gathered = gathered.max(size as u64);
            }
            Op::Map(_) | Op::Filter(_) | Op::TryMap(_) => {}
        }
    }
    // A batch's own `Vec`, and the copy that an io keeps for its retry.
    let largest = (gathered * WEIGHT_MAX + 24).max(2 * WEIGHT_MAX);
    (items + depth * group + workers * (group - 1), bytes + (depth + workers + growing) * largest)
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..100u64).prop_map(Op::Map),
        (2..5u64).prop_map(Op::Filter),
        (2..5u64).prop_map(Op::TryMap),
        (1..4u64).prop_map(Op::FlatMap),
        (1..4usize, 2..6u64).prop_map(|(limit, fails)| Op::Io { limit, fails }),
        (1..5usize).prop_map(Op::MapBatch),
        (1..5usize).prop_map(Op::Batch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn results_independent_of_budget_workers_schedule(
        ops in prop::collection::vec(any_op(), 0..7),
        births in 0..60u64,
        workers in 1..5usize,
        in_flight in 1..20usize,
        memory in prop_oneof![Just(0u64), 0..200u64, Just(1 << 20)],
        ordered in any::<bool>(),
        streamed in any::<bool>(),
    ) {
        let mut expected: Vec<u64> = ops.iter().fold((0..births).collect(), evaluate);
        let mut found = Vec::new();
        with_threads(workers, async |pool| {
            let source = if streamed {
                Flow::from_stream(futures_util::stream::iter(0..births))
            } else {
                Flow::from_iter(0..births)
            };
            let store = Store::new();
            let pipeline = ops.iter().cloned().fold(open(source), append).sink(store.put());
            let pipeline = if ordered { pipeline.ordered() } else { pipeline };
            let report = pipeline.memory(memory).in_flight(in_flight).on(&pool).run().await.unwrap();
            let (items, bytes) = bounds(&ops, in_flight as u64, memory, workers as u64);
            assert!(report.items_peak <= items, "{} items > {items}", report.items_peak);
            assert!(report.bytes_peak <= bytes, "{} bytes > {bytes}", report.bytes_peak);
            assert_eq!(report.births, report.ends.total());
            found = store.take();
        });
        // Batches order by their oldest member, so only without them is the sequence the source's.
        if !ordered || ops.iter().any(|op| matches!(op, Op::Batch(_))) {
            expected.sort();
            found.sort();
        }
        prop_assert_eq!(found, expected);
    }
}
