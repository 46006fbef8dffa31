//! Batches: what they hold on to, and that a partial one keeps nobody waiting.

use super::*;

#[test]
fn batch_two_budget_one() {
    let graph = unordered(7, vec![batch(2)]);
    let stalls = grid(graph).items(&[1]).all_done(|_, told| {
        assert_eq!(told.ends.delivered, 7);
        assert!(told.stalls > 0, "the second of a batch is born over budget, or the first leaves alone");
        // One over budget, for a depth of one; the batch of two counts as one item.
        assert!(told.items_peak <= 1 + 2, "{}", told.items_peak);
    });
    assert!(stalls > 0);
}

#[test]
fn ack_window_one_batch_two() {
    for size in [batch(2), map_batch(2)] {
        let graph = one_by_one(5, vec![size]);
        let node = nodes(&graph, |kind| kind.batch_size().is_some())[0];
        grid(graph).items(&[1, 9]).all_done(|case, told| {
            assert_eq!(told.ends.delivered, 5);
            // The batch would wait for a second item, which would wait for the batch.
            assert!(told.quanta_at(node).all(|members| members.len() == 1));
            let expected = if case.items_budget == 9 { 4..=5 } else { 4..=9 };
            assert!(expected.contains(&told.stalls), "{} stall steps", told.stalls);
        });
    }
}

#[test]
fn map_batch_keeps_positions() {
    let graph = ordered(12, vec![io(3), map_batch(3), io(2)]);
    let node = nodes(&graph, |kind| matches!(kind, Kind::MapBatch { .. }))[0];
    let mut largest = 0;
    grid(graph).items(&[0, 1, 4, 50]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 12);
        let expected: Vec<Vec<u64>> = (0..12).map(|number| vec![number]).collect();
        assert_eq!(told.delivered.keys().map(|position| position.path()).collect::<Vec<_>>(), expected);
        largest = largest.max(told.quanta_at(node).map(<[_]>::len).max().unwrap_or(0));
    });
    assert_eq!(largest, 3);
}

#[test]
fn map_batch_whole_failure_leaves_every_tombstone() {
    for fails in [Fails::Skip, Fails::Letter] {
        let failing = Op::MapBatch { max: 4, within: false, grows: false, fails };
        // A batch behind it, so that members of one failed batch hold up more than one place.
        let graph = ordered(12, vec![failing, map_batch(2)]);
        let mut failed = 0;
        grid(graph).items(&[1, 4, 50]).all_done(|case, told| {
            assert_eq!(told.delivered_once() + told.ends.skipped + told.ends.dead_lettered, 12);
            failed += told.ends.skipped + told.ends.dead_lettered;
            assert!(case.items_budget < 50 || told.stalls == 0, "{} stall steps", told.stalls);
        });
        assert!(failed > 100, "hardly any has failed: {failed}");
    }
}

/// `simulate` checks of each licensed batch that it is the oldest member alone; here both kinds must have come.
#[track_caller]
fn check_oldest_alone(graph: Graph, is_it: impl Fn(&Kind) -> bool) {
    let node = nodes(&graph, is_it)[0];
    let (mut alone, mut together) = (0, 0);
    grid(graph).bytes(&[0, 6, 40], 20).like(|case| case.small_births = true).all_done(|_, told| {
        alone += told.licences_at(node);
        together += told.quanta_at(node).filter(|members| members.len() > 1).count();
    });
    assert!(alone > 100 && together > 100, "{alone} alone, {together} together");
}

#[test]
fn growing_map_batch_over_budget_runs_oldest_alone() {
    let graph = ordered(12, vec![map(), growing_map_batch(3)]);
    check_oldest_alone(graph, |kind| matches!(kind, Kind::MapBatch { .. }));
}

#[test]
fn growing_device_over_budget_runs_oldest_alone() {
    let graph = ordered(12, vec![io(4), Op::Device { max: 3, grows: true }]);
    check_oldest_alone(graph, |kind| matches!(kind, Kind::Device { .. }));
}

#[test]
fn device_queue_inherits_age() {
    let graph = ordered(24, vec![io(8), Op::Device { max: 2, grows: true }]);
    let node = nodes(&graph, |kind| matches!(kind, Kind::Device { .. }))[0];
    let mut older_inside = 0;
    // A licence goes to the oldest of all that wait, and a device waits with the age of its oldest member, which may
    // not be in the batch that is whole. `simulate` checks both of every licence.
    grid(graph).bytes(&[8, 16], 40).workers(&[1]).like(|case| case.small_births = true).all_done(
        |_, told| {
            let mut last = None;
            for members in told.quanta_at(node) {
                older_inside += usize::from(last.as_ref().is_some_and(|last| *last > members[0]));
                last = members.last().cloned();
            }
        },
    );
    assert!(older_inside > 20, "older items hardly ever come behind younger ones: {older_inside}");
    // Where credit is short but not used up, it goes to the device before a younger item that grows before it.
    let body = vec![io(8), Op::Map { grows: true }, io(8), Op::Device { max: 2, grows: true }];
    let short = grid(ordered(30, body)).bytes(&[30, 60, 100], 20).like(|case| case.small_births = true);
    short.all_done(|_, told| assert_eq!(told.delivered_once(), 30));
}

#[test]
fn device_passengers_keep_positions() {
    let graph = ordered(12, vec![io(4), Op::Device { max: 3, grows: false }, map()]);
    let node = nodes(&graph, |kind| matches!(kind, Kind::Device { .. }))[0];
    let sink = nodes(&graph, |kind| matches!(kind, Kind::Serial { .. }))[0];
    let mut largest = 0;
    grid(graph).items(&[0, 1, 4, 50]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 12);
        largest = largest.max(told.quanta_at(node).map(<[_]>::len).max().unwrap_or(0));
        // None of those on board is overtaken, though only the oldest is the batch's own place.
        let order: Vec<_> = told.quanta_at(sink).flatten().collect();
        assert!(order.is_sorted() && order.len() == 12, "{order:?}");
    });
    assert_eq!(largest, 3);
}
