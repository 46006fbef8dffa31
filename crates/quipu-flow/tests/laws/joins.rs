//! Flows that were begun apart: merged, paired, one after the other, or looked up in each other.

use crate::{Store, everywhere, with_any_budget};
use quipu_flow::{Batch, Flow};
use std::collections::HashMap;

#[test]
fn a_merge_has_the_items_of_both() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            let (_, receiver) = tokio::sync::mpsc::channel(1);
            Flow::from_iter(0..30u64)
                .map(|n| n)
                .merge(Flow::from_stream(futures_util::stream::iter(100..140u64)))
                .merge(Flow::from_channel(receiver))
                .sink(store.put())
        };
        let expected: Vec<u64> = (0..30).chain(100..140).collect();
        with_any_budget(&pool, build, |mut found| {
            found.sort();
            assert_eq!(found, expected);
        })
        .await;
        // Each source's own items stay in their order.
        with_any_budget(
            &pool,
            |store| build(store).ordered(),
            |found| {
                let (mut one, mut other): (Vec<_>, Vec<_>) = found.into_iter().partition(|n| *n < 100);
                assert!(one.is_sorted() && other.is_sorted());
                one.append(&mut other);
                assert_eq!(one, expected);
            },
        )
        .await;
    });
}

#[test]
fn zip_positional_budget_one() {
    everywhere(async |pool| {
        let slow = async |n: u64| {
            for _ in 0..n % 4 {
                tokio::task::yield_now().await;
            }
            Ok::<_, String>(n * 10)
        };
        let expected: Vec<(u64, u64)> = (0..30).map(|n| (n * 10, n + 7)).collect();
        let build = |store: Store<(u64, u64)>| {
            let left = Flow::from_iter(0..30u64).io(slow).limit(4);
            let right = Flow::from_iter(0..40u64).map_batch(Batch::items(3), |batch| batch).map(|n| n + 7);
            left.zip(right).sink(store.put()).ordered()
        };
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn an_endless_side_of_a_zip_ends_with_the_other() {
    everywhere(async |pool| {
        let store = Store::new();
        let zip = Flow::from_iter(0u64..).map(|n| n).zip(Flow::from_iter(["a", "b", "c"]));
        let report = zip.sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!(store.sorted(), [(0, "a"), (1, "b"), (2, "c")]);
        assert_eq!(report.births, report.ends.total());
        assert_eq!((report.ends.delivered, report.ends.zipped), (3, 6));
    });
}

#[test]
fn concat_gives_one_flow_after_the_other() {
    everywhere(async |pool| {
        let slow = async |n: u64| {
            tokio::task::yield_now().await;
            Ok::<_, String>(n)
        };
        let build = |store: Store<u64>| {
            let first = Flow::from_iter(0..20u64).io(slow).limit(3);
            let second = Flow::from_iter(20..30u64).flat_map(|n| [n, n]);
            first.concat(second).sink(store.put()).ordered()
        };
        let expected: Vec<u64> = (0..20).chain((20..30).flat_map(|n| [n, n])).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn join_probe_waits_for_build() {
    everywhere(async |pool| {
        let build = |store: Store<(u64, Option<String>)>| {
            let names = Flow::from_iter(0..30u64).filter(|n| n % 2 == 0).io(async |n| {
                for _ in 0..n % 5 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, String>((n, format!("item {n}")))
            });
            Flow::from_iter(0..30u64)
                .join_with(
                    names,
                    HashMap::new(),
                    |table, (number, name)| {
                        table.insert(number, name);
                    },
                    |table: &HashMap<u64, String>, number| {
                        assert_eq!(table.len(), 15, "the table is not whole");
                        (number, table.get(&number).cloned())
                    },
                )
                .sink(store.put())
                .ordered()
        };
        let expected: Vec<_> = (0..30).map(|n| (n, (n % 2 == 0).then(|| format!("item {n}")))).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn joins_go_on_into_joins() {
    everywhere(async |pool| {
        let build = |store: Store<((u64, u64), u64)>| {
            let pairs = Flow::from_iter(0..9u64).zip(Flow::from_iter(10..20u64));
            let long = Flow::from_iter(0..5u64).concat(Flow::from_iter(5..12));
            pairs.zip(long).sink(store.put()).ordered()
        };
        let expected: Vec<_> = (0..9).map(|n| ((n, n + 10), n)).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn a_joined_flow_is_merged_like_any_other() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            let sums = Flow::from_iter(0..9u64).zip(Flow::from_iter(10..20u64)).map(|(a, b)| a + b);
            Flow::from_iter(100..105u64).merge(sums).sink(store.put())
        };
        let expected: Vec<u64> = (0..9).map(|n| 10 + 2 * n).chain(100..105).collect();
        with_any_budget(&pool, build, |mut found| {
            found.sort();
            assert_eq!(found, expected);
        })
        .await;
    });
}

#[test]
fn a_table_is_built_of_joined_flows_and_looked_up_by_them() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            let table = Flow::from_iter(0..9u64).zip(Flow::from_iter(10..20u64));
            let keys = Flow::from_iter(0..3u64).concat(Flow::from_iter(5..9u64));
            let insert = |table: &mut HashMap<u64, u64>, (key, value)| _ = table.insert(key, value);
            keys.join_with(table, HashMap::new(), insert, |table, key| table[&key])
                .sink(store.put())
                .ordered()
        };
        let expected = [10, 11, 12, 15, 16, 17, 18];
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn a_branch_may_look_things_up() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            Flow::from_iter(0..6u64)
                .fork(
                    |known| {
                        let squares = Flow::from_iter(0..6u64).map(|n| (n, n * n));
                        let insert =
                            |table: &mut HashMap<u64, u64>, (key, value)| _ = table.insert(key, value);
                        known.join_with(squares, HashMap::new(), insert, |table, key| 100 + table[&key])
                    },
                    |plain| plain.map(|n| n),
                )
                .sink(store.put())
        };
        let expected = [0, 1, 2, 3, 4, 5, 100, 101, 104, 109, 116, 125];
        with_any_budget(&pool, build, |mut found| {
            found.sort();
            assert_eq!(found, expected);
        })
        .await;
    });
}
