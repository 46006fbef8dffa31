//! The pool's runners, which take jobs from its line. What runs next is `line`'s, one job's life is `job`'s.
//!
//! A runner is a Rayon job that takes jobs until the line is empty; there is at most one per worker. While a
//! closure waits inside Rayon (a `join`, a `par_iter`), its thread steals whatever it finds, and that may be a runner.
//! Running a stranger's job there could meet a mutex which the closure holds, and wait for itself. It is no better on a
//! thread that has stolen a *part* of that closure and waits for a part of the part: the closure waits for it. So a
//! runner that finds itself below somebody's work retires unrun. Woken again at once, the waiting thread would only
//! steal it again and spin; so the next runner is woken when a job ends.
//!
//! Rayon does not tell whether a thread is below somebody's work. Below a job of ours a mark says so; below a stolen
//! part, only the stack does: it is deeper than at the top of the worker's loop, which each worker measures once as it
//! starts, through the very same calls. A wrong guess is harmless: a runner retires for depth only while some other
//! job runs, whose end wakes the next.

use crate::line::{Line, Place};
use crate::metrics::{Meter, Meters};
use std::cell::{Cell, OnceCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};

/// What a runner runs.
pub(crate) trait Job: Place + Send + Sync {
    /// Runs the job, counted by the worker's `meter`, and drops `runs` when its work is over, before its answer is given.
    fn run(&self, meter: &Meter, runs: Option<Runs<'_>>);
}

/// The line's count of a running job; given back when dropped, on whatever way.
pub(crate) struct Runs<'a>(&'a Line<Arc<dyn Job>>);

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// What a pool's runners share. (`repr(C)`: see `Line`.) It keeps no threads alive: those go when the pool is dropped and the line is empty.
#[repr(C)]
pub(crate) struct Hall {
    pub(crate) line: Line<Arc<dyn Job>>,
    pub(crate) meters: Meters,
}

thread_local! {
    /// Whether a job's closure is on this thread's stack.
    static IN_JOB: Cell<bool> = const { Cell::new(false) };
    /// What this worker serves. Here, and not in each errand: one reference count fewer that travels between cores.
    static HALL: OnceCell<Arc<Hall>> = const { OnceCell::new() };
    /// Where the stack stands when a runner starts at the top of this worker's loop.
    static TOP: Cell<usize> = const { Cell::new(0) };
}

/// How much deeper than at the top a runner may start and still count as at the top: Rayon takes jobs in two places of
/// one function. Below a stolen part lie several more frames, that function's among them.
const DEPTH_SLACK_BYTES: usize = 128;

/// What a Rayon job of this pool does. One type, so that measuring and running go through the same calls.
enum Errand {
    Measure(Arc<Barrier>),
    Run,
}

impl Errand {
    #[inline(never)]
    fn go(self) {
        let mark = 0u8;
        let here = std::ptr::from_ref(std::hint::black_box(&mark)).addr();
        match self {
            Self::Measure(everyone) => {
                TOP.set(here);
                // No worker may take two of these.
                everyone.wait();
            }
            Self::Run => {
                let is_deep = here.abs_diff(TOP.get()) > DEPTH_SLACK_BYTES;
                // Every worker has adopted its pool's before it takes an errand.
                HALL.with(|hall| hall.get().into_iter().for_each(|hall| hall.serve(is_deep)));
            }
        }
    }
}

/// Has each worker measure where its loop's stack stands.
pub(crate) fn measure(threads: &rayon::ThreadPool) {
    let everyone = Arc::new(Barrier::new(threads.current_num_threads()));
    for _ in 0..threads.current_num_threads() {
        let errand = Errand::Measure(everyone.clone());
        threads.spawn(move || errand.go());
    }
}

/// Sends a runner, which the line has counted, to the pool's threads.
pub(crate) fn send_runner(threads: &rayon::ThreadPool) {
    threads.spawn(|| Errand::Run.go());
}

impl Hall {
    /// Makes this what the current thread, a worker that starts, serves.
    pub(crate) fn adopt(self: Arc<Self>) {
        // It was not set before: a thread starts once.
        let _ = HALL.with(|hall| hall.set(self));
    }

    /// A runner's life. It is on a worker, so `rayon::spawn` means this pool.
    fn serve(&self, is_deep: bool) {
        let meter = self.meters.of_worker(rayon::current_thread_index().unwrap_or(0));
        let mut next = self.line.arrive(IN_JOB.get(), is_deep);
        while let Some((job, spawn)) = next {
            if spawn {
                rayon::spawn(|| Errand::Run.go());
            }
            IN_JOB.set(true);
            // Jobs catch their own panics; these nets keep the counts right should a destructor's slip through.
            let _ = catch_unwind(AssertUnwindSafe(|| job.run(meter, Some(Runs(&self.line)))));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
            IN_JOB.set(false);
            next = self.line.next();
        }
    }
}
