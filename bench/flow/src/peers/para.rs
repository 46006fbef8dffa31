//! The design of para 0.2.0's scheduler, written anew: the crate itself does not compile since Rust took back the
//! `in_band_lifetimes` feature that it asks for.
//!
//! One channel of boxed tasks that every thread takes from. A task makes one item (and queues itself again) or puts one
//! item through one stage (and queues the next stage's task); stateful ends stand behind a mutex. Order is not para's
//! matter, so the reorder buffer is in the sink. Its channel has no bound; ours has one that this workload, which
//! queues a few tasks at a time, never reaches.

use super::reorder::Reorder;
use crate::workloads::fused::{Item, Run};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const TASKS_MAX: usize = 1 << 16;

/// Four stages, on `threads` threads together.
pub(crate) fn fused<I: Item>(threads: usize, count: u64) -> anyhow::Result<Run> {
    let start = Instant::now();
    let sink = Mutex::new((Reorder::new(), 0));
    let deliver = |number: u64, item: I| {
        let (order, sum) = &mut *locked(&sink);
        order.take(number, item, |item: I| *sum = item.fold(*sum));
    };
    let scheduler = Scheduler::new(threads);
    scheduler.add(produce(0..count, &deliver));
    scheduler.run();
    let sum = locked(&sink).1;
    Ok((start.elapsed(), sum))
}

type Task<'a> = Box<dyn FnOnce(&Scheduler<'a>) + Send + 'a>;

fn produce<'a, I: Item, D: Fn(u64, I) + Sync>(mut left: Range<u64>, deliver: &'a D) -> Task<'a> {
    Box::new(move |scheduler| {
        if let Some(index) = left.next() {
            let item = I::nth(index);
            scheduler.add(consume(0, index, item, deliver));
            scheduler.add(produce(left, deliver));
        }
    })
}

fn consume<'a, I: Item, D: Fn(u64, I) + Sync>(stage: u8, index: u64, item: I, deliver: &'a D) -> Task<'a> {
    Box::new(move |scheduler| {
        let item = match stage {
            0 => item.add(),
            1 => item.multiply(),
            2 => item.xor(),
            3 => item.rotate(),
            _ => return deliver(index, item),
        };
        scheduler.add(consume(stage + 1, index, item, deliver));
    })
}

struct Scheduler<'a> {
    sender: Sender<Task<'a>>,
    receiver: Receiver<Task<'a>>,
    threads: usize,
    waiting: Mutex<usize>,
    woken: Condvar,
}

impl<'a> Scheduler<'a> {
    fn new(threads: usize) -> Self {
        let (sender, receiver) = bounded(TASKS_MAX);
        Self { sender, receiver, threads, waiting: Mutex::new(0), woken: Condvar::new() }
    }

    fn add(&self, task: Task<'a>) {
        // Both ends live in this value: nobody can be gone.
        let _ = self.sender.send(task);
    }

    fn run(&self) {
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| self.work());
            }
        });
    }

    /// Until all threads wait: then nobody is left who could add a task.
    fn work(&self) {
        loop {
            for task in self.receiver.try_iter() {
                task(self);
                self.woken.notify_all();
            }
            let mut waiting = locked(&self.waiting);
            *waiting += 1;
            if *waiting < self.threads {
                waiting = self.woken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            if *waiting == self.threads {
                self.woken.notify_all();
                return;
            }
            *waiting -= 1;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
