//! What Tokio tasks do: ios with their timeouts and retries, the sink's calls, dead letters.
//!
//! Each holds its token's trace in a guard: a task that the runtime drops still gives back what it held.

use super::{Load, Run};
use crate::error::ItemError;
use crate::machine::{Letter, Token, Trace};
use crate::plan::Task;
use crate::report::Ended;
use crate::stage::{IoWork, Value};
use crate::supervise::{contain, contain_async};
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// No pause before a retry is longer than this.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// A token whose value user code has. Dropped unanswered, it ends cancelled and takes the run with it.
struct Held {
    run: Arc<Run>,
    node: usize,
    trace: Option<Trace>,
    backs_off: bool,
}

impl Held {
    fn new(run: &Arc<Run>, node: usize, trace: Trace) -> Self {
        Self { run: run.clone(), node, trace: Some(trace), backs_off: false }
    }

    fn items(&self) -> u64 {
        self.trace.as_ref().map_or(0, Trace::items)
    }

    fn failures(&self) -> u32 {
        self.trace.as_ref().map_or(0, |trace| trace.failures)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(trace) = self.trace.take() else { return };
        let (node, backs_off) = (self.node, self.backs_off);
        self.run.turn(move |machine, _| {
            machine.stop(Ended::Cancelled);
            if backs_off {
                machine.retry_cancelled(node, trace);
            } else {
                machine.cancelled(node, trace);
            }
        });
    }
}

impl Run {
    pub(super) fn spawn_waiting(self: &Arc<Self>, node: usize, token: Token<Load>) {
        let held = Held::new(self, node, token.trace);
        let Load::Item(value) = token.value else { unreachable!("only expanders hold children") };
        match &self.segments[node].task {
            Task::Io(_) => self.runtime.spawn(run_io(held, value, token.measure, token.reserve)),
            _ => self.runtime.spawn(run_sink(held, value)),
        };
    }

    pub(super) fn spawn_letter(self: &Arc<Self>, letter: Letter) {
        let post = Post { run: self.clone(), letter: Some(letter) };
        self.runtime.spawn(run_letter(post));
    }
}

async fn run_io(mut held: Held, value: Value, measure: u64, reserve: u64) {
    let run = held.run.clone();
    let segment = &run.segments[held.node];
    let Task::Io(io) = &segment.task else { return };
    let (meter, items) = (&run.meters[segment.first_stage], held.items());
    if held.failures() == 0 {
        meter.enter(items);
    }
    let has_more = held.failures() < io.retries;
    let copy = if has_more { copy_of(io, &value) } else { Ok(None) };
    let started = Instant::now();
    let answer = match copy {
        Err(error) => Err((error, None)),
        Ok(copy) => tokio::select! {
            biased;
            () = run.stopping() => return,
            answer = attempt(io, value) => answer.map_err(|error| (error, copy)),
        },
    };
    meter.work(started);
    let made =
        answer.and_then(|value| contain(|| Ok(segment.exit.appraise(value))).map_err(|error| (error, None)));
    match made {
        Ok(made) => {
            meter.leave(items);
            answer_with(held, |machine, node, trace, now| machine.forward(node, trace, made.loaded(), now));
        }
        Err((error, Some(copy))) => {
            tracing::debug!(stage = run.stages[segment.first_stage].name, %error, "io failed, will be tried again");
            back_off(&mut held, io).await;
            retry(held, copy, measure, reserve);
        }
        Err((error, None)) => {
            meter.fail(items);
            let failure = run.failure(segment.first_stage, error);
            answer_with(held, |machine, node, trace, _| machine.failed(node, trace, &failure));
        }
    }
}

type Machine = crate::machine::Machine<Load>;

/// The end of a held token's quantum.
fn answer_with(mut held: Held, answer: impl FnOnce(&mut Machine, usize, Trace, Instant)) {
    let Some(trace) = held.trace.take() else { return };
    let node = held.node;
    held.run.turn(move |machine, now| answer(machine, node, trace, now));
}

fn copy_of(io: &IoWork, value: &Value) -> Result<Option<Value>, ItemError> {
    contain(|| Ok(io.copy.as_ref().and_then(|copy| copy(&**value))))
}

async fn attempt(io: &IoWork, value: Value) -> Result<Value, ItemError> {
    // The function itself is called in here too, so that its panic is caught wherever it happens.
    let work = async move { (io.run)(value).await };
    match io.timeout {
        None => contain_async(work).await,
        Some(each) => {
            let work = async move {
                tokio::time::timeout(each, work).await.unwrap_or(Err(ItemError::TimedOut(each)))
            };
            contain_async(work).await
        }
    }
}

/// Gives up the slot and waits. If the run stops meanwhile, the held token ends with it.
async fn back_off(held: &mut Held, io: &IoWork) {
    let (run, node) = (held.run.clone(), held.node);
    held.backs_off = true;
    run.turn(move |machine, _| machine.back_off(node));
    tokio::select! {
        biased;
        () = run.stopping() => {}
        () = tokio::time::sleep(pause(io.backoff, held.failures())) => {}
    }
}

/// Twice as long with each failure, and between half and all of that, so that items which failed together do not come
/// back together.
fn pause(first: Duration, failures: u32) -> Duration {
    let full = first.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    let jitter = std::hash::RandomState::new().hash_one(failures) % 1024;
    full / 2 + full.mul_f64(jitter as f64 / 2048.0)
}

fn retry(mut held: Held, copy: Value, measure: u64, reserve: u64) {
    let Some(mut trace) = held.trace.take() else { return };
    let node = held.node;
    held.run.turn(move |machine, now| {
        trace.failures += 1;
        machine.retry(node, Token { value: Load::Item(copy), trace, measure, reserve, since: now });
    });
}

async fn run_sink(held: Held, value: Value) {
    let run = held.run.clone();
    let stage = run.segments[held.node].first_stage;
    let (meter, items) = (&run.meters[stage], held.items());
    meter.enter(items);
    let started = Instant::now();
    let call = run.sink.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut call) = call else { return };
    let answer = contain(|| Ok(call(value)));
    *run.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
    let answer = match answer {
        Err(error) => Err(error),
        Ok(answer) => tokio::select! {
            biased;
            () = run.stopping() => return,
            answer = contain_async(answer) => answer,
        },
    };
    meter.work(started);
    match answer {
        Ok(()) => {
            meter.leave(items);
            answer_with(held, |machine, node, trace, _| machine.delivered(node, trace));
        }
        Err(error) => {
            meter.fail(items);
            let failure = run.failure(stage, error);
            answer_with(held, |machine, node, trace, _| machine.failed(node, trace, &failure));
        }
    }
}

/// A dead letter under way. Dropped unanswered, it ends cancelled and takes the run with it.
struct Post {
    run: Arc<Run>,
    letter: Option<Letter>,
}

impl Drop for Post {
    fn drop(&mut self) {
        let Some(letter) = self.letter.take() else { return };
        self.run.turn(move |machine, _| {
            machine.stop(Ended::Cancelled);
            machine.letter_cancelled(letter);
        });
    }
}

async fn run_letter(mut post: Post) {
    let run = post.run.clone();
    let Some((failed, to)) = post.letter.as_ref().map(|letter| (letter.failed.clone(), letter.to.clone()))
    else {
        return;
    };
    let answer = tokio::select! {
        biased;
        () = run.stopping() => return,
        answer = to.deliver(failed) => answer,
    };
    if let Some(letter) = post.letter.take() {
        run.turn(move |machine, _| machine.lettered(letter, answer));
    }
}
