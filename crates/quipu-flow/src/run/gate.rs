//! Where the machine's permission to bear waits for the task of a source outside. Whichever of the two goes first, each
//! permission is answered: the task takes it, or, if the task has gone, whoever brings it gets it back.
//!
//! Hand-written, and so checked by loom: this very file is compiled on loom's lock by `tests/loom.rs`.

use super::sync::Mutex;
use std::task::{Context, Poll, Waker};

pub(crate) struct Gate<Q>(Mutex<State<Q>>);

struct State<Q> {
    permission: Option<Q>,
    /// Who waits for one; there is one task.
    waiter: Option<Waker>,
    is_shut: bool,
}

impl<Q> Default for Gate<Q> {
    fn default() -> Self {
        Self(Mutex::new(State { permission: None, waiter: None, is_shut: false }))
    }
}

impl<Q> Gate<Q> {
    /// Brings a permission; it comes back if nobody will ask for it any more.
    pub(crate) fn open(&self, permission: Q) -> Option<Q> {
        let mut state = self.0.lock();
        if state.is_shut {
            return Some(permission);
        }
        state.permission = Some(permission);
        let waiter = state.waiter.take();
        drop(state);
        waiter.into_iter().for_each(Waker::wake);
        None
    }

    /// Takes the permission, or waits for it.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Q> {
        let mut state = self.0.lock();
        if let Some(permission) = state.permission.take() {
            return Poll::Ready(permission);
        }
        state.waiter = Some(context.waker().clone());
        Poll::Pending
    }

    /// Nobody will ask any more. What has been brought until now is still to be answered by the caller.
    pub(crate) fn shut(&self) -> Option<Q> {
        let mut state = self.0.lock();
        state.is_shut = true;
        state.waiter = None;
        state.permission.take()
    }

    /// Whether one waits to be taken.
    #[cfg(loom)]
    #[allow(dead_code, reason = "for the model")]
    pub(crate) fn has_permission(&self) -> bool {
        self.0.lock().permission.is_some()
    }
}
