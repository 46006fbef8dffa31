//! Every interleaving of the protocols outside the one lock, by loom. The files are the crate's own, compiled on loom's
//! lock: `RUSTFLAGS="--cfg loom" cargo test -p quipu-flow --test loom --release`
//! (A target directory of its own spares the next ordinary build.)
//!
//! There is little to check here because nearly everything is decided under one lock: see
//! `docs/decisions/0007-planted-bugs.md`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

#[path = "../src/run/gate.rs"]
mod gate;
#[path = "../src/run/sync.rs"]
mod sync;

use gate::Gate;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

#[test]
fn a_permission_wakes_who_waits_for_it() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let machine = thread::spawn({
            let gate = gate.clone();
            move || assert_eq!(gate.open(1), None)
        });
        assert_eq!(block_on(poll_fn(|context| gate.poll(context))), 1);
        machine.join().unwrap();
    });
}

#[test]
fn the_last_to_ask_is_woken() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        // The task's future was polled elsewhere before.
        assert!(gate.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let machine = thread::spawn({
            let gate = gate.clone();
            move || assert_eq!(gate.open(1), None)
        });
        assert_eq!(block_on(poll_fn(|context| gate.poll(context))), 1);
        machine.join().unwrap();
    });
}

#[test]
fn permissions_one_after_the_other_all_arrive() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let task = thread::spawn({
            let gate = gate.clone();
            move || [(); 2].map(|()| block_on(poll_fn(|context| gate.poll(context))))
        });
        // The next is brought only when the one before is answered; here, when it is taken.
        assert_eq!(gate.open(1), None);
        while gate.has_permission() {
            thread::yield_now();
        }
        assert_eq!(gate.open(2), None);
        assert_eq!(task.join().unwrap(), [1, 2]);
    });
}

#[test]
fn a_permission_beside_a_leaving_task_is_answered_once() {
    loom::model(|| {
        let gate = Arc::new(Gate::default());
        let machine = thread::spawn({
            let gate = gate.clone();
            move || gate.open(1)
        });
        // The task looks once, and then its end comes.
        let polled = block_on(poll_fn(|context| Poll::Ready(gate.poll(context))));
        let taken = match polled {
            Poll::Ready(permission) => Some(permission),
            Poll::Pending => gate.shut(),
        };
        let last = gate.shut();
        let back = machine.join().unwrap();
        assert_eq!([taken, last, back].into_iter().flatten().collect::<Vec<_>>(), [1]);
    });
}
