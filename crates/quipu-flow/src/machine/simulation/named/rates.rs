//! Rates: `simulate` holds every start to them, and sees that no stall step is taken while one is all that is waited for.

use super::*;

#[test]
fn a_rate_is_no_stall() {
    let graph = ordered(12, vec![io(4), scatter(3, vec![io(2)]), failing_io(2, Fails::Skip)]);
    grid(graph).items(&[1_000]).like(|case| case.rate = Case::rate(1)).all_done(|_, told| {
        assert_eq!(told.delivered_once() + told.ends.skipped, 12);
        assert_eq!(told.stalls, 0);
    });
}

#[test]
fn a_rate_behind_a_small_budget_finishes() {
    let growing = Op::Io { slots: 3, retries: 1, fails: Fails::Letter, grows: true };
    for starts in [1, 3] {
        let graph = ordered(9, vec![Op::FlatMap { most: 3 }, map_batch(2), growing.clone()]);
        let small = grid(graph).bytes(&[0, 3, 20], 20).like(|case| case.rate = Case::rate(starts));
        small.all_done(|_, told| assert_eq!(told.births, told.ends.total()));
    }
}

#[test]
fn retries_are_starts() {
    let graph = unordered(12, vec![failing_io(2, Fails::Skip)]);
    let io = nodes(&graph, |kind| matches!(kind, Kind::Io { .. }))[0];
    let mut retries = 0;
    grid(graph).like(|case| case.rate = Case::rate(2)).all_done(|_, told| {
        // `simulate` has counted each of these.
        retries += told.quanta_at(io).count() - 12;
    });
    assert!(retries > 100, "{retries}");
}
