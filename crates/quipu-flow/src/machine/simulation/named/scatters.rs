//! Scattered items: a gather closes exactly once, holds what it gathers until the sink, and is never starved by its
//! younger neighbours.

use super::*;

#[test]
fn scatter_credit_goes_to_the_oldest_parent() {
    // Free credit spread over many open scatters finishes none of them: 93.9 stall steps a run instead of 0.2.
    let body = vec![scatter(12, vec![map(), map_batch(4)])];
    let stalls = grid(unordered(60, body)).items(&[24]).workers(&[4]).seeds(12).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 60);
    });
    assert!(stalls <= 30 * cases(12), "{stalls} stall steps");
}

#[test]
fn scatter_budget_zero_bound() {
    // One path at a time: the parent with its parts counts as one item, and a part over it for each level.
    let graph = unordered(5, vec![scatter(4, vec![io(1)])]);
    let mut worst = 0;
    grid(graph).items(&[0]).all_done(|case, told| {
        assert_eq!(told.delivered_once(), 5);
        let (items, workers) = (told.largest.0, case.workers as u64);
        assert!(told.items_peak <= 2 * items + workers * (items - 1), "{}", told.items_peak);
        worst = worst.max(told.items_peak);
    });
    assert!(worst <= 6, "a parent of four parts, and the next: {worst}");
}

#[test]
fn scatter_ack_window_one_with_batches() {
    let body = vec![scatter(4, vec![map_batch(3)]), map_batch(3), batch(2)];
    grid(one_by_one(6, body)).items(&[0, 1, 9]).all_done(|case, told| {
        assert_eq!(told.ends.delivered, 6);
        // With credit enough, only partial batches are in the way of the next birth: three for each item at most.
        assert!(case.items_budget < 9 || told.stalls <= 3 * 6 + 6, "{} stall steps", told.stalls);
    });
}

#[test]
fn scatter_without_parts_emits_at_its_position() {
    let graph = ordered(9, vec![io(3), scatter(0, vec![map_batch(2)])]);
    grid(graph).items(&[0, 1, 3, 50]).all_done(|case, told| {
        assert_eq!((told.births, told.delivered_once(), told.ends.gathered), (9, 9, 0));
        assert!(told.delivered.keys().all(|position| position.path().len() == 1));
        assert!(case.items_budget < 50 || told.stalls == 0);
    });
}

#[test]
fn scatter_every_part_failed_or_filtered_closes() {
    let failing = Op::MapBatch { max: 3, within: false, grows: false, fails: Fails::Skip };
    let body = vec![failing, Op::Filter, Op::Filter, Op::Filter, failing_io(1, Fails::Skip)];
    let graph = ordered(9, vec![scatter(4, body)]);
    let gather = nodes(&graph, |kind| matches!(kind, Kind::Gather { .. }))[0];
    let mut without = 0;
    grid(graph).items(&[0, 1, 9]).all_done(|_, told| {
        // Skipped parts are missing; their item goes on.
        assert_eq!(told.delivered_once(), 9);
        assert_eq!(told.quanta_at(gather).count(), 9, "each gather closes exactly once");
        without += usize::from(told.ends.gathered == 0);
    });
    assert!(without > 0, "there is always a part left");
}

#[test]
fn a_failed_part_fails_its_parent_and_a_partial_gather_hears_of_it() {
    for partial in [false, true] {
        // In a sub-flow the default is that the parent fails.
        let body = vec![failing_io(0, Fails::Stop)];
        let op = Op::Scatter { most: 4, grows: false, fails: false, partial, body };
        let graph = ordered(12, vec![op]);
        let gather = nodes(&graph, |kind| matches!(kind, Kind::Gather { .. }))[0];
        let mut parents = 0;
        grid(graph).items(&[0, 1, 9]).all_done(|_, told| {
            let delivered = told.delivered_once();
            assert_eq!(told.quanta_at(gather).count(), 12, "it is the gather that judges its item");
            assert!(!partial || delivered == 12);
            parents += 12 - delivered;
        });
        assert_eq!(parents > 0, !partial);
    }
}

#[test]
fn gather_fails_ends_parent_and_parts_once() {
    let op =
        Op::Scatter { most: 4, grows: true, fails: true, partial: false, body: vec![io(2), map_batch(2)] };
    let graph = ordered(12, vec![op]);
    let gather = nodes(&graph, |kind| matches!(kind, Kind::Gather { .. }))[0];
    let mut failed = 0;
    grid(graph).items(&[0, 1, 9]).all_done(|_, told| {
        assert_eq!(told.quanta_at(gather).count(), 12);
        // Every part is gathered once, whether its gather fails or not; every parent has one end.
        assert_eq!(told.ends.gathered, told.births - 12);
        assert_eq!(told.delivered_once() + told.ends.skipped, 12);
        failed += told.ends.skipped;
    });
    assert!(failed > 100, "{failed}");
}

#[test]
fn gather_acks_after_the_sink() {
    // `simulate` checks of everything in flight that it is not acknowledged; here, that it is when the sink has it:
    // with a window of one, the next birth comes after the sink of all that the last was made into.
    let graph = one_by_one(6, vec![scatter(4, vec![io(2)]), map()]);
    let sink = nodes(&graph, |kind| matches!(kind, Kind::Sink { .. }))[0];
    let source = nodes(&graph, Kind::is_source)[0];
    grid(graph).items(&[0, 1, 9]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 6);
        let order: Vec<usize> = told
            .log
            .iter()
            .filter(|event| (event.node == source && !event.is_end) || (event.node == sink && event.is_end))
            .map(|event| event.node)
            .collect();
        assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
    });
}

#[test]
fn gather_larger_than_the_budget_finishes() {
    let graph = ordered(4, vec![scatter(12, vec![map_batch(4)])]);
    let mut largest = 0;
    grid(graph).items(&[0, 1, 3]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 4);
        largest = largest.max(told.largest.0);
    });
    assert!(largest > 6, "no group is larger than the budget: {largest}");
    let graph = ordered(4, vec![scatter(12, vec![growing_map_batch(4)])]);
    grid(graph).bytes(&[0, 10], 20).all_done(|_, told| assert_eq!(told.delivered_once(), 4));
}

#[test]
fn nested_scatter_budget_one() {
    let serial = Op::Scan { ordered: true, grows: false };
    let graph = ordered(5, vec![scatter(4, vec![scatter(4, vec![map_batch(3)]), serial])]);
    let gathers = nodes(&graph, |kind| matches!(kind, Kind::Gather { .. }));
    let mut parts = 0;
    grid(graph).items(&[0, 1]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 5);
        assert_eq!(told.ends.gathered, told.births - 5);
        assert_eq!(told.quanta_at(gathers[1]).count(), 5);
        parts += told.ends.gathered;
    });
    assert!(parts > 500, "{parts}");
}

#[test]
fn partial_map_batch_in_scatter_is_flushed_before_a_younger_waiter() {
    // The parts wait for a whole batch, and younger parents for credit: the batch closes, and nobody goes over budget.
    // `simulate` checks that no licence is given while a partial batch is older.
    let graph = ordered(12, vec![scatter(2, vec![map_batch(50)])]);
    let node = nodes(&graph, |kind| matches!(kind, Kind::MapBatch { .. }))[0];
    let mut partial = 0;
    grid(graph).items(&[3, 9]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 12);
        partial += told.quanta_at(node).count();
    });
    assert!(partial > 200, "{partial}");
}
