//! Endings at any moment: cancelled, drained, paused, or stalled by mistake.

use super::*;

/// Something of everything.
fn everything() -> Graph {
    let grows = Op::Map { grows: true };
    let zip = zip_fork(vec![vec![Op::Filter], vec![map_batch(2)]]);
    let group = Op::Group { most: 3, outputs: 2, ordered: true, body: vec![io(2), batch(2)] };
    let fork = Op::Fork { zips: false, branches: vec![vec![batch(3)], vec![Op::Keyed { grows: false }]] };
    ordered(6, vec![grows, failing_io(1, Fails::Letter), scatter(3, vec![map_batch(3)]), zip, group, fork])
}

#[test]
fn cancel_at_every_step_terminates() {
    let mut cancelled = 0;
    for step in 0..400 {
        grid(everything()).items(&[1, 9]).seeds(1).like(|case| case.cancel_at = Some(step)).all(|_, told| {
            cancelled += usize::from(told.ended == Ended::Cancelled);
        });
    }
    assert!(cancelled > 800, "{cancelled}");
}

#[test]
fn births_equal_ends_on_every_ending() {
    // `simulate` checks the sums; here is an ending of each kind.
    let stopping = ordered(12, vec![scatter(2, vec![map()]), failing_io(0, Fails::Stop)]);
    let mut failed = 0;
    grid(stopping).all(|_, told| failed += told.ends.failed);
    assert!(failed > 100, "{failed}");
    grid(everything()).seeds(6).all_done(|_, told| assert_eq!(told.ends.cancelled, 0));
    grid(everything()).seeds(6).like(|case| case.drain_at = Some(20)).all_done(|_, told| {
        assert_eq!(told.ends.cancelled, 0);
    });
    grid(everything()).seeds(6).like(|case| case.cancel_at = Some(40)).all(|_, told| {
        assert_eq!(told.ended, Ended::Cancelled);
    });
}

#[test]
fn cancel_between_split_and_gather_ends_each_token_once() {
    let graph = ordered(4, vec![scatter(4, vec![io(2), scatter(2, vec![map_batch(3)])])]);
    let gathers = nodes(&graph, |kind| matches!(kind, Kind::Gather { .. }));
    let scatters = nodes(&graph, |kind| matches!(kind, Kind::Scatter { .. }));
    let mut between = 0;
    for step in 0..120 {
        grid(graph.clone()).items(&[0, 2, 9]).seeds(3).like(|case| case.cancel_at = Some(step)).all(
            |_, told| {
                // The sums are exact: each parent and each part, gathered or not, has ended once.
                assert_eq!(told.births, told.ends.total());
                let split = told.quanta_at(scatters[0]).count();
                between += usize::from(split > 0 && told.quanta_at(gathers[1]).count() < split);
            },
        );
    }
    assert!(between > 500, "hardly any is cancelled between: {between}");
}

#[test]
fn drain_while_paused() {
    let endless = |last| Graph::Flow(line(1_000_000, None, vec![map_batch(3), io(2)], last));
    for last in [Last::Sink { slots: 2 }, Last::Ordered { waits: true }] {
        let paused = |case: &mut Case| (case.pause_at, case.drain_at) = (Some(30), Some(60));
        grid(endless(last)).items(&[1, 4]).like(paused).all_done(|_, told| {
            assert!(!told.was_resumed, "only the end of the pause let it go on");
            assert!(told.births < 1_000_000);
            assert_eq!(told.births, told.ends.delivered);
        });
    }
}

#[test]
fn spurious_stall_step_only_costs_memory() {
    let mut over = 0;
    grid(everything()).items(&[1, 4, 30]).like(|case| case.spurious = true).all_done(|case, told| {
        over += u64::from(told.items_peak > case.items_budget);
    });
    assert!(over > 0, "it was never taken");
    // Order, liveness and results are the same with it and without.
    let results = |spurious| {
        let graph =
            ordered(12, vec![io(3), Op::FlatMap { most: 3 }, scatter(3, vec![map_batch(4)]), Op::Filter]);
        let mut results = Vec::new();
        grid(graph).like(|case| case.spurious = spurious).all_done(|_, told| {
            results.push(told.delivered.clone());
        });
        results
    };
    assert_eq!(results(true), results(false));
}
