//! The pool's own queue and its runners. Who may queue, and what a job answers, is `pool`'s.
//!
//! A runner is a Rayon job that takes jobs from the queue until it is empty; there is at most one per worker. While a
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

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

pub(crate) type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Queue {
    workers: usize,
    state: Mutex<State>,
    threads: OnceLock<Weak<rayon::ThreadPool>>,
}

struct State {
    jobs: VecDeque<Job>,
    runners: usize,
    /// Jobs on a worker now.
    running: usize,
}

thread_local! {
    /// Whether a job's closure is on this thread's stack.
    static IN_JOB: Cell<bool> = const { Cell::new(false) };
    /// Where the stack stands when a runner starts at the top of this worker's loop.
    static TOP: Cell<usize> = const { Cell::new(0) };
}

/// How much deeper than at the top a runner may start and still count as at the top: Rayon takes jobs in two places of
/// one function. Below a stolen part lie several more frames, that function's among them.
const DEPTH_SLACK_BYTES: usize = 128;

/// What a Rayon job of this pool does. One type, so that measuring and running go through the same calls.
enum Errand {
    Measure(Arc<Barrier>),
    Run(Arc<Queue>),
}

impl Errand {
    fn send(self, threads: &rayon::ThreadPool) {
        threads.spawn(move || self.go());
    }

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
            Self::Run(queue) => queue.serve(here.abs_diff(TOP.get()) > DEPTH_SLACK_BYTES),
        }
    }
}

impl Queue {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        let state = State { jobs: VecDeque::new(), runners: 0, running: 0 };
        Arc::new(Self { workers, state: Mutex::new(state), threads: OnceLock::new() })
    }

    /// Gives the queue its threads. The reference is weak, so that queued jobs keep no pool alive.
    pub(crate) fn serve_with(&self, threads: &Arc<rayon::ThreadPool>) {
        let _ = self.threads.set(Arc::downgrade(threads));
        let everyone = Arc::new(Barrier::new(self.workers));
        for _ in 0..self.workers {
            Errand::Measure(everyone.clone()).send(threads);
        }
    }

    pub(crate) fn push(self: &Arc<Self>, job: Job) {
        self.lock().jobs.push_back(job);
        self.wake();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    /// Adds a runner where there is work for one and a worker that may lack one.
    fn wake(self: &Arc<Self>) {
        let Some(threads) = self.threads.get().and_then(Weak::upgrade) else { return };
        {
            let mut state = self.lock();
            if state.jobs.is_empty() || state.runners >= self.workers {
                return;
            }
            state.runners += 1;
        }
        Errand::Run(self.clone()).send(&threads);
    }

    /// A runner's life.
    fn serve(self: Arc<Self>, is_deep: bool) {
        if self.retires(is_deep) {
            return;
        }
        while let Some(job) = self.next() {
            IN_JOB.set(true);
            // Jobs catch their own panics; this net only keeps the counts right should one slip through.
            let _ = catch_unwind(AssertUnwindSafe(job));
            IN_JOB.set(false);
            self.lock().running -= 1;
            self.wake();
        }
    }

    /// Whether the runner is below somebody's work; if so, it is counted out.
    fn retires(&self, is_deep: bool) -> bool {
        let mut state = self.lock();
        let is_below = IN_JOB.get() || (is_deep && state.running > 0);
        state.runners -= usize::from(is_below);
        is_below
    }

    /// The next job, or the runner's retirement: one step under the lock, so that no push falls between the two.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.jobs.pop_front();
        if job.is_some() {
            state.running += 1;
        } else {
            state.runners -= 1;
        }
        job
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
