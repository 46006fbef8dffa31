//! How full a device's batches are: an idle one takes what there is, a busy one finds them whole.

use crate::everywhere;
use quipu_flow::{Batch, Flow, Handle, Waiting};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tokio::sync::mpsc as tokio_mpsc;

/// A device in somebody's hands: it says what it is given, and goes on when it is told to.
struct Held {
    items: tokio_mpsc::Sender<u64>,
    batches: tokio_mpsc::Receiver<Vec<u64>>,
    go_on: mpsc::SyncSender<()>,
    run: Handle,
}

const BUFFER: usize = 16;

fn held(batch: Batch<u64>, pool: &quipu_compute::ComputePool) -> Held {
    let (items, receiver) = tokio_mpsc::channel(BUFFER);
    let (tell, batches) = tokio_mpsc::channel(BUFFER);
    let (go_on, told) = mpsc::sync_channel(BUFFER);
    let told = Mutex::new(told);
    let work = move |(): &mut (), batch: Vec<u64>| {
        tell.try_send(batch.clone()).unwrap();
        told.lock().unwrap().recv().unwrap();
        batch
    };
    let flow = Flow::from_channel(receiver).device(batch, || Ok::<_, String>(()), work);
    Held { items, batches, go_on, run: flow.for_each(drop).on(pool).start().unwrap() }
}

impl Held {
    /// Sends these, and waits until so many stand before the device.
    async fn send(&self, items: std::ops::Range<u64>, queued: usize) -> Option<Waiting> {
        for item in items {
            self.items.send(item).await.unwrap();
        }
        loop {
            let progress = self.run.progress();
            if progress.stages[1].queued == queued {
                return progress.stages[1].waiting;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn next(&mut self) -> Vec<u64> {
        self.batches.recv().await.unwrap()
    }
}

#[test]
fn an_idle_device_starts_with_what_there_is_and_a_busy_one_gets_whole_batches() {
    everywhere(async |pool| {
        let mut device = held(Batch::items(4), &pool);
        device.items.send(0).await.unwrap();
        assert_eq!(device.next().await, [0], "it has nothing better to do");
        assert_eq!(device.send(1..10, 9).await, Some(Waiting::Slot));
        device.go_on.send(()).unwrap();
        assert_eq!(device.next().await, [1, 2, 3, 4]);
        device.go_on.send(()).unwrap();
        assert_eq!(device.next().await, [5, 6, 7, 8]);
        device.go_on.send(()).unwrap();
        assert_eq!(device.next().await, [9], "what there is");
        device.go_on.send(()).unwrap();
        drop(device.items);
        let report = device.run.join().await.unwrap();
        assert_eq!((report.ends.delivered, report.stalls), (10, 0));
    });
}

#[test]
fn an_idle_device_waits_within_its_delay() {
    everywhere(async |pool| {
        let hour = Duration::from_secs(3600);
        let mut device = held(Batch::items(4).within(hour), &pool);
        assert_eq!(device.send(0..3, 3).await, Some(Waiting::Batch));
        device.items.send(3).await.unwrap();
        assert_eq!(device.next().await, [0, 1, 2, 3]);
        device.go_on.send(()).unwrap();
        drop(device.items);
        assert_eq!(device.run.join().await.unwrap().ends.delivered, 4);
    });
}
