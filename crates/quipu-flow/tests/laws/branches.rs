//! Forks and routes: what flows through branches is what a plain evaluation says, in any budget.

use crate::{Store, everywhere, with_any_budget};
use quipu_flow::{Batch, Flow};

#[test]
fn a_fork_sends_each_item_through_both_branches() {
    everywhere(async |pool| {
        let expected: Vec<u64> = (0..40).flat_map(|n| [n, n * 1000 + 1]).collect();
        let build = |store: Store<u64>| {
            Flow::from_iter(0..40u64)
                .fork(
                    |plain| plain.io(async |n| Ok::<_, String>(n)).limit(3),
                    |other| other.map(|n| n * 1000 + 1).map_batch(Batch::items(3), |batch| batch),
                )
                .sink(store.put())
        };
        with_any_budget(&pool, |store| build(store).ordered(), |found| assert_eq!(found, expected)).await;
        let mut expected = expected.clone();
        expected.sort();
        with_any_budget(&pool, build, |mut found| {
            found.sort();
            assert_eq!(found, expected);
        })
        .await;
    });
}

#[test]
fn a_broadcast_sends_each_item_through_all_branches() {
    everywhere(async |pool| {
        let expected: Vec<(u64, usize)> =
            (0..20).flat_map(|n| (0..5).map(move |branch| (n, branch))).collect();
        let build = |store: Store<(u64, usize)>| {
            let flow =
                Flow::from_iter(0..20u64).broadcast(5, |branch, items| items.map(move |n| (n, branch)));
            flow.sink(store.put()).ordered()
        };
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn a_route_sends_each_item_through_one_branch() {
    everywhere(async |pool| {
        let expected: Vec<(usize, usize)> = (0..60).map(|n| (n % 3, n)).collect();
        let build = |store: Store<(usize, usize)>| {
            Flow::from_iter(0..60usize)
                .route(
                    3,
                    |n| n % 3,
                    |branch, items| {
                        let delay = move |n: usize| async move {
                            for _ in 0..branch * 2 {
                                tokio::task::yield_now().await;
                            }
                            Ok::<_, String>((branch, n))
                        };
                        items.io(delay).limit(2)
                    },
                )
                .sink(store.put())
                .ordered()
        };
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn route_if_sends_the_true_ones_through_the_first_branch() {
    everywhere(async |pool| {
        let expected: Vec<u64> = (0..60).map(|n| if n % 4 == 0 { n * 100 } else { n }).collect();
        let build = |store: Store<u64>| {
            Flow::from_iter(0..60u64)
                .route_if(|n| n % 4 == 0, |yes| yes.map(|n| n * 100), |no| no.flat_map(|n| [n]))
                .sink(store.put())
                .ordered()
        };
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn route_then_ordered_branch() {
    everywhere(async |pool| {
        // Every odd item waits until the ordered branch has seen all even ones, which are younger.
        let (seen, all_seen) = tokio::sync::watch::channel(0);
        let report = Flow::from_iter(0..40u64)
            .route_if(
                |n| n % 2 == 0,
                |even| {
                    let mut next = 0;
                    let scan = even.scan((), move |(), n| {
                        assert_eq!(n, next);
                        next += 2;
                        seen.send_modify(|count| *count += 1);
                        n
                    });
                    scan.ordered()
                },
                |odd| {
                    odd.io(move |n| {
                        let mut all_seen = all_seen.clone();
                        async move { all_seen.wait_for(|count| *count == 20).await.map(|_| n) }
                    })
                },
            )
            .sink(Store::new().put())
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!((report.ends.delivered, report.stalls), (40, 0));
    });
}

#[test]
fn fork_zip_pairs_by_ancestry() {
    everywhere(async |pool| {
        let expected: Vec<(u64, String)> = (0..50).map(|n| (n * n, format!("item {n}"))).collect();
        let build = |store: Store<(u64, String)>| {
            Flow::from_iter(0..50u64)
                .fork_zip(
                    |squares| squares.map(|n| n * n).map_batch(Batch::items(4), |batch| batch),
                    |names| {
                        let slow = async |n: u64| {
                            for _ in 0..n % 5 {
                                tokio::task::yield_now().await;
                            }
                            Ok::<_, String>(format!("item {n}"))
                        };
                        names.io(slow).limit(4)
                    },
                )
                .sink(store.put())
                .ordered()
        };
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn fork_zip_leaves_unpaired_what_has_lost_its_partner() {
    everywhere(async |pool| {
        for ordered in [false, true] {
            let store = Store::new();
            let pipeline = Flow::from_iter(0..60u64)
                .fork_zip(|a| a.filter(|n| n % 2 == 0), |b| b.filter(|n| n % 3 == 0))
                .sink(store.put());
            let pipeline = if ordered { pipeline.ordered() } else { pipeline };
            let report = pipeline.in_flight(3).on(&pool).run().await.unwrap();
            assert_eq!(store.sorted(), (0..60).step_by(6).map(|n| (n, n)).collect::<Vec<_>>());
            // 10 pairs; 20 + 10 clones whose sibling was filtered; 30 + 40 filtered.
            let ends = report.ends;
            assert_eq!((ends.delivered, ends.zipped, ends.unpaired, ends.filtered), (10, 10, 30, 70));
            assert_eq!(report.births, ends.total());
        }
    });
}

#[test]
fn zip_fork_budget_one() {
    everywhere(async |pool| {
        let branch = |n| async move { Ok::<u32, String>(n) };
        let flow = Flow::from_iter(0..9u32).fork_zip(move |a| a.io(branch), |b| b.map(|n| n));
        let report = flow.sink(Store::new().put()).in_flight(1).on(&pool).run().await.unwrap();
        // B + D: the fork, and two branches.
        assert_eq!(report.ends.delivered, 9);
        assert!(report.items_peak <= 1 + 3, "{}", report.items_peak);
        assert!(report.stalls > 0);
    });
}

#[test]
fn fork_three_budget_one() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0..9u32).broadcast(3, |_, items| items.map(|n| n));
        let report = flow.sink(Store::new().put()).ordered().in_flight(1).on(&pool).run().await.unwrap();
        assert_eq!(report.ends.delivered, 27);
        assert!(report.items_peak <= 1 + 2, "{}", report.items_peak);
    });
}

#[test]
fn an_item_routed_to_no_branch_fails() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0..9usize).route(2, |n| n % 3, |_, items| items.map(|n| n));
        let flow = flow.sink(Store::new().put()).on_any_error(quipu_flow::OnError::Skip);
        let report = flow.on(&pool).run().await.unwrap();
        assert_eq!((report.ends.delivered, report.ends.skipped), (6, 3));
    });
}
