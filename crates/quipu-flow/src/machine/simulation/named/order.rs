//! Order: what ends without going on leaves a tombstone, and nobody waits for what cannot come.

use super::*;

/// Enough for all that these graphs hold: no stall step is needed, and one that is taken shows a missing tombstone.
const AMPLE: u64 = 1_000;

#[test]
fn route_then_ordered_branch() {
    let serial = Op::Scan { ordered: true, grows: false };
    let graph = unordered(20, vec![Op::Route { branches: vec![vec![serial], vec![io(1)]] }]);
    let (scan, io) = (
        nodes(&graph, |kind| matches!(kind, Kind::Serial { .. }))[0],
        nodes(&graph, |kind| matches!(kind, Kind::Io { .. }))[0],
    );
    let mut ahead = 0;
    grid(graph).items(&[0, 1, 3, AMPLE]).all_done(|case, told| {
        assert_eq!(told.delivered_once(), 20);
        assert!(told.quanta_at(scan).count() > 0 && told.quanta_at(io).count() > 0);
        if case.items_budget == AMPLE {
            assert_eq!(told.stalls, 0);
            // What is on the other way, and older, holds nobody up.
            let ios = |is_end| {
                let ios = told.log.iter().enumerate();
                ios.filter(move |(_, event)| event.node == io && event.is_end == is_end)
            };
            for (at, scanned) in told.log.iter().enumerate().filter(|(_, event)| event.node == scan) {
                let started =
                    ios(false).filter(|(start, event)| *start < at && event.members < scanned.members);
                let ended = ios(true).filter(|(end, event)| *end < at && event.members < scanned.members);
                ahead += started.count() - ended.count();
            }
        }
    });
    assert!(ahead > 40, "the ordered branch always waits for the other: {ahead}");
}

#[test]
fn empty_flat_map_then_ordered() {
    for most in [0, 1] {
        grid(ordered(8, vec![Op::FlatMap { most }, io(3)])).items(&[0, 1, 3, AMPLE]).all_done(
            |case, told| {
                assert_eq!(told.ends.expanded, 8);
                assert_eq!(told.births, 8 + told.delivered_once());
                assert!(most > 0 || told.births == 8);
                assert!(case.items_budget < AMPLE || told.stalls == 0);
            },
        );
    }
}

#[test]
fn failed_retried_skipped_leave_tombstones() {
    let body = vec![
        failing_io(2, Fails::Skip),
        Op::Filter,
        failing_io(0, Fails::Letter),
        Op::FlatMap { most: 1 },
        Op::Route { branches: vec![vec![failing_io(0, Fails::Skip)], vec![]] },
    ];
    let (mut skipped, mut lettered, mut filtered) = (0, 0, 0);
    grid(ordered(40, body)).items(&[0, 1, 3, AMPLE]).all_done(|case, told| {
        told.delivered_once();
        (skipped, lettered) = (skipped + told.ends.skipped, lettered + told.ends.dead_lettered);
        filtered += told.ends.filtered;
        assert!(case.items_budget < AMPLE || told.stalls == 0, "{} stall steps", told.stalls);
    });
    assert!(skipped > 0 && lettered > 0 && filtered > 0, "{skipped}, {lettered}, {filtered}");
}

#[test]
fn keyed_after_parallel_map() {
    let graph = unordered(20, vec![map(), io(4), Op::Keyed { grows: false }]);
    let mut overtaken = 0;
    let node = nodes(&graph, |kind| matches!(kind, Kind::Io { .. }))[0];
    // `simulate` checks the order within each key.
    grid(graph).items(&[0, 1, 3, AMPLE]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 20);
        let ends: Vec<_> = told.log.iter().filter(|event| event.node == node && event.is_end).collect();
        overtaken += ends.windows(2).filter(|pair| pair[0].members > pair[1].members).count();
    });
    assert!(overtaken > 100, "nothing is out of order before it: {overtaken}");
}

#[test]
fn ordered_with_parallel_sink() {
    // Order is a property of a consumer that takes one at a time; what stands behind it may be parallel again.
    let serial = Op::Scan { ordered: true, grows: false };
    let graph = Graph::Flow(line(20, None, vec![io(4), serial], Last::Sink { slots: 3 }));
    let sink = nodes(&graph, |kind| matches!(kind, Kind::Sink { .. }))[0];
    let mut most = 0;
    grid(graph).items(&[0, 1, 3, AMPLE]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 20);
        let mut running = 0i32;
        for event in told.log.iter().filter(|event| event.node == sink) {
            running += if event.is_end { -1 } else { 1 };
            most = most.max(running);
        }
    });
    assert_eq!(most, 3);
}

#[test]
fn idle_stream_is_not_a_stall() {
    // What waits for somebody outside is as good as motion: the budget is used up, and nobody goes over it.
    let graph = Graph::Flow(line(12, None, vec![map()], Last::Stream));
    let mut full = 0;
    grid(graph).items(&[1, 2, 5]).all_done(|case, told| {
        assert_eq!((told.delivered.len(), told.ends.delivered, told.stalls), (0, 12, 0));
        assert!(told.items_peak <= case.items_budget);
        full += usize::from(told.items_peak == case.items_budget);
    });
    assert!(full > 0);
}

#[test]
fn join_probe_waits_for_build() {
    let table = line(9, None, vec![io(2)], Last::Sink { slots: 1 });
    let main = line(9, None, vec![io(2)], Last::Ordered { waits: true });
    let graph = Graph::Lookup { table, main };
    let gate = nodes(&graph, |kind| matches!(kind, Kind::Fold { .. }))[0];
    grid(graph).items(&[0, 1, 3, AMPLE]).all_done(|_, told| {
        assert_eq!((told.ends.absorbed, told.ends.delivered), (9, 9));
        // The table's nodes come before the gate, all others after it.
        let last_build = told.log.iter().rposition(|event| event.node <= gate).unwrap();
        let first_probe = told.log.iter().position(|event| event.node > gate).unwrap();
        assert!(last_build < first_probe, "{:?}", told.log);
    });
}
