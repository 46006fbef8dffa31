//! The budget: what is charged stays within the stated bound, and no budget is too small to finish.

use crate::{Store, everywhere};
use quipu_flow::{Batch, Flow};
use std::sync::{Arc, Mutex};

#[test]
fn batch_two_budget_one() {
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter(0..7u32).batch(Batch::items(2));
        let report = flow.sink(store.put()).in_flight(1).on(&pool).run().await.unwrap();
        let mut items: Vec<u32> = store.take().concat();
        items.sort();
        assert_eq!(items, (0..7).collect::<Vec<_>>());
        assert!(report.stalls > 0);
    });
}

#[test]
fn budget_smaller_than_one_item_finishes() {
    everywhere(async |pool| {
        for budget in [0, 1] {
            let store = Store::new();
            let report = Flow::from_iter(0..20usize)
                .map(|number| vec![number as u8; 1000])
                .flat_map(|bytes| [bytes.clone(), bytes])
                .io(async |bytes: Vec<u8>| Ok::<_, String>([bytes.clone(), bytes].concat()))
                .map_batch(Batch::items(5), |batch| batch)
                .sink(store.put())
                .memory(budget)
                .on(&pool)
                .run()
                .await
                .unwrap();
            assert_eq!(store.take().len(), 40);
            assert_eq!(report.ends.delivered, 40);
            // One path at a time: the parked expander and its child, input beside output.
            assert!(report.bytes_peak < 8000, "{}", report.bytes_peak);
        }
    });
}

#[test]
fn nested_flat_map_depth_bound() {
    everywhere(async |pool| {
        let (budget, workers) = (3, pool.num_threads() as u64);
        let report = Flow::from_iter(0..10u32)
            .flat_map(|number| (0..10).map(move |child| number * 10 + child))
            .flat_map(|number| (0..10).map(move |child| number * 10 + child))
            .sink(Store::new().put())
            .in_flight(3)
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(report.ends.delivered, 1000);
        // Depth 3, single items: B + D·I + W·(I−1).
        assert!(report.items_peak <= budget + 3, "{} of {budget} with {workers}", report.items_peak);
    });
}

#[test]
fn a_tenthousandfold_expansion_before_a_slow_sink_stays_within_the_bound() {
    everywhere(async |pool| {
        let line = || "x".repeat(100);
        let report = Flow::from_iter(0..2)
            .flat_map(move |_| (0..10_000).map(move |_| line()))
            .map(|line| line)
            .sink(Store::new().put())
            .memory(4096)
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(report.ends.delivered, 20_000);
        let largest = 100 + size_of::<String>() as u64;
        assert!(
            report.bytes_peak <= 4096 + (2 + pool.num_threads() as u64) * largest,
            "{}",
            report.bytes_peak
        );
    });
}

#[test]
fn an_io_is_charged_what_it_may_make_before_it_starts() {
    everywhere(async |pool| {
        const FILE: usize = 10_000;
        let report = Flow::from_iter(0..50u32)
            .io(async |_| {
                tokio::task::yield_now().await;
                Ok::<_, String>(vec![0u8; FILE])
            })
            .limit(50)
            .output_at_most(|_| FILE + size_of::<Vec<u8>>())
            .sink(Store::new().put())
            .memory(20_000)
            .on(&pool)
            .run()
            .await
            .unwrap();
        assert_eq!(report.ends.delivered, 50);
        // No growing io: B + (D + W)·L, and not the 500,000 of fifty at once.
        let bound = 20_000 + (1 + pool.num_threads() as u64) * (FILE as u64 + 24);
        assert!(report.bytes_peak <= bound, "{}", report.bytes_peak);
    });
}

#[test]
fn a_batch_is_a_maximum_and_an_item_larger_than_it_travels_alone() {
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter([3usize, 3, 3, 9, 1, 1, 8]).batch(Batch::weight(8, |weight| *weight));
        flow.sink(store.put()).on(&pool).run().await.unwrap();
        for batch in store.take() {
            assert!(batch.len() == 1 || batch.iter().sum::<usize>() <= 8, "{batch:?}");
        }
    });
}

#[test]
fn an_item_is_acknowledged_only_after_everything_made_of_it_was_delivered() {
    everywhere(async |pool| {
        let stored = Arc::new(Mutex::new(Vec::new()));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (sink, seen, ack) = (stored.clone(), stored.clone(), acknowledged.clone());
        Flow::from_iter(0..20u32)
            .on_ack(
                |item| *item,
                move |item| {
                    let expected = if item % 5 == 0 { 0 } else { 3 };
                    let there = seen.lock().unwrap().iter().filter(|stored| **stored == item).count();
                    assert_eq!(there, expected, "item {item}");
                    ack.lock().unwrap().push(item);
                },
            )
            .filter(|item| item % 5 != 0)
            .flat_map(|item| [item; 3])
            .map_batch(Batch::items(4), |batch| batch)
            .batch(Batch::items(7))
            .sink(move |batch| {
                sink.lock().unwrap().extend(batch);
                async { Ok::<(), String>(()) }
            })
            .on(&pool)
            .run()
            .await
            .unwrap();
        let mut acknowledged = acknowledged.lock().unwrap().clone();
        acknowledged.sort();
        assert_eq!(acknowledged, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn a_partial_batch_leaves_in_its_time_while_the_source_is_idle() {
    everywhere(async |pool| {
        let (items, receiver) = tokio::sync::mpsc::channel(8);
        let (batches, mut delivered) = tokio::sync::mpsc::channel(8);
        let handle = Flow::from_channel(receiver)
            .batch(Batch::items(10).within(std::time::Duration::from_millis(5)))
            .sink(move |batch: Vec<u32>| {
                let batches = batches.clone();
                async move { batches.send(batch).await }
            })
            .on(&pool)
            .start()
            .unwrap();
        for round in 0..3 {
            items.send(round).await.unwrap();
            assert_eq!(delivered.recv().await.unwrap(), [round]);
        }
        drop(items);
        let report = handle.join().await.unwrap();
        assert_eq!((report.ends.delivered, report.stalls), (3, 0));
    });
}
