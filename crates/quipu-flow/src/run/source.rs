//! Births: an iterator's on a pool worker, a stream's in its own Tokio task.

use super::{Load, Phase, Run};
use crate::error::ItemError;
use crate::machine::{Birth, Made, Quantum, Receipt};
use crate::report::Ended;
use crate::stage::{Items, Value};
use crate::supervise::{contain, contain_async};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

impl Run {
    /// A worker gets the iterator's next item.
    pub(super) fn bear(self: &Arc<Self>, worker: bool) -> Option<Quantum<Load>> {
        let started = Instant::now();
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (birth, source) = match source {
            Some(Items::Iterator(mut items)) => match contain(|| Ok(items.next())) {
                Ok(Some(item)) => (self.appraise_birth(item), Some(Items::Iterator(items))),
                Ok(None) => (Birth::End, Some(Items::Iterator(items))),
                Err(error) => (self.broken(error), Some(Items::Iterator(items))),
            },
            other => (Birth::End, other),
        };
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
        self.meters[0].work(started);
        self.turn_for(worker, move |machine, now| machine.born(birth, now))
    }

    fn appraise_birth(&self, item: Value) -> Birth<Load> {
        self.meters[0].enter(1);
        let appraised = contain(|| {
            let hook = self.on_ack.as_ref().and_then(|on_ack| on_ack(&*item));
            Ok((self.segments[0].exit.appraise(item), hook.map(|hook| Arc::new(Receipt::new(hook)))))
        });
        match appraised {
            Ok((made, receipt)) => {
                self.meters[0].leave(1);
                Birth::Item(made.loaded(), receipt)
            }
            Err(error) => {
                self.meters[0].fail(1);
                Birth::Failed(self.failure(0, error))
            }
        }
    }

    fn broken(&self, error: ItemError) -> Birth<Load> {
        self.meters[0].fail(1);
        Birth::Broken(self.failure(0, error))
    }
}

impl Made<Value> {
    /// As a token carries it.
    pub(super) fn loaded(self) -> Made<Load> {
        let Self { value, bytes, measure, reserve, key } = self;
        Made { value: Load::Item(value), bytes, measure, reserve, key }
    }
}

/// The source task of a stream: it polls only while a birth may start.
pub(super) async fn poll(run: Arc<Run>, mut items: BoxStream<'static, Value>) {
    let watch = Watch(run);
    let run = &watch.0;
    let mut phase = run.phase.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Running) => break,
            () = run.gate.notified() => {}
        }
        let next = contain_async(async { Ok(items.next().await) });
        let birth = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Running) => break,
            next = next => match next {
                Ok(Some(item)) => run.appraise_birth(item),
                Ok(None) => Birth::End,
                Err(error) => run.broken(error),
            },
        };
        run.turn(move |machine, now| machine.born(birth, now));
    }
}

/// However the task ends, a birth that it owes is answered and the source is closed.
struct Watch(Arc<Run>);

impl Drop for Watch {
    fn drop(&mut self) {
        let was_aborted = *self.0.phase.borrow() == Phase::Running;
        self.0.turn(|machine, now| {
            machine.close_source(now);
            if was_aborted && !machine.is_over() {
                machine.stop(Ended::Cancelled);
            }
        });
    }
}
