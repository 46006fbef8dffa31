//! Runs a plan for real, with whoever interferes, and checks what came of it.

use crate::bound::bound;
use crate::build::Site;
use crate::evaluate::{deliver, is_determined, is_sequenced};
use crate::item::{Census, Item};
use crate::plan::{Last, Meddling, Plan, Policy};
use futures_util::StreamExt;
use quipu_compute::ComputePool;
use quipu_flow::{Controls, Ended, Handle, Pipeline, Report, RunError, Streaming};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was delivered, in the order in which it came.
type Store = Arc<Mutex<Vec<u64>>>;

/// Where a watchdog finds the run.
pub(crate) type Watched = Arc<Mutex<Option<Controls>>>;

/// A flow that is built, with either end.
enum Built {
    Sink(Pipeline),
    Stream(Streaming<Item>),
}

pub(crate) async fn drive(plan: &Plan, pool: &ComputePool, watched: &Watched) {
    let site = Site {
        census: Census::default(),
        acks: Arc::default(),
        letters: Arc::default(),
        feeders: Arc::default(),
    };
    let store = Store::default();
    let built = build(plan, &site, &store, pool);
    let ended = match built {
        Built::Sink(pipeline) => run(plan, pipeline, watched).await,
        Built::Stream(streaming) => take(plan, streaming, &store, watched).await,
    };
    if let Some(ended) = &ended {
        // What `join` has answered for is gone by then, and so is every function of the flow.
        let (alive, feeding) = (site.census.alive(), feeding(&site));
        assert!(
            (0..=feeding).contains(&alive),
            "{alive} live items after the end, {feeding} of them with feeders"
        );
        judge(plan, ended, &site, &store);
    }
    let feeders = std::mem::take(&mut *site.feeders.lock().unwrap());
    for feeder in feeders {
        feeder.await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(20);
    while site.census.alive() > 0 || site.census.holders() > 1 || Arc::strong_count(&site.letters) > 1 {
        let left = (site.census.alive(), site.census.holders());
        assert!(ended.is_none(), "left after the end: {left:?} items, holders");
        assert!(Instant::now() < until, "never dropped: {left:?} items, holders");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Items that may be with whoever feeds a channel: one each, and that until it is told.
fn feeding(site: &Site) -> i64 {
    i64::try_from(site.feeders.lock().unwrap().len()).unwrap_or(i64::MAX)
}

fn build(plan: &Plan, site: &Site, store: &Store, pool: &ComputePool) -> Built {
    let flow = site.line(&plan.line, 0);
    let put = {
        let store = store.clone();
        move |item: Item| store.lock().unwrap().push(item.value)
    };
    let is_slow = plan.is_slow;
    let sink = move |item: Item| {
        let put = put.clone();
        async move {
            tokio::task::yield_now().await;
            if is_slow {
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
            put(item);
            Ok::<(), String>(())
        }
    };
    let put = {
        let store = store.clone();
        move |item: Item| store.lock().unwrap().push(item.value)
    };
    let order = |pipeline: Pipeline, ordered| if ordered { pipeline.ordered() } else { pipeline };
    let pipeline = match plan.last {
        Last::Sink { ordered } => order(flow.sink(sink), ordered),
        Last::Many { calls } => flow.sink(sink).limit(calls),
        Last::ForEach { ordered } => order(flow.for_each(put), ordered),
        Last::Stream { ordered } => {
            let stream = if ordered { flow.stream().ordered() } else { flow.stream() };
            return Built::Stream(stream.with(|pipeline| settle(plan, site, pipeline, pool)));
        }
    };
    Built::Sink(settle(plan, site, pipeline, pool))
}

fn settle(plan: &Plan, site: &Site, mut pipeline: Pipeline, pool: &ComputePool) -> Pipeline {
    if let Some(policy) = site.policy(plan.default) {
        pipeline = pipeline.on_any_error(policy);
    }
    if let Some(bytes) = plan.memory {
        pipeline = pipeline.memory(bytes);
    }
    if let Some(items) = plan.in_flight {
        pipeline = pipeline.in_flight(items);
    }
    pipeline.on(pool)
}

/// `None` if nobody waits for the end.
async fn run(plan: &Plan, pipeline: Pipeline, watched: &Watched) -> Option<Result<Report, RunError>> {
    let handle = pipeline.start().unwrap();
    *watched.lock().unwrap() = Some(handle.controls());
    let meddler = meddle(plan, handle.controls());
    if let Meddling::DropHandle { after } | Meddling::DropStream { items: after } = plan.meddling {
        wait(after).await;
        let controls = handle.controls();
        drop(handle);
        // Dropped while it is waited for, it is the same.
        end_unjoined(&controls).await;
        return None;
    }
    let (ended, ()) = tokio::join!(Handle::join(handle), meddler);
    Some(ended)
}

/// A run that nobody joins has ended when all its items have.
async fn end_unjoined(controls: &Controls) {
    loop {
        let progress = controls.progress();
        if progress.births == progress.ends.total() {
            return;
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

async fn take(
    plan: &Plan,
    streaming: Streaming<Item>,
    store: &Store,
    watched: &Watched,
) -> Option<Result<Report, RunError>> {
    let mut stream = streaming.start().unwrap();
    let controls = stream.controls();
    *watched.lock().unwrap() = Some(controls.clone());
    let most = match plan.meddling {
        Meddling::DropStream { items } => items,
        _ => u64::MAX,
    };
    let taking = async {
        let mut taken = 0;
        while taken < most
            && let Some(item) = stream.next().await
        {
            store.lock().unwrap().push(item.value);
            taken += 1;
            if plan.is_slow {
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
        }
    };
    if let Meddling::DropHandle { after } = plan.meddling {
        let _ = tokio::time::timeout(Duration::from_micros(after), taking).await;
        drop(stream);
        end_unjoined(&controls).await;
        return None;
    }
    tokio::join!(taking, meddle(plan, controls.clone()));
    Some(stream.close().await)
}

async fn wait(micros: u64) {
    if micros > 0 {
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

async fn meddle(plan: &Plan, controls: Controls) {
    match plan.meddling {
        Meddling::None | Meddling::DropHandle { .. } | Meddling::DropStream { .. } => {}
        Meddling::Cancel { after } => {
            wait(after).await;
            controls.cancel();
        }
        Meddling::Drain { after } => {
            wait(after).await;
            controls.drain();
        }
        Meddling::DrainPaused { after } => {
            wait(after).await;
            controls.pause();
            wait(after).await;
            controls.drain();
            controls.pause();
        }
        Meddling::Pause { after, times } => {
            for _ in 0..times {
                wait(after).await;
                controls.pause();
                wait(after).await;
                controls.resume();
            }
        }
    }
}

fn judge(plan: &Plan, ended: &Result<Report, RunError>, site: &Site, store: &Store) {
    let report = match ended {
        Ok(report) => report,
        Err(RunError::Failed { report, .. }) => {
            assert_eq!(report.ended, Ended::Failed);
            report
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(report.births, report.ends.total(), "births and ends: {:?}", report.ends);
    let base = 1024 + 256 * plan.cores as u64;
    let (items, bytes) = bound(plan, plan.in_flight.map_or(base, |items| items as u64), report.bytes_budget);
    assert!(report.items_peak <= items, "{} items where {items} are allowed", report.items_peak);
    assert!(report.bytes_peak <= bytes, "{} bytes where {bytes} are allowed", report.bytes_peak);
    let acks = site.acks.lock().unwrap();
    assert!(acks.iter().all(|times| *times <= 1), "acknowledged twice");
    if report.ended != Ended::Done {
        let is_expected = match report.ended {
            Ended::Cancelled => {
                matches!(plan.meddling, Meddling::Cancel { .. } | Meddling::DropStream { .. })
            }
            _ => true,
        };
        assert!(is_expected, "cancelled by nobody");
        return;
    }
    assert!(acks.iter().all(|times| *times == 1), "done, and not all is acknowledged");
    let is_whole = matches!(plan.meddling, Meddling::None | Meddling::Pause { .. });
    if is_whole && plan.default != Policy::Inherit && is_determined(&plan.line.ops) {
        compare(plan, store);
    }
}

fn compare(plan: &Plan, store: &Store) {
    let (mut expected, mut found) = (deliver(plan), store.lock().unwrap().clone());
    let is_ordered = matches!(
        plan.last,
        Last::Sink { ordered: true } | Last::ForEach { ordered: true } | Last::Stream { ordered: true }
    );
    if !(is_ordered && is_sequenced(&plan.line.ops)) {
        expected.sort_unstable();
        found.sort_unstable();
    }
    assert_eq!(found.len(), expected.len(), "how many are delivered");
    assert_eq!(found, expected, "what is delivered");
}
