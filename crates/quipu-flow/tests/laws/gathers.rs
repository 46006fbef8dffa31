//! Scattered items and groups, and when they are acknowledged.

use crate::{Store, everywhere, with_any_budget};
use quipu_flow::{Batch, Flow, OnError, Reduce};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

#[test]
fn a_scattered_item_comes_together_in_order() {
    everywhere(async |pool| {
        let build = |store: Store<(u64, Vec<u64>)>| {
            Flow::from_iter(0..20u64)
                .scatter(
                    |n| (n, 0..n % 5),
                    |parts| {
                        let slow = async |part: u64| {
                            for _ in 0..3 - part.min(3) {
                                tokio::task::yield_now().await;
                            }
                            Ok::<_, String>(part)
                        };
                        parts
                            .io(slow)
                            .limit(3)
                            .filter(|part| *part != 1)
                            .map_batch(Batch::items(4), |batch| batch)
                    },
                    |n, parts| (n, parts),
                )
                .sink(store.put())
                .ordered()
        };
        let expected: Vec<_> = (0..20).map(|n| (n, (0..n % 5).filter(|part| *part != 1).collect())).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn a_partial_gather_hears_of_each_part() {
    everywhere(async |pool| {
        let build = |store: Store<(u64, Vec<Result<u64, String>>)>| {
            Flow::from_iter(0..12u64)
                .scatter_partial(
                    |n| (n, 0..n),
                    |parts| {
                        parts
                            .try_map(|part| if part % 3 == 1 { Err(format!("bad {part}")) } else { Ok(part) })
                    },
                    |n, parts| {
                        let told = parts.into_iter().map(|part| part.map_err(|error| error.to_string()));
                        (n, told.collect())
                    },
                )
                .sink(store.put())
                .ordered()
        };
        let told = |part| if part % 3 == 1 { Err(format!("bad {part}")) } else { Ok(part) };
        let expected: Vec<_> = (0..12).map(|n| (n, (0..n).map(told).collect())).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn scatter_in_both_branches_of_a_zip() {
    everywhere(async |pool| {
        let build = |store: Store<(u64, u64)>| {
            Flow::from_iter(0..10u64)
                .fork_zip(
                    |a| {
                        a.scatter(
                            |n| ((), 0..n),
                            |parts| parts.map_batch(Batch::items(3), |b| b),
                            |(), parts| parts.iter().sum(),
                        )
                    },
                    |b| b.scatter(|n| (n, [n, n]), |parts| parts.map(|n| n), |_, parts| parts.len() as u64),
                )
                .sink(store.put())
                .ordered()
        };
        let expected: Vec<(u64, u64)> = (0..10).map(|n| ((0..n).sum(), 2)).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn gather_acks_after_the_sink() {
    everywhere(async |pool| {
        let (stored, acknowledged) = (Arc::new(Mutex::new(Vec::new())), Store::new());
        let (sink, seen, ack) = (stored.clone(), stored.clone(), acknowledged.clone());
        let scattered = Flow::from_iter(0..20u32)
            .on_ack(
                |n| *n,
                move |n| {
                    assert!(seen.lock().unwrap().contains(&n), "{n} is acknowledged before the sink has it");
                    ack.0.lock().unwrap().push(n);
                },
            )
            .unacknowledged(3)
            .scatter(|n| (n, 0..n % 4), |parts| parts.map_batch(Batch::items(3), |b| b), |n, _| n);
        let pipeline = scattered.batch(Batch::items(2)).sink(move |items: Vec<u32>| {
            let sink = sink.clone();
            async move {
                tokio::task::yield_now().await;
                sink.lock().unwrap().extend(items);
                Ok::<(), String>(())
            }
        });
        pipeline.on(&pool).run().await.unwrap();
        assert_eq!(acknowledged.sorted(), (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn gather_larger_than_the_budget_finishes() {
    everywhere(async |pool| {
        let store = Store::new();
        let report = Flow::from_iter(0..4u64)
            .scatter(
                |n| (n, (0..50u64).map(|part| vec![part as u8; 100])),
                |parts| parts.map(|part| part),
                |n, parts| (n, parts),
            )
            .weigh(|(_, parts): &(u64, Vec<Vec<u8>>)| parts.len() * 124)
            .sink(store.put())
            .ordered()
            .memory(500)
            .in_flight(3)
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(
            store.take().iter().map(|(n, parts)| (*n, parts.len())).collect::<Vec<_>>(),
            [(0, 50), (1, 50), (2, 50), (3, 50)]
        );
        assert!(report.items_peak >= 51 && report.stalls > 0);
    });
}

#[test]
fn a_group_is_reduced_when_all_its_members_have_come() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            Flow::from_iter(0..15u64)
                .group(
                    |n| (0..n % 4).map(move |member| n * 10 + member),
                    |members| members.io(async |n| Ok::<_, String>(n)).limit(3).filter(|n| n % 10 != 2),
                    Reduce::new(Vec::new, Vec::push, |members: Vec<u64>| members.into_iter().chain([999]))
                        .ordered(),
                )
                .map_batch(Batch::items(2), |batch| batch)
                .sink(store.put())
                .ordered()
        };
        let members = |n: u64| (0..n % 4).filter(|member| *member != 2).map(move |member| n * 10 + member);
        let expected: Vec<u64> = (0..15).flat_map(|n| members(n).chain([999])).collect();
        with_any_budget(&pool, build, |found| assert_eq!(found, expected)).await;
    });
}

#[test]
fn the_state_of_a_group_that_fails_does_not_stay() {
    struct State(Arc<AtomicUsize>);
    impl Drop for State {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    everywhere(async |pool| {
        let (live, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counts, most) = (live.clone(), peak.clone());
        let begin = move || {
            most.fetch_max(counts.fetch_add(1, SeqCst) + 1, SeqCst);
            State(counts.clone())
        };
        // The second member is reduced before the third is asked for: only one item may be in flight besides the group's.
        let members = |n: u64| (0..3u64).inspect(move |member| assert!(*member < 2, "{n} has no third"));
        let states = Reduce::new(begin, |_: &mut State, _: u64| {}, |_| [0u64]);
        let flow = Flow::from_iter(0..200u64).group(members, |members| members, states);
        let flow = flow.for_each(drop).on_any_error(OnError::Skip).in_flight(2).on(&pool);
        let report = flow.run().await.unwrap();
        assert_eq!((report.ends.delivered, report.ends.skipped), (0, 200));
        assert!(peak.load(SeqCst) > 0, "no state was ever begun");
        assert!(peak.load(SeqCst) < 50, "{} states at once", peak.load(SeqCst));
        assert_eq!(live.load(SeqCst), 0);
    });
}

#[test]
fn late_group_does_not_serialise() {
    everywhere(async |pool| {
        // The first group's member waits until the last group's output has been delivered.
        let (deliver, delivered) = tokio::sync::watch::channel(0);
        let report = Flow::from_iter(0..6u64)
            .group(
                |n| [n],
                move |members| {
                    members.io(move |n| {
                        let mut delivered = delivered.clone();
                        async move {
                            if n == 0 {
                                delivered
                                    .wait_for(|count| *count == 5)
                                    .await
                                    .map_err(|error| error.to_string())?;
                            }
                            Ok::<_, String>(n)
                        }
                    })
                },
                Reduce::new(|| 0, |sum, n| *sum += n, Some),
            )
            .for_each(move |_| deliver.send_modify(|count| *count += 1))
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(report.ends.delivered, 6);
    });
}

#[test]
fn empty_group_closes() {
    everywhere(async |pool| {
        let build = |store: Store<u64>| {
            let count = Reduce::new(|| 0, |count, _: u64| *count += 1, Some);
            Flow::from_iter(0..5u64).group(|_| 0..0u64, |members| members.map(|n| n), count).sink(store.put())
        };
        with_any_budget(&pool, build, |found| assert_eq!(found, [0; 5])).await;
    });
}
