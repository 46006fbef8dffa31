//! States that absorb: folds, groups and tables give back what they took in, and stand at the end of their scope.

use super::*;

fn group(most: u64, outputs: u64, body: Vec<Op>) -> Op {
    Op::Group { most, outputs, ordered: false, body }
}

#[test]
fn fold_ack_window_one() {
    let graph = one_by_one(8, vec![Op::Fold { outputs: 2, ordered: false }]);
    grid(graph).items(&[1, 2, 9]).all_done(|_, told| {
        // What a state has taken in is acknowledged; if it were not, the second item would never be born.
        assert_eq!((told.ends.absorbed, told.ends.delivered, told.stalls), (8, 2, 0));
    });
}

#[test]
fn two_folds_then_ordered() {
    let fold = |outputs| Op::Fold { outputs, ordered: true };
    let one_behind_the_other = vec![io(2), fold(3), io(2), fold(2)];
    grid(ordered(6, one_behind_the_other)).all_done(|_, told| {
        assert_eq!((told.ends.absorbed, told.delivered_once()), (6 + 3, 2));
    });
    // Both give out at the end of one input: their outputs stand one behind the other, in the nodes' order.
    let beside_each_other = Op::Route { branches: vec![vec![fold(2)], vec![io(1), fold(3)], vec![]] };
    grid(ordered(6, vec![beside_each_other])).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 6 - told.ends.absorbed + 5);
    });
    // The younger fold's outputs come first, behind items of the third branch: they still wait for the older one's.
    let younger_first = Op::Route { branches: vec![vec![io(1), fold(2)], vec![fold(3)], vec![]] };
    grid(ordered(12, vec![younger_first])).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 12 - told.ends.absorbed + 5);
    });
}

#[test]
fn three_folds_then_ordered() {
    // What the first and the last give out waits together; what the one between them will give out comes between.
    let fold = || vec![Op::Fold { outputs: 3, ordered: false }];
    let fork = Op::Fork { zips: false, branches: vec![fold(), fold(), fold()] };
    for next in [Op::Scan { ordered: true, grows: false }, Op::Keyed { grows: false }] {
        let graph = unordered(3, vec![fork.clone(), next]);
        grid(graph).items(&[9, 30]).seeds(48).all_done(|_, told| assert_eq!(told.delivered_once(), 9));
    }
}

#[test]
fn a_fold_beside_births_then_ordered() {
    // One of two merged flows ends before the other: what was made of it stands behind what the other still bears. While
    // that one is paused or idle, its clones have the credit that is free and no more, however many they are.
    for external in [false, true] {
        let tree = |items, external, body| {
            let start = Start::Source(Source { items, external, window: None });
            Tree { start, tables: Vec::new(), body }
        };
        let folded = tree(1, false, vec![Op::Fold { outputs: 3, ordered: false }]);
        let flows = vec![folded, tree(9, external, vec![io(2)])];
        let body = vec![Op::Fork { zips: false, branches: vec![vec![]; 3] }];
        let tree = Tree { start: Start::Merge(flows), tables: Vec::new(), body };
        for pauses in [false, true] {
            let graph = Graph::Tree(tree.clone(), Last::Ordered { waits: false });
            let paused = grid(graph).like(|case| case.pauses = pauses);
            paused.all_done(|_, told| assert_eq!(told.delivered_once(), 3 * (9 + 3)));
        }
    }
}

#[test]
fn empty_group_closes() {
    for most in [0, 2] {
        grid(ordered(6, vec![group(most, 2, vec![io(2), batch(2)])])).all_done(|_, told| {
            assert_eq!(told.delivered_once(), 12, "each group gives its outputs, members or none");
            assert!(most > 0 || told.ends.absorbed == 0);
        });
    }
    // All members end before they reach the state.
    let filters = vec![Op::Filter, Op::Filter, Op::Filter, failing_io(0, Fails::Skip)];
    grid(ordered(6, vec![group(3, 1, filters)])).all_done(|_, told| assert_eq!(told.delivered_once(), 6));
}

#[test]
fn late_group_does_not_serialise() {
    let graph = unordered(12, vec![group(3, 1, vec![io(2)])]);
    let reduce = nodes(&graph, |kind| matches!(kind, Kind::Reduce { .. }))[0];
    let (mut late, mut apart) = (0, 0);
    grid(graph).items(&[6, 30]).all_done(|case, told| {
        assert_eq!((told.delivered_once(), told.ends.expanded), (12, 12));
        // Younger groups close while an older one is still open.
        let delivered: Vec<_> = told.quanta_at(told.log.last().unwrap().node).flatten().collect();
        late += usize::from(!delivered.is_sorted());
        let groups: Vec<u64> = told.quanta_at(reduce).flatten().map(|member| member.path()[0]).collect();
        apart += usize::from(!groups.is_sorted());
        assert!(case.items_budget < 30 || told.stalls == 0, "{} stall steps", told.stalls);
    });
    assert!(late > 10 && apart > 10, "groups wait for each other: {late}, {apart}");
}

#[test]
fn map_batch_across_parents_in_a_group_never_spans_groups() {
    // `simulate` checks that no batch has members of two groups.
    let graph = unordered(8, vec![group(4, 1, vec![scatter(3, vec![map_batch(4)])])]);
    let node = nodes(&graph, |kind| matches!(kind, Kind::MapBatch { .. }))[0];
    let mut across = 0;
    grid(graph).items(&[0, 1, 30]).all_done(|_, told| {
        assert_eq!(told.delivered_once(), 8);
        for members in told.quanta_at(node) {
            let parents: Vec<Vec<u64>> = members.iter().map(|member| member.path()[..2].to_vec()).collect();
            assert!(parents.iter().all(|parent| parent[0] == parents[0][0]), "{members:?}");
            across += usize::from(parents.windows(2).any(|pair| pair[0] != pair[1]));
        }
    });
    assert!(across > 20, "no batch has parts of several parents: {across}");
}

#[test]
fn an_empty_table_waits_for_the_table_behind_it() {
    // Else the flow would be opened when the first is whole, and its items would wait for the second with their credit.
    let tree = |items, external| {
        let start = Start::Source(Source { items, external, window: None });
        Tree { start, tables: Vec::new(), body: Vec::new() }
    };
    let tables = vec![tree(0, true), tree(4, false)];
    let graph = Graph::Tree(Tree { tables, ..tree(3, false) }, Last::Sink { slots: 1 });
    let (source, table) = (
        nodes(&graph, |kind| matches!(kind, Kind::Source { .. }))[0],
        nodes(&graph, |kind| matches!(kind, Kind::Fold { .. }))[1],
    );
    grid(graph).all_done(|_, told| {
        let opened = told.log.iter().position(|event| event.node == source).unwrap();
        let whole = told.log.iter().rposition(|event| event.node == table).unwrap();
        assert!(whole < opened, "{whole}, {opened}");
    });
}
