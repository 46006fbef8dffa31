//! The task of a source outside: it waits for an item, says that it is there, and bears it when the machine lets it.

use super::{Phase, Run};
use crate::machine::Quantum;
use crate::report::Ended;
use crate::stage::Arrivals;
use crate::stage::value::Values;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Where the machine's permission to bear waits for the task.
#[derive(Default)]
pub(super) struct Gate {
    quantum: Mutex<Option<Quantum<Values>>>,
    opened: Notify,
}

impl Gate {
    pub(super) fn open(&self, quantum: Quantum<Values>) {
        *self.quantum.lock().unwrap_or_else(PoisonError::into_inner) = Some(quantum);
        self.opened.notify_one();
    }

    fn take(&self) -> Option<Quantum<Values>> {
        self.quantum.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// However the task ends, a birth that it owes is answered and the source is closed.
struct Watch {
    run: Arc<Run>,
    node: usize,
    /// Whether the task came to its own end.
    is_done: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (run, node) = (&self.run, self.node);
        let owed = run.arrivals[node].take();
        run.turn(|machine, _| {
            if let Some(quantum) = owed {
                machine.lose(&quantum.started, &VecDeque::new());
            }
            machine.end_source(node);
            if !self.is_done && !machine.is_over() {
                machine.stop(Ended::Cancelled);
            }
        });
    }
}

pub(super) async fn keep(run: Arc<Run>, node: usize, source: Arc<dyn Arrivals>) {
    let mut watch = Watch { run: run.clone(), node, is_done: false };
    let mut phase = run.phase.subscribe();
    loop {
        let has_more = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Running) => false,
            has_more = source.wait() => has_more,
        };
        if !has_more {
            break;
        }
        run.turn(|machine, _| machine.arrive(node));
        let quantum = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Running) => None,
            () = run.arrivals[node].opened.notified() => run.arrivals[node].take(),
        };
        // A birth that was let in while the end came is still answered.
        let Some(Quantum { started, allow, .. }) = quantum.or_else(|| run.arrivals[node].take()) else {
            break;
        };
        let outcome = source.take(started, allow);
        let is_last = outcome.is_last;
        run.turn(move |machine, now| machine.finish(outcome, now));
        if is_last {
            break;
        }
    }
    watch.is_done = true;
}
