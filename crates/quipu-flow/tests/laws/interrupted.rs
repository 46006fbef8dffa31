//! Runs that are cancelled, drained or dropped at any moment, through every operator: nothing is left behind, and every
//! birth has an end.

use crate::everywhere;
use quipu_compute::ComputePool;
use quipu_flow::{Batch, Controls, Ended, Flow, OnError, Pipeline, Reduce};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

/// An item that counts how many of its kind are alive, and how often anything was done with one.
struct Live {
    number: u64,
    books: Arc<Books>,
}

#[derive(Default)]
struct Books {
    alive: AtomicIsize,
    steps: AtomicUsize,
    /// At which step what is done.
    at: usize,
    then: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Books {
    fn step(&self) {
        if self.steps.fetch_add(1, SeqCst) == self.at {
            self.then.wait()();
        }
    }
}

impl Live {
    fn new(number: u64, books: &Arc<Books>) -> Self {
        books.alive.fetch_add(1, SeqCst);
        Self { number, books: books.clone() }
    }

    fn step(self) -> Self {
        self.books.step();
        self
    }
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Self::new(self.number, &self.books)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.books.alive.fetch_sub(1, SeqCst);
    }
}

impl quipu_flow::Weigh for Live {
    fn heap_bytes(&self) -> usize {
        10
    }
}

fn source(items: u64, books: &Arc<Books>) -> Flow<Live> {
    let books = books.clone();
    Flow::from_iter((0..items).map(move |number| Live::new(number, &books)))
}

async fn slow(item: Live) -> Result<Live, String> {
    for _ in 0..item.number % 3 {
        tokio::task::yield_now().await;
    }
    Ok(item.step())
}

async fn store(item: Live) -> Result<(), String> {
    tokio::task::yield_now().await;
    drop(item.step());
    Ok(())
}

type Build = fn(&Arc<Books>) -> Pipeline;

const PIPELINES: [(&str, Build); 9] = [
    ("fork", |books| {
        let flow = source(9, books).fork(|a| a.io(slow), |b| b.map_batch(Batch::items(2), |batch| batch));
        flow.sink(store)
    }),
    ("route", |books| {
        let flow =
            source(12, books).route(3, |item| item.number as usize % 3, |_, items| items.io(slow).limit(2));
        flow.sink(store).ordered()
    }),
    ("fork_zip", |books| {
        let flow =
            source(9, books).fork_zip(|a| a.io(slow), |b| b.map(Live::step).filter(|item| item.number != 4));
        flow.map(|(item, _)| item).sink(store)
    }),
    ("merge", |books| source(6, books).io(slow).merge(source(6, books)).sink(store).limit(3)),
    ("zip", |books| {
        let flow =
            source(9, books).io(slow).zip(source(6, books).flat_map(|item| [item.clone(), item.step()]));
        flow.map(|(_, item)| item).sink(store)
    }),
    ("concat", |books| {
        source(6, books).io(slow).concat(source(6, books).map(Live::step)).sink(store).ordered()
    }),
    ("join_with", |books| {
        let flow = source(6, books).join_with(
            source(6, books).io(slow),
            Vec::new(),
            |table: &mut Vec<Live>, item| table.push(item.step()),
            |table, item| table[item.number as usize].clone(),
        );
        flow.sink(store)
    }),
    ("scatter", |books| {
        let split = |item: Live| (item.clone(), (0..item.number % 4).map(move |_| item.clone().step()));
        let parts = |item: Live| if item.number == 7 { Err("bad") } else { Ok(item.step()) };
        let flow = source(9, books).scatter(
            split,
            move |items| items.io(slow).limit(2).map_batch(Batch::items(3), |batch| batch).try_map(parts),
            |item, _parts| item.step(),
        );
        flow.on_error(OnError::Skip).sink(store).ordered().on_any_error(OnError::Skip)
    }),
    ("group", |books| {
        let reduce =
            Reduce::new(Vec::new, |list: &mut Vec<Live>, item: Live| list.push(item.step()), |list| list);
        let group = |item: Live| (0..item.number % 4).map(move |_| item.clone());
        let flow = source(9, books).group(
            group,
            |items| items.io(slow).batch(Batch::items(2)).flat_map(|list| list),
            reduce,
        );
        flow.keyed(|item| item.number % 2, |_| (), |(), item| item.step())
            .scan((), |(), item| item)
            .device(Batch::items(2), || Ok::<_, String>(()), |(), batch: Vec<Live>| batch)
            .fold(Vec::new(), Vec::push)
            .flat_map(|list| list)
            .sink(store)
    }),
];

/// Runs until a step, and does something there; says how many steps there were, and how the run ended.
async fn until(at: usize, build: Build, pool: &ComputePool, then: fn(&Controls)) -> (usize, Ended) {
    let books = Arc::new(Books { at, ..Books::default() });
    let handle = build(&books).memory(120).in_flight(8).on(pool).start().unwrap();
    let controls = handle.controls();
    assert!(books.then.set(Box::new(move || then(&controls))).is_ok());
    let report = handle.join().await.unwrap();
    assert_eq!(report.births, report.ends.total(), "{:?}", report.ends);
    assert_eq!(books.alive.load(SeqCst), 0, "items left behind");
    (books.steps.load(SeqCst), report.ended)
}

/// Some steps of so many: the first, the last, and some between that are others for each pipeline.
fn some(steps: usize, salt: usize) -> impl Iterator<Item = usize> {
    (0..steps).filter(move |step| *step == 0 || step + 1 == steps || (step + salt).is_multiple_of(3))
}

#[test]
fn cancel_at_any_step_leaves_nothing_behind() {
    for (salt, (name, build)) in PIPELINES.into_iter().enumerate() {
        everywhere(async |pool| {
            let (steps, ended) = until(usize::MAX, build, &pool, |_| ()).await;
            assert_eq!(ended, Ended::Done, "{name}");
            assert!(steps >= 12, "{name}: {steps}");
            for step in some(steps, salt) {
                let (_, ended) = until(step, build, &pool, Controls::cancel).await;
                assert!(ended == Ended::Cancelled || step > steps / 2, "{name}: step {step} of {steps}");
            }
        });
    }
}

#[test]
fn drain_at_any_step_finishes_what_is_in_flight() {
    for (salt, (name, build)) in PIPELINES.into_iter().enumerate() {
        everywhere(async |pool| {
            let (steps, _) = until(usize::MAX, build, &pool, |_| ()).await;
            for step in some(steps, salt + 1) {
                assert_eq!(
                    until(step, build, &pool, Controls::drain).await.1,
                    Ended::Done,
                    "{name}: step {step}"
                );
            }
        });
    }
}

#[test]
fn a_handle_dropped_at_any_moment_leaves_nothing_behind() {
    for (name, build) in PIPELINES {
        everywhere(async |pool| {
            for rounds in [0, 1, 3, 10, 40] {
                let books = Arc::new(Books { at: usize::MAX, ..Books::default() });
                let handle = build(&books).memory(120).in_flight(8).on(&pool).start().unwrap();
                for _ in 0..rounds {
                    tokio::task::yield_now().await;
                }
                let controls = handle.controls();
                drop(handle);
                while Arc::strong_count(&books) > 1 {
                    tokio::task::yield_now().await;
                }
                let progress = controls.progress();
                assert_eq!((progress.births, progress.items), (progress.ends.total(), 0), "{name}");
                assert_eq!(books.alive.load(SeqCst), 0, "{name}");
            }
        });
    }
}
