//! Bytes: what grows is charged, and what is over budget is so by no more than the bound says.

use super::*;

/// Sixty items of one byte that grow to fifty.
fn sixty(body: Vec<Op>) -> Grid {
    let last = Last::Sink { slots: 1 };
    grid(Graph::Flow(line(60, None, body, last)))
        .bytes(&[60], 50)
        .seeds(12)
        .like(|case| case.small_births = true)
}

#[test]
fn growth_gate_sixty_items() {
    let mut worst = 0;
    sixty(vec![Op::Map { grows: true }, io(1)]).all_done(|case, told| {
        let bound = 60 + (1 + case.workers as u64) * 50;
        assert!(told.bytes_peak <= bound, "{} bytes > {bound}", told.bytes_peak);
        worst = worst.max(told.bytes_peak);
    });
    assert!(worst > 60, "the budget is never passed: {worst}");
}

#[test]
fn io_limit_growth_bound() {
    for slots in [1, 8, 24] {
        let growing = Op::Io { slots, retries: 0, fails: Fails::Never, grows: true };
        let mut worst = 0;
        sixty(vec![growing, io(1)]).workers(&[1]).all_done(|_, told| {
            let bound = 60 + (2 + slots as u64) * 50;
            assert!(told.bytes_peak <= bound, "{} bytes > {bound} with {slots} slots", told.bytes_peak);
            worst = worst.max(told.bytes_peak);
        });
        // The limit has to be in the bound: without it, it would not hold.
        assert!(slots < 8 || worst > 60 + 2 * 50, "{worst} bytes with {slots} slots");
    }
}

#[test]
fn adaptive_io_growth_bound() {
    // The limits between which it moves are in the bound that `simulate` checks with their largest.
    let adaptive = Op::Io { slots: 24, retries: 1, fails: Fails::Skip, grows: true };
    let graph = Graph::Flow(line(900, None, vec![adaptive], Last::Sink { slots: 24 }));
    let io = nodes(&graph, |kind| matches!(kind, Kind::Io { .. }))[0];
    let mut limits = std::collections::BTreeSet::new();
    let adapts = |case: &mut Case| (case.adapts, case.small_births) = (true, true);
    grid(graph).bytes(&[300, 100_000], 50).seeds(9).like(adapts).all_done(|_, told| {
        assert_eq!(told.delivered_once() + told.ends.skipped, 900);
        limits.extend(told.at_once[io]);
    });
    assert!(limits.len() > 1 && limits.iter().all(|limit| (4..=24).contains(limit)), "{limits:?}");
}

#[test]
fn growth_behind_an_order_does_not_add_up() {
    // Six one-byte items took 145 bytes of an allowed 130 when a growing batch was let over budget whole.
    let graph = ordered(6, vec![map(), growing_map_batch(2)]);
    let grown = grid(graph).bytes(&[8], 40).workers(&[1]).seeds(200).like(|case| case.small_births = true);
    grown.all_done(|_, told| assert!(told.bytes_peak <= 8 + 2 * 80, "{}", told.bytes_peak));
    let graph = ordered(24, vec![io(8), Op::Device { max: 2, grows: true }]);
    let grown = grid(graph).bytes(&[8, 16], 40).workers(&[1]).seeds(60).like(|case| case.small_births = true);
    grown
        .all_done(|case, told| assert!(told.bytes_peak <= case.bytes_budget + 4 * 80, "{}", told.bytes_peak));
}

#[test]
fn budget_smaller_than_one_item_finishes() {
    let body = vec![
        Op::Map { grows: true },
        Op::FlatMap { most: 3 },
        growing_map_batch(4),
        scatter(3, vec![io(2)]),
        zip_fork(vec![vec![map()], vec![io(2)]]),
    ];
    let graph = ordered(5, body);
    let stalls = grid(graph).bytes(&[0, 1, 2], 20).like(|case| case.small_births = true).all_done(|_, _| ());
    assert!(stalls > 1_000, "{stalls}");
}

#[test]
fn nested_flat_map_depth_bound() {
    for depth in [2, 4] {
        let graph = unordered(2, vec![Op::FlatMap { most: 9 }; depth as usize]);
        let mut worst = 0;
        grid(graph).items(&[0, 1, 3]).workers(&[2]).seeds(if depth == 4 { 2 } else { 12 }).all_done(
            |case, told| {
                let over = told.items_peak.saturating_sub(case.items_budget);
                assert!(over <= depth + 1, "{over} items over budget at depth {depth}");
                worst = worst.max(over);
            },
        );
        // With a budget of nought, each ancestor is over it, and the leaf.
        assert_eq!(worst, depth + 1);
    }
}

#[test]
fn licence_prefers_oldest_path() {
    // Many children behind an order, each licence to the oldest path: to the most downstream instead cost 50 items over
    // where this cost 2. `simulate` checks of each licence that nothing that waits is older.
    let body = vec![Op::FlatMap { most: 6 }, Op::Map { grows: true }, Op::FlatMap { most: 40 }];
    let mut worst = 0;
    let stalls = grid(ordered(3, body)).items(&[4]).all_done(|_, told| {
        worst = worst.max(told.items_peak);
    });
    assert!(stalls > 20, "{stalls}");
    assert!(worst <= 4 + 3, "{worst} items of a budget of 4");
}
