//! Device threads: one for each device stage, for as long as the run lasts.

use super::Run;
use crate::error::RunError;
use crate::machine::{Failure, Outcome, Quantum, Side};
use crate::stage::Hosts;
use crate::stage::value::Values;
use std::sync::Arc;
use std::time::Instant;

/// Starts a device's thread. It holds on to the run's functions, so that the run is over only when its model is dropped.
pub(super) fn start(
    run: &Arc<Run>,
    node: usize,
    host: &Arc<dyn Hosts>,
    works: &super::Works,
) -> Result<(), RunError> {
    run.lock().threads += 1;
    let (working, host, works) = (run.clone(), host.clone(), works.clone());
    let name = format!("quipu-{}", host.info().name());
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let end = host.host(&mut |outcome| working.next_for_device(node, outcome));
        working.leave_device(end.err());
        drop((host, works));
    });
    thread.map(drop).map_err(RunError::DeviceThread).inspect_err(|_| run.lock().threads -= 1)
}

impl Run {
    /// Tells how a device's batch ended, and waits for the next; `None` when there will be none.
    fn next_for_device(
        self: &Arc<Self>,
        node: usize,
        outcome: Option<Outcome<Values>>,
    ) -> Option<Quantum<Values>> {
        let side = Side::Device(node);
        let finished = |machine: &mut crate::machine::Machine<Values>, now| {
            if let Some(outcome) = outcome {
                machine.finish(outcome, now);
            }
        };
        let mut next = self.turn_for(Some(side), finished);
        while next.is_none() && self.wait_for_work(side) {
            next = self.turn_for(Some(side), |_, _| {});
        }
        next
    }

    /// The thread ends. What could not be made stops the run.
    fn leave_device(self: &Arc<Self>, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.turn(move |machine, _| machine.break_down(&failure));
        }
        let mut state = self.lock();
        state.threads -= 1;
        let is_over = state.is_over(Instant::now());
        drop(state);
        if is_over {
            self.finish();
        }
    }
}
