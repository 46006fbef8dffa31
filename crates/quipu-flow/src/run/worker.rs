//! What pool workers do: tickets, and the quanta that compute.
//!
//! A ticket is an anonymous pool job, "do the best there is"; what that is gets decided when it runs. It goes on while
//! there is work, and lets the pool's other jobs go first after every quantum.

use super::{Run, Works};
use crate::machine::{Outcome, Quantum, Side};
use crate::stage::Work;
use crate::stage::value::Values;
use std::sync::Arc;

impl Run {
    pub(super) fn spawn_ticket(self: &Arc<Self>) {
        let run = self.clone();
        self.pool.spawn_ticket(move || run.work());
    }

    /// A ticket's life.
    fn work(self: Arc<Self>) {
        // Kept for the ticket's life, so that finding it costs nothing for each quantum.
        let works = self.works();
        let mut next = self.turn_for(Some(Side::Core), |_, _| {});
        while let Some(quantum) = next {
            let yields = self.pool.has_waiting();
            let outcome = compute(works.as_ref(), quantum);
            let side = if yields { None } else { Some(Side::Core) };
            next = self.turn_for(side, move |machine, now| machine.finish(outcome, now));
            if yields {
                // The ticket stays counted; it only goes to the end of the pool's queue.
                drop(works);
                self.spawn_ticket();
                return;
            }
        }
    }

    /// What a worker does that waits for the run's end, below a function of its own: the run's quanta, and no others. It
    /// may be the only worker there is; and anybody else's work could wait for what that function holds.
    pub(super) fn help(self: &Arc<Self>) {
        self.lock().threads += 1;
        while self.wait_for_work(Side::Core) {
            let works = self.works();
            self.lock().tickets += 1;
            let mut next = self.turn_for(Some(Side::Core), |_, _| {});
            while let Some(quantum) = next {
                let outcome = compute(works.as_ref(), quantum);
                next = self.turn_for(Some(Side::Core), move |machine, now| machine.finish(outcome, now));
            }
        }
        self.lock().threads -= 1;
    }
}

fn compute(works: Option<&Works>, quantum: Quantum<Values>) -> Outcome<Values> {
    match works.map(|works| &works[quantum.started.node].work) {
        Some(Work::Core(core)) => core.run(quantum),
        _ => unreachable!("what runs on a core is there while there are quanta for it"),
    }
}
