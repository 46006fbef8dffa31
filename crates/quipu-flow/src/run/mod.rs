//! Drives the machine: pool workers, Tokio tasks and device threads do what it decides, and tell it how that ended.
//!
//! Everything that happens goes through [`Run::turn`]: a change under the lock, the machine's consequences, and what
//! follows from them outside the lock: tasks spawned, a pool ticket if there is work for one more worker, device
//! threads and the taker woken, and what has ended dropped.
//!
//! | file | what |
//! | --- | --- |
//! | `worker` | tickets: what cores do; and what a core does that waits for the run |
//! | `blocking` | how a thread waits for the run, and the runtime where there is none |
//! | `call`, `letter`, `arrival`, `clock` | what Tokio tasks do; `gate` is where a permission waits for its task |
//! | `device` | what device threads do |
//! | `handle`, `figures`, `memory` | what users see |

mod arrival;
pub(crate) mod blocking;
mod call;
mod clock;
mod device;
mod figures;
mod gate;
mod handle;
mod letter;
pub(crate) mod memory;
mod sync;
mod worker;

pub use handle::{Controls, Handle};

use crate::error::RunError;
use crate::machine::{Budget, Gone, Kind, Letter, Machine, Quantum, Side};
use crate::plan::{Compiled, CompiledNode};
use crate::report::Ended;
use crate::stage::Work;
use crate::stage::info::Info;
use crate::stage::value::Values;
use quipu_compute::ComputePool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// Where a run stands, for the tasks that wait for the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// End of input.
    Draining,
    /// Everything ends now.
    Stopping,
}

/// One execution of a flow.
pub(crate) struct Run {
    state: Mutex<State>,
    /// What the nodes do. The run lets go of it when nothing will happen any more.
    works: Mutex<Option<Works>>,
    kinds: Vec<Kind>,
    stages: Vec<(Arc<Info>, usize)>,
    pool: ComputePool,
    runtime: tokio::runtime::Handle,
    phase: watch::Sender<Phase>,
    over: watch::Sender<bool>,
    /// Births that may start outside, by node.
    arrivals: Vec<gate::Gate<Quantum<Values>>>,
    /// Threads that wait for work wait for this, under the state's lock.
    work: Condvar,
    /// Something has a deadline that the clock may not know.
    clock: Notify,
    started: Instant,
}

type Works = Arc<Functions>;

/// The user's functions and all that they hold. Whoever is about to call one holds on to them; when the last has let go,
/// they are dropped, and only then the run is over for those who wait for that.
struct Functions {
    nodes: Vec<CompiledNode>,
    /// They know the sinks for failed items.
    stages: Vec<Arc<Info>>,
    over: watch::Sender<bool>,
}

impl std::ops::Deref for Functions {
    type Target = [CompiledNode];

    fn deref(&self) -> &[CompiledNode] {
        &self.nodes
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        let stages = std::mem::take(&mut self.stages);
        let parting = move || {
            drop(nodes);
            stages.iter().for_each(|info| info.retire());
        };
        if catch_unwind(AssertUnwindSafe(parting)).is_err() {
            tracing::error!("dropping a stage's function panicked");
        }
        self.over.send_replace(true);
    }
}

struct State {
    machine: Machine<Values>,
    /// Pool jobs of this run, waiting or running; at most one per worker.
    tickets: usize,
    /// Threads that are dropping what has ended, or calling hooks. The run is over only when they are done.
    dropping: usize,
    /// Threads besides tickets that work or wait for work: devices', and workers that wait for the run's end.
    threads: usize,
    /// Who waits for an item that is offered outside; there is one stream, and it is polled by one at a time.
    taker: Option<Waker>,
    ended_at: Option<Instant>,
}

