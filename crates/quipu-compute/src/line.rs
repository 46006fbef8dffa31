//! The queue's protocol: which job runs next, how many runners there are, who may enter. What a job is and how a runner
//! reaches a core are `runner`'s.
//!
//! Everything is decided in short steps under one lock, so that no push falls between a runner's last look and its
//! retirement. The laws, checked with loom in `tests/loom.rs`:
//! - a job in line has a runner on its way, or a running job whose end looks again;
//! - a job is claimed by a runner or withdrawn by its awaiter, exactly once;
//! - who waits for a place enters in order, and a place given back wakes the first of them.

use crate::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

/// How many withdrawn jobs may lie in line before they are swept out: then, or once they are half of it.
const WITHDRAWN_MAX: usize = 64;

/// What the line asks of a job. Both are called under its lock, so they must be short and run no user code.
pub(crate) trait Place {
    /// Whether this job counts against the line's bound.
    fn is_bounded(&self) -> bool;
    /// Marks the job as taken, by a runner or by its leaving awaiter; false if it was before.
    fn claim(&self) -> bool;
    /// Whether it is taken.
    fn is_claimed(&self) -> bool;
}

/// In this order: what a push and a runner both write lies together, and travels between their cores as few cache
/// lines.
#[repr(C)]
pub(crate) struct Line<J> {
    state: Mutex<State<J>>,
    /// `State::live`, for those who only look.
    live: AtomicUsize,
    workers: usize,
    places_max: usize,
}

#[repr(C)]
struct State<J> {
    jobs: VecDeque<J>,
    /// Jobs in `jobs` that nobody withdrew.
    live: usize,
    /// Those of them that count against the bound.
    bounded: usize,
    /// Runners spawned and not retired.
    runners: usize,
    /// Jobs on a worker now. `runners - running` runners are looking for work or on their way.
    running: usize,
    /// Who waits for a place, in order.
    entrants: VecDeque<(u64, Waker)>,
    entrant_next: u64,
}

/// Whether the caller is to spawn one more runner, which is counted already.
pub(crate) type SpawnRunner = bool;

