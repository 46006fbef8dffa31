//! Drives the machine: pool workers and Tokio tasks do what it decides, and tell it how that ended.
//!
//! Everything that happens goes through [`Run::turn`]: a change under the lock, the machine's consequences, and what
//! follows from them outside the lock: io tasks spawned, a pool ticket if there is work for one more worker, and what
//! has ended dropped.

mod clock;
mod figures;
mod handle;
mod io;
pub(crate) mod memory;
mod source;
mod worker;

pub use handle::{Controls, Handle};

use crate::error::{ItemError, RunError};
use crate::machine::{Failure, Gone, Machine, Quantum};
use crate::plan::{Compiled, Segment, StageInfo};
use crate::report::Ended;
use crate::stage::{AckHook, Children, Items, SinkWork, Value};
use figures::Meter;
use quipu_compute::ComputePool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// What a token carries.
pub(crate) enum Load {
    Item(Value),
    /// An item that a `flat_map` has begun to expand.
    Children(Children),
}

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
    segments: Vec<Segment>,
    stages: Vec<StageInfo>,
    meters: Vec<Meter>,
    pool: ComputePool,
    runtime: tokio::runtime::Handle,
    /// An iterator's place; empty while a birth has it. A stream is the source task's own.
    source: Mutex<Option<Items>>,
    on_ack: Option<AckHook>,
    /// The sink's function; empty while a call has it.
    sink: Mutex<Option<SinkWork>>,
    phase: watch::Sender<Phase>,
    over: watch::Sender<bool>,
    /// A birth may start outside.
    gate: Notify,
    /// A partial batch has a deadline that the clock does not know.
    clock: Notify,
    started: Instant,
}

struct State {
    machine: Machine<Load>,
    /// Pool jobs of this run, waiting or running; at most one per worker.
    tickets: usize,
    /// Threads that are dropping what has ended. The run is over only when they are done.
    dropping: usize,
    ended_at: Option<Instant>,
}

/// Checks that there is a runtime, and starts.
pub(crate) fn start(
    compiled: Compiled,
    items_budget: u64,
    bytes_budget: u64,
    pool: ComputePool,
) -> Result<Handle, RunError> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| RunError::NoRuntime)?;
    let kinds = compiled.segments.iter().map(|segment| segment.kind.clone()).collect();
    let machine = Machine::new(kinds, items_budget, bytes_budget);
    let (iterator, stream) = match compiled.source.items {
        Items::Stream(stream) => (None, Some(stream)),
        items @ Items::Iterator(_) => (Some(items), None),
    };
    let run = Arc::new(Run {
        state: Mutex::new(State { machine, tickets: 0, dropping: 0, ended_at: None }),
        meters: compiled.stages.iter().map(|_| Meter::default()).collect(),
        stages: compiled.stages,
        segments: compiled.segments,
        pool,
        source: Mutex::new(iterator),
        on_ack: compiled.source.on_ack,
        sink: Mutex::new(Some(compiled.sink)),
        phase: watch::Sender::new(Phase::Running),
        over: watch::Sender::new(false),
        gate: Notify::new(),
        clock: Notify::new(),
        started: Instant::now(),
        runtime: runtime.clone(),
    });
    let mut tasks = vec![runtime.spawn(clock::keep(run.clone()))];
    if let Some(stream) = stream {
        tasks.push(runtime.spawn(source::poll(run.clone(), stream)));
    }
    run.turn(|_, _| {});
    Ok(Handle::new(run, tasks))
}

impl Run {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the machine's state and does what follows from it.
    fn turn(self: &Arc<Self>, change: impl FnOnce(&mut Machine<Load>, Instant)) {
        self.turn_for(false, change);
    }

    /// The same; a worker gets its next quantum with it, or has retired its ticket.
    fn turn_for(
        self: &Arc<Self>,
        worker: bool,
        change: impl FnOnce(&mut Machine<Load>, Instant),
    ) -> Option<Quantum<Load>> {
        let now = Instant::now();
        let mut state = self.lock();
        change(&mut state.machine, now);
        let next = state.take_next(worker, now);
        let after = state.consequences(self.pool.workers(), now);
        drop(state);
        self.follow(after);
        next
    }

    /// Does outside the lock what a turn has led to.
    fn follow(self: &Arc<Self>, after: Consequences) {
        if after.is_stopping {
            self.enter_phase(Phase::Stopping);
        }
        for quantum in after.starts {
            self.start_waiting(quantum);
        }
        if after.wants_worker {
            self.spawn_ticket();
        }
        if after.clock_is_late {
            self.clock.notify_one();
        }
        drop(after.gone);
        if after.is_over || (after.is_heavy && self.has_dropped()) {
            self.finish();
        }
    }

    /// One thread less that drops; true if the run is over by it.
    fn has_dropped(&self) -> bool {
        let mut state = self.lock();
        state.dropping -= 1;
        state.is_over(Instant::now())
    }

    /// The last act: sources and sinks are dropped, tasks end, `join` returns.
    fn finish(&self) {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner).take();
        if catch_unwind(AssertUnwindSafe(move || drop((source, sink)))).is_err() {
            tracing::error!("dropping a source or sink panicked");
        }
        self.enter_phase(Phase::Stopping);
        self.over.send_replace(true);
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

    /// A failure of a stage, judged by its policy.
    fn failure(&self, stage: usize, error: ItemError) -> Failure {
        let info = &self.stages[stage];
        Failure { stage: info.name.clone(), key: None, error, verdict: info.verdict.clone() }
    }

    fn start_waiting(self: &Arc<Self>, quantum: Quantum<Load>) {
        match quantum {
            Quantum::Birth => self.gate.notify_one(),
            Quantum::Token { node, token } => self.spawn_waiting(node, token),
            Quantum::Letter(letter) => self.spawn_letter(letter),
            Quantum::Batch { .. } => unreachable!("batches compute"),
        }
    }
}

/// What a turn leads to, besides a worker's next quantum.
struct Consequences {
    starts: Vec<Quantum<Load>>,
    wants_worker: bool,
    gone: Vec<Gone<Load>>,
    /// Whether dropping `gone` runs user code, which the run's end must wait for.
    is_heavy: bool,
    clock_is_late: bool,
    is_stopping: bool,
    is_over: bool,
}

impl State {
    /// A worker's next quantum; its ticket is retired if there is none.
    fn take_next(&mut self, worker: bool, now: Instant) -> Option<Quantum<Load>> {
        self.machine.settle();
        let next = if worker { self.machine.take_cpu(now) } else { None };
        self.tickets -= usize::from(worker && next.is_none());
        next
    }

    fn consequences(&mut self, workers: usize, now: Instant) -> Consequences {
        let starts = std::iter::from_fn(|| self.machine.take_waiting(now)).collect();
        let wants_worker = self.tickets < workers && self.machine.has_cpu();
        self.tickets += usize::from(wants_worker);
        let gone = self.machine.take_gone();
        let is_heavy = gone.iter().any(Gone::is_heavy);
        self.dropping += usize::from(is_heavy);
        Consequences {
            starts,
            wants_worker,
            gone,
            is_heavy,
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