/// Starts a run on these cores, and on this runtime.
pub(crate) fn start(
    compiled: Compiled,
    budget: Budget,
    pool: ComputePool,
    runtime: tokio::runtime::Handle,
) -> Result<Handle, RunError> {
    let kinds: Vec<Kind> = compiled.specs.iter().map(|spec| spec.kind.clone()).collect();
    let machine = Machine::new(compiled.specs, budget);
    let state = State { machine, tickets: 0, dropping: 0, threads: 0, taker: None, ended_at: None };
    let over = watch::Sender::new(false);
    let stages = compiled.stages.iter().map(|(info, _)| info.clone()).collect();
    let works = Arc::new(Functions { nodes: compiled.nodes, stages, over: over.clone() });
    let run = Arc::new(Run {
        state: Mutex::new(state),
        works: Mutex::new(Some(works.clone())),
        arrivals: kinds.iter().map(|_| gate::Gate::default()).collect(),
        kinds,
        stages: compiled.stages,
        pool,
        phase: watch::Sender::new(Phase::Running),
        over,
        work: Condvar::new(),
        clock: Notify::new(),
        started: Instant::now(),
        runtime,
    });
    let mut tasks = vec![run.runtime.spawn(clock::keep(run.clone()))];
    for (node, work) in works.iter().enumerate() {
        match &work.work {
            Work::Arrivals(source) => {
                tasks.push(run.runtime.spawn(arrival::keep(run.clone(), node, source.clone())))
            }
            Work::Host(host) => {
                device::start(&run, node, host, &works).inspect_err(|_| run.cancel())?;
            }
            Work::Core(_) | Work::Call(_) | Work::Outside => {}
        }
    }
    drop(works);
    run.turn(|_, _| {});
    Ok(Handle::new(run, tasks))
}

impl Run {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the nodes do, while the run lasts.
    fn works(&self) -> Option<Works> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the machine's state and does what follows from it.
    fn turn(self: &Arc<Self>, change: impl FnOnce(&mut Machine<Values>, Instant)) {
        self.turn_for(None, change);
    }

    /// The same; whoever asks for one gets its next quantum with it. A worker that gets none has retired its ticket.
    fn turn_for(
        self: &Arc<Self>,
        side: Option<Side>,
        change: impl FnOnce(&mut Machine<Values>, Instant),
    ) -> Option<Quantum<Values>> {
        let now = Instant::now();
        let mut state = self.lock();
        change(&mut state.machine, now);
        state.machine.settle(now);
        let next = side.and_then(|side| state.machine.take(side, now));
        state.tickets -= usize::from(side == Some(Side::Core) && next.is_none());
        let after = state.consequences(self.pool.num_threads(), now);
        if state.threads > 0 {
            self.work.notify_all();
        }
        drop(state);
        self.follow(after);
        next
    }