impl<J: Place> Line<J> {
    /// A line for `workers` runners at most, in which `places_max` bounded jobs may wait.
    pub(crate) fn new(workers: usize, places_max: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            live: 0,
            bounded: 0,
            runners: 0,
            running: 0,
            entrants: VecDeque::new(),
            entrant_next: 0,
        };
        Self { workers, places_max, state: Mutex::new(state), live: AtomicUsize::new(0) }
    }

    /// How many jobs wait.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// Puts a job in line; a bounded one comes back if there is no place, or if somebody waits for one.
    pub(crate) fn push(&self, job: J) -> Result<SpawnRunner, J> {
        let mut state = self.state.lock();
        if job.is_bounded() && (state.bounded >= self.places_max || !state.entrants.is_empty()) {
            return Err(job);
        }
        Ok(self.append(&mut state, job))
    }

    /// Waits for a place: `number` is this entrant's, given at its first call. Pending means that its waker is woken.
    pub(crate) fn enter(
        &self,
        number: &mut Option<u64>,
        context: &Context<'_>,
        job: impl FnOnce() -> J,
    ) -> Poll<SpawnRunner> {
        let mut state = self.state.lock();
        let index = number.map(|number| state.entrants.partition_point(|entrant| entrant.0 < number));
        if state.bounded >= self.places_max || index.unwrap_or(state.entrants.len()) > 0 {
            match index {
                Some(index) => state.entrants[index].1.clone_from(context.waker()),
                None => {
                    let mine = state.entrant_next;
                    state.entrant_next += 1;
                    state.entrants.push_back((mine, context.waker().clone()));
                    *number = Some(mine);
                }
            }
            return Poll::Pending;
        }
        if number.take().is_some() {
            state.entrants.pop_front();
        }
        let spawn = self.append(&mut state, job());
        let next = self.entrant(&state);
        drop(state);
        next.inspect(Waker::wake_by_ref);
        Poll::Ready(spawn)
    }

    /// An entrant goes away without having entered.
    pub(crate) fn leave(&self, number: u64) {
        let mut state = self.state.lock();
        let index = state.entrants.partition_point(|entrant| entrant.0 < number);
        let left = state.entrants.remove(index);
        let next = self.entrant(&state);
        drop(state);
        drop(left);
        next.inspect(Waker::wake_by_ref);
    }

    /// The awaiter of `job` takes it out; false if a runner was faster.
    pub(crate) fn withdraw(&self, job: &(impl Place + ?Sized)) -> bool {
        let mut state = self.state.lock();
        if !job.claim() {
            return false;
        }
        self.count_out(&mut state, job);
        let withdrawn = state.jobs.len() - state.live;
        let swept = (withdrawn > WITHDRAWN_MAX && withdrawn > state.live).then(|| {
            let (gone, kept) = std::mem::take(&mut state.jobs).into_iter().partition(J::is_claimed);
            state.jobs = kept;
            let gone: VecDeque<J> = gone;
            gone
        });
        let next = self.entrant(&state);
        drop(state);
        drop(swept);
        next.inspect(Waker::wake_by_ref);
        true
    }

    /// A runner arrives and gets its first job. `None` retires it: the line is empty, or the runner is below somebody's
    /// work, which is certain in a job, and if any job runs a guess about the stack. Then that job's end looks at the
    /// line again.
    pub(crate) fn arrive(&self, in_job: bool, is_deep: bool) -> Option<(J, SpawnRunner)> {
        let mut state = self.state.lock();
        if in_job || (is_deep && state.running > 0) {
            state.runners -= 1;
            return None;
        }
        self.take(state)
    }

    /// A runner's job is over, and the runner is about to look at the line again: what is pushed from here on, by the
    /// job's awaiter most likely, is its to take, and needs no other to be woken. (On two busy cores a round trip took 9
    /// instead of 21 us: the awaiter often runs before the runner that woke it has got back from the kernel.)
    pub(crate) fn finish(&self) {
        self.state.lock().running -= 1;
    }

    /// The next job of a runner that has finished one, or its retirement.
    pub(crate) fn next(&self) -> Option<(J, SpawnRunner)> {
        self.take(self.state.lock())
    }

    /// A job or a retirement, in one step, so that no push falls between the two.
    fn take(&self, mut state: MutexGuard<'_, State<J>>) -> Option<(J, SpawnRunner)> {
        while let Some(job) = state.jobs.pop_front() {
            if !job.claim() {
                continue;
            }
            self.count_out(&mut state, &job);
            state.running += 1;
            let spawn = self.wants_runner(&mut state);
            let next = self.entrant(&state);
            drop(state);
            next.inspect(Waker::wake_by_ref);
            return Some((job, spawn));
        }
        state.runners -= 1;
        None
    }

    fn append(&self, state: &mut MutexGuard<'_, State<J>>, job: J) -> SpawnRunner {
        state.bounded += usize::from(job.is_bounded());
        state.live += 1;
        self.live.store(state.live, Relaxed);
        state.jobs.push_back(job);
        self.wants_runner(state)
    }

    fn count_out(&self, state: &mut MutexGuard<'_, State<J>>, job: &(impl Place + ?Sized)) {
        state.bounded -= usize::from(job.is_bounded());
        state.live -= 1;
        self.live.store(state.live, Relaxed);
    }

    /// One runner for each waiting job that no runner is on its way to, and no more than workers.
    fn wants_runner(&self, state: &mut MutexGuard<'_, State<J>>) -> SpawnRunner {
        let wants = state.runners < self.workers && state.live > state.runners - state.running;
        state.runners += usize::from(wants);
        wants
    }

    /// The entrant to wake: the first, if there is a place for it.
    fn entrant(&self, state: &MutexGuard<'_, State<J>>) -> Option<Waker> {
        let first = state.entrants.front().filter(|_| state.bounded < self.places_max);
        first.map(|(_, waker)| waker.clone())
    }
}
