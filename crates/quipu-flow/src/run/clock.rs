//! The one clock of a run: it closes partial batches whose time has come, and wakes what waited for its rate.

use super::Run;
use std::sync::Arc;

pub(super) async fn keep(run: Arc<Run>) {
    loop {
        let deadline = run.lock().machine.deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = run.stopping() => return,
            () = run.clock.notified() => {}
            () = due => run.turn(|machine, now| machine.close_due(now)),
        }
    }
}