    /// Waits until there is work for a thread of this kind; false when the run ends instead. No wake is lost between a
    /// look and the wait, for the lock is held from one to the other: every turn, and the run's last act, notifies while
    /// it holds it.
    fn wait_for_work(&self, side: Side) -> bool {
        let mut state = self.lock();
        loop {
            if state.ended_at.is_some() || state.machine.is_stopping() {
                return false;
            }
            if state.machine.has_work(side) {
                return true;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does outside the lock what a turn has led to.
    fn follow(self: &Arc<Self>, after: Consequences) {
        if after.is_stopping {
            self.enter_phase(Phase::Stopping);
        }
        for quantum in after.starts {
            self.start_waiting(quantum);
        }
        if let Some(letter) = after.letter {
            self.spawn_letter(letter);
        }
        if after.wants_worker {
            self.spawn_ticket();
        }
        if after.clock_is_late {
            self.clock.notify_one();
        }
        after.taker.into_iter().for_each(Waker::wake);
        let is_heavy = !after.gone.is_empty();
        if is_heavy {
            self.forget(&after.gone.states);
            part_with(after.gone);
        }
        if after.is_over || (is_heavy && self.has_dropped()) {
            self.finish();
        }
    }

    /// Has the states of groups dropped that will not be closed.
    fn forget(&self, states: &[(usize, u64)]) {
        let works = if states.is_empty() { None } else { self.works() };
        for (works, &(node, group)) in works.iter().flat_map(|works| states.iter().map(move |it| (works, it)))
        {
            if let Work::Core(core) = &works[node].work
                && catch_unwind(AssertUnwindSafe(|| core.forget(group))).is_err()
            {
                tracing::error!("dropping a group's state panicked");
            }
        }
    }

    /// One thread less that drops; true if the run is over by it.
    fn has_dropped(&self) -> bool {
        let mut state = self.lock();
        state.dropping -= 1;
        state.is_over(Instant::now())
    }

    /// The last act: whoever still waits for something is told that it will not come, and sources and sinks are dropped.
    fn finish(&self) {
        self.enter_phase(Phase::Stopping);
        let taker = {
            let mut state = self.lock();
            self.work.notify_all();
            state.taker.take()
        };
        taker.into_iter().for_each(Waker::wake);
        let works = self.works.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(works);
    }

    fn drain(self: &Arc<Self>) {
        self.turn(|machine, _| machine.drain());
        self.enter_phase(Phase::Draining);
    }

    fn cancel(self: &Arc<Self>) {
        self.turn(|machine, _| {
            if !machine.is_over() {
                machine.stop(Ended::Cancelled);
            }
        });
    }

    fn enter_phase(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let is_later = *current < phase;
            *current = phase.max(*current);
            is_later
        });
    }

    /// Resolves when everything is to end now.
    async fn stopping(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Stopping).await;
    }

    fn start_waiting(self: &Arc<Self>, quantum: Quantum<Values>) {
        let node = quantum.started.node;
        if matches!(self.kinds[node], Kind::Source { .. }) {
            self.let_bear(quantum);
        } else {
            self.spawn_call(quantum);
        }
    }
}

/// Drops what has ended, and calls the hooks of what is acknowledged. This is user code.
fn part_with(gone: Gone<Values>) {
    let Gone { values, acknowledged, refused, .. } = gone;
    for hook in acknowledged {
        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
            tracing::error!("an `on_ack` hook panicked");
        }
    }
    for value in values {
        if catch_unwind(AssertUnwindSafe(move || drop(value))).is_err() {
            tracing::error!("dropping an item panicked");
        }
    }
    if catch_unwind(AssertUnwindSafe(move || drop(refused))).is_err() {
        tracing::error!("dropping an `on_ack` hook panicked");
    }
}

/// What a turn leads to, besides somebody's next quantum.
struct Consequences {
    starts: Vec<Quantum<Values>>,
    letter: Option<Letter>,
    wants_worker: bool,
    gone: Gone<Values>,
    taker: Option<Waker>,
    clock_is_late: bool,
    is_stopping: bool,
    is_over: bool,
}

impl State {
    fn consequences(&mut self, workers: usize, now: Instant) -> Consequences {
        let starts = std::iter::from_fn(|| self.machine.take(Side::Tokio, now)).collect();
        let letter = self.machine.take_letter();
        let wants_worker = self.tickets < workers && self.machine.has_work(Side::Core);
        self.tickets += usize::from(wants_worker);
        let gone = self.machine.take_gone();
        self.dropping += usize::from(!gone.is_empty());
        let is_offered = self.taker.is_some() && self.machine.has_offers();
        Consequences {
            starts,
            letter,
            wants_worker,
            gone,
            taker: if is_offered { self.taker.take() } else { None },
            clock_is_late: self.machine.take_clock_is_late(),
            is_stopping: self.machine.is_stopping(),
            is_over: self.is_over(now),
        }
    }

    /// True once: when nothing will happen any more.
    fn is_over(&mut self, now: Instant) -> bool {
        let is_over = self.ended_at.is_none() && self.dropping == 0 && self.machine.is_over();
        if is_over {
            self.ended_at = Some(now);
        }
        is_over
    }
}
