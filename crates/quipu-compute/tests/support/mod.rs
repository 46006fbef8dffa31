//! What several tests of the pool start from.
#![allow(dead_code)]

use quipu_compute::{ComputeConfig, ComputePool};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

/// A pool of so many workers.
pub(crate) fn pool(threads: usize) -> ComputePool {
    ComputePool::new(ComputeConfig::default().threads(threads)).unwrap()
}

/// Keeps one worker busy until it is dropped.
pub(crate) struct Busy(mpsc::SyncSender<()>);

/// Returns once the worker is.
pub(crate) fn busy(pool: &ComputePool) -> Busy {
    let (release, held) = mpsc::sync_channel::<()>(1);
    let (begun, begins) = mpsc::sync_channel(1);
    pool.spawn(move || {
        begun.send(()).unwrap();
        let _ = held.recv();
    })
    .unwrap();
    begins.recv().unwrap();
    Busy(release)
}

/// Polls once; true while the future is pending.
pub(crate) async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

/// Waits a little until `done`, and fails after long.
pub(crate) fn eventually(what: &str, done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never: {what}");
}
