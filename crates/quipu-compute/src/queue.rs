//! The pool's own queue and its runners. Who may queue, and what a job answers, is `pool`'s.
//!
//! A runner is a Rayon job that takes jobs from the queue until it is empty; there is at most one per worker. While a
//! job's closure waits inside Rayon (a `join`, a `par_iter`), its thread steals whatever it finds, and that may be
//! another runner. Running a stranger's job below a user's closure could meet a mutex which that closure holds. So a
//! runner that finds its thread busy retires unrun, and the closure's own runner wakes another when the closure
//! returns; woken at once, the waiting thread would only steal it again and spin.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

pub(crate) type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Queue {
    workers: usize,
    state: Mutex<State>,
    threads: OnceLock<Weak<rayon::ThreadPool>>,
}

struct State {
    jobs: VecDeque<Job>,
    runners: usize,
}

thread_local! {
    /// Whether a job's closure is on this thread's stack.
    static IN_JOB: Cell<bool> = const { Cell::new(false) };
}

impl Queue {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        let state = State { jobs: VecDeque::new(), runners: 0 };
        Arc::new(Self { workers, state: Mutex::new(state), threads: OnceLock::new() })
    }

    /// Says which threads serve this queue. The reference is weak, so that queued jobs keep no pool alive.
    pub(crate) fn served_by(&self, threads: &Arc<rayon::ThreadPool>) {
        let _ = self.threads.set(Arc::downgrade(threads));
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
        let queue = self.clone();
        threads.spawn(move || queue.serve());
    }

    /// A runner's life.
    fn serve(self: Arc<Self>) {
        if IN_JOB.get() {
            self.lock().runners -= 1;
            return;
        }
        while let Some(job) = self.next() {
            IN_JOB.set(true);
            // Jobs catch their own panics; this net only keeps the count of runners right should one slip through.
            let _ = catch_unwind(AssertUnwindSafe(job));
            IN_JOB.set(false);
            self.wake();
        }
    }

    /// The next job, or the runner's retirement: one step under the lock, so that no push falls between the two.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.jobs.pop_front();
        if job.is_none() {
            state.runners -= 1;
        }
        job
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
