//! Branches: clones have credit, and pairs are of one item.

use super::*;

#[test]
fn fork_three_budget_one() {
    let branches = vec![vec![], vec![io(1)], vec![map_batch(2)]];
    let mut worst = 0;
    grid(unordered(5, vec![Op::Fork { zips: false, branches }])).items(&[0, 1]).all_done(|case, told| {
        assert_eq!((told.births, told.delivered_once(), told.ends.expanded), (5 + 15, 15, 5));
        let over = told.items_peak.saturating_sub(case.items_budget);
        assert!(over <= 2, "{over} items over budget");
        worst = worst.max(over);
    });
    assert!(worst > 0);
}

#[test]
fn zip_fork_budget_one() {
    let branches = vec![vec![io(2)], vec![map_batch(2)], vec![Op::Scan { ordered: true, grows: false }]];
    let mut worst = 0;
    grid(ordered(6, vec![zip_fork(branches)])).items(&[0, 1]).all_done(|case, told| {
        // Of three clones, two end zipped and one is the pair.
        assert_eq!((told.delivered_once(), told.ends.zipped, told.ends.unpaired), (6, 12, 0));
        let over = told.items_peak.saturating_sub(case.items_budget);
        assert!(over <= 1 + 3, "{over} items over budget");
        worst = worst.max(over);
    });
    assert!(worst >= 2, "{worst}");
}

#[test]
fn unpaired_clones_are_an_end() {
    let branches = vec![vec![Op::Filter], vec![failing_io(1, Fails::Skip)]];
    let mut unpaired = 0;
    grid(ordered(16, vec![zip_fork(branches)])).items(&[0, 1, 3, 1_000]).all_done(|case, told| {
        assert_eq!(told.ends.zipped, told.delivered_once());
        let lost = told.ends.filtered + told.ends.skipped + told.ends.unpaired;
        assert_eq!(told.ends.delivered * 2 + lost, 32);
        unpaired += told.ends.unpaired;
        assert!(case.items_budget < 1_000 || told.stalls == 0);
    });
    assert!(unpaired > 100, "{unpaired}");
}

#[test]
fn zip_positional_budget_one() {
    let side = |items, body| line(items, None, body, Last::Sink { slots: 1 });
    for pairs in [true, false] {
        let sides = [side(9, vec![io(3)]), side(6, vec![Op::FlatMap { most: 2 }])];
        let main = line(0, None, vec![map()], Last::Ordered { waits: true });
        let graph = Graph::Joint { pairs, sides, main };
        let ports = nodes(&graph, |kind| matches!(kind, Kind::Joint { .. }));
        assert_eq!(ports.len(), 1);
        // A budget of one is one for each share of it.
        let mut results = std::collections::BTreeSet::new();
        grid(graph).items(&[0, 1, 2, 9]).all_done(|_, told| {
            let delivered = told.delivered_once();
            assert_eq!(told.ends.zipped, delivered * if pairs { 2 } else { 1 });
            if pairs {
                assert!(delivered < 9, "the right side is the shorter");
            } else {
                assert_eq!(told.births - delivered, delivered + 6, "everything is taken: {:?}", told.ends);
            }
            results.insert(delivered);
        });
        assert_eq!(results.len(), 1, "{results:?}");
    }
}

#[test]
fn what_is_never_paired_is_acknowledged_after_its_expansion() {
    // The long side's flow ends with the short one, while a member of it is being made into several. `simulate` checks
    // that no item is acknowledged before the last quantum that works on it has ended.
    let group = Op::Group { most: 4, outputs: 1, ordered: false, body: vec![] };
    for expander in [group, scatter(4, vec![])] {
        let side = |items, body| line(items, None, body, Last::Sink { slots: 1 });
        let sides = [side(1, vec![]), side(6, vec![expander])];
        let main = line(0, None, vec![], Last::Sink { slots: 1 });
        let mut unpaired = 0;
        grid(Graph::Joint { pairs: true, sides, main }).seeds(300).all_done(|_, told| {
            unpaired += told.ends.unpaired;
        });
        assert!(unpaired > 1_000, "{unpaired}");
    }
}

#[test]
fn scatter_in_both_branches_of_a_zip() {
    let branches = vec![vec![scatter(4, vec![map_batch(3)])], vec![scatter(3, vec![io(2)]), map_batch(2)]];
    grid(ordered(6, vec![zip_fork(branches)])).all_done(|_, told| {
        assert_eq!((told.delivered_once(), told.ends.zipped, told.ends.unpaired), (6, 6, 0));
        // Each part was put together with its own clone again: births are sources, clones and parts.
        assert_eq!(told.ends.gathered, told.births - 6 - 12);
    });
}
