//! The task of a source outside: it waits for an item, says that it is there, and bears it when the machine lets it.

use super::{Phase, Run};
use crate::machine::{Outcome, Quantum};
use crate::report::Ended;
use crate::stage::Arrivals;
use crate::stage::value::Values;
use std::future::poll_fn;
use std::sync::Arc;

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
        let owed = run.arrivals[node].shut();
        run.turn(|machine, now| {
            if let Some(quantum) = owed {
                machine.finish(none(quantum), now);
            }
            machine.end_source(node);
            if !self.is_done && !machine.is_over() {
                machine.stop(Ended::Cancelled);
            }
        });
    }
}

/// The answer to a permission that came too late: nothing was born, and nothing will be.
fn none(quantum: Quantum<Values>) -> Outcome<Values> {
    Outcome { is_last: true, ..Outcome::new(quantum.started) }
}

impl Run {
    /// Lets a source outside bear.
    pub(super) fn let_bear(self: &Arc<Self>, quantum: Quantum<Values>) {
        if let Some(quantum) = self.arrivals[quantum.started.node].open(quantum) {
            self.turn(|machine, now| machine.finish(none(quantum), now));
        }
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
        let gate = &run.arrivals[node];
        // What has arrived is born, though the run drains: nobody else has it any more. A birth that was let in before
        // the run stopped is still answered.
        let quantum = tokio::select! {
            biased;
            quantum = poll_fn(|context| gate.poll(context)) => Some(quantum),
            _ = phase.wait_for(|phase| *phase == Phase::Stopping) => gate.shut(),
        };
        let Some(Quantum { started, allow, .. }) = quantum else { break };
        let outcome = source.take(started, allow);
        let is_last = outcome.is_last;
        run.turn(move |machine, now| machine.finish(outcome, now));
        if is_last {
            break;
        }
    }
    watch.is_done = true;
}
