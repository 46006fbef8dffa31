//! What pool workers do: tickets, and the quanta that compute.
//!
//! A ticket is an anonymous pool job, "do the best there is"; what that is gets decided when it runs. It goes on while
//! there is work, and lets the pool's other jobs go first after every quantum.

use super::Run;
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
            let work = works.as_ref().map(|works| &works[quantum.started.node].work);
            let outcome = compute(work, quantum);
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
}

fn compute(work: Option<&Work>, quantum: Quantum<Values>) -> Outcome<Values> {
    match work {
        Some(Work::Core(core)) => core.run(quantum),
        _ => unreachable!("what runs on a core is there while there are quanta for it"),
    }
}
