//! What Tokio tasks do with items: ios with their timeouts and retries, and sinks.
//!
//! A task holds its quantum in a guard: one that the runtime drops still gives back what it held. When a call has
//! ended, its task takes the next quantum that waits for one, so that a task serves many items.

use super::Run;
use crate::error::ItemError;
use crate::machine::{Block, End, Member, Outcome, Quantum, Side, Started, Task};
use crate::plan::CompiledNode;
use crate::stage::info::{Info, Tally, nanoseconds};
use crate::stage::value::Values;
use crate::stage::{Answer, Call, IoSettings, Work};
use crate::supervise::{contain, contain_async};
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No pause before a retry is longer than this.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// A quantum whose value user code has. Dropped unanswered, its items end cancelled and take the run with them.
struct Held {
    run: Arc<Run>,
    books: Option<(Started, VecDeque<Member>)>,
    attempts: u32,
    since: Instant,
    backs_off: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((started, members)) = self.books.take() else { return };
        let backs_off = self.backs_off;
        self.run.turn(move |machine, _| {
            if backs_off {
                machine.back_on(started.node);
            }
            machine.lose(&started, &members);
        });
    }
}

impl Run {
    pub(super) fn spawn_call(self: &Arc<Self>, quantum: Quantum<Values>) {
        let Some(works) = self.works() else { unreachable!("there are quanta only while the run lasts") };
        // The guard exists before the task: a runtime that is down drops the task unpolled.
        self.runtime.spawn(attend(works, self.hold(quantum)));
    }

    fn hold(self: &Arc<Self>, quantum: Quantum<Values>) -> (Held, Values) {
        let Quantum { started, task: Task::Block(block), .. } = quantum else {
            unreachable!("calls are for items")
        };
        let Block { values, members, since, attempts } = block;
        let held =
            Held { run: self.clone(), books: Some((started, members)), attempts, since, backs_off: false };
        (held, values)
    }
}

/// Calls for one item after the other, while there are any.
async fn attend(works: super::Works, first: (Held, Values)) {
    let mut next = Some(first);
    while let Some((held, values)) = next.take() {
        let Some((Started { node, .. }, _)) = &held.books else { return };
        let CompiledNode { work: Work::Call(call), io } = &works[*node] else {
            unreachable!("what waits is a call")
        };
        let run = held.run.clone();
        let Some(outcome) = answer(held, values, call, io).await else { return };
        let quantum = run.turn_for(Some(Side::Tokio), move |machine, now| machine.finish(outcome, now));
        match quantum {
            Some(quantum) if matches!(quantum.task, Task::Birth) => run.start_waiting(quantum),
            quantum => next = quantum.map(|quantum| run.hold(quantum)),
        }
    }
}

/// One call. `None` when the run is stopping: then what was held has been given back.
async fn answer(
    mut held: Held,
    values: Values,
    call: &Arc<dyn Call>,
    io: &IoSettings,
) -> Option<Outcome<Values>> {
    let (run, info, began) = (held.run.clone(), call.info(), Instant::now());
    if held.attempts == 0 {
        info.meter.add(Tally { entered: 1, ..Tally::default() });
    }
    let has_more = held.attempts < io.retries;
    let copy = if has_more { contain(|| Ok(call.copy(&values))) } else { Ok(None) };
    let answer = match copy {
        Err(error) => Err((error, None)),
        Ok(copy) => tokio::select! {
            biased;
            () = run.stopping() => return None,
            answer = attempt(call, io, values) => answer.map_err(|error| (error, copy)),
        },
    };
    let spent = began.elapsed();
    if let Err((error, Some(copy))) = answer {
        tracing::debug!(stage = &*info.name(), %error, "io failed, will be tried again");
        back_off(&mut held, io, spent).await;
        return held.books.take().map(|books| retry(books, copy, &held));
    }
    let (started, members) = held.books.take()?;
    let answer = answer.map_err(|(error, _)| error);
    Some(conclude(started, members, answer, &**call, (held.attempts, spent)))
}

fn conclude(
    started: Started,
    mut members: VecDeque<Member>,
    answer: Result<Answer, ItemError>,
    call: &dyn Call,
    (attempts, spent): (u32, Duration),
) -> Outcome<Values> {
    let mut outcome = Outcome { attempts, worked: 1, spent, ..Outcome::new(started) };
    let appraised = answer.and_then(|answer| {
        if let (Answer::Made(values), Some(member)) = (&answer, members.front_mut()) {
            call.appraise(values, member)?;
        }
        Ok(answer)
    });
    let mut tally = Tally { busy_ns: nanoseconds(spent), ..Tally::default() };
    match appraised {
        Ok(answer) => {
            tally.left = 1;
            match answer {
                Answer::Made(values) => outcome.moved.push((0, Block::new(values, members, Instant::now()))),
                Answer::Delivered => outcome.ended.push((End::Delivered, members)),
            }
        }
        Err(error) => {
            tally.failed = 1;
            fail(&mut outcome, members, call.info(), error);
        }
    }
    call.info().meter.add(tally);
    outcome
}

fn fail(outcome: &mut Outcome<Values>, members: VecDeque<Member>, info: &Info, error: ItemError) {
    let failure = info.failure(error);
    outcome.failed.extend(members.into_iter().map(|member| (member, failure.clone())));
}

async fn attempt(call: &Arc<dyn Call>, io: &IoSettings, values: Values) -> Result<Answer, ItemError> {
    // The function itself is called in here too, so that its panic is caught wherever it happens.
    let work = async move { call.call(values).await };
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

/// Gives up the slot and waits. If the run stops meanwhile, the held item ends with it.
async fn back_off(held: &mut Held, io: &IoSettings, spent: Duration) {
    let run = held.run.clone();
    let Some((started, _)) = &held.books else { return };
    let node = started.node;
    held.backs_off = true;
    run.turn(move |machine, _| machine.back_off(node, spent));
    tokio::select! {
        biased;
        () = run.stopping() => {}
        () = tokio::time::sleep(pause(io.backoff, held.attempts)) => {}
    }
    held.backs_off = false;
    run.turn(move |machine, _| machine.back_on(node));
}

/// Twice as long with each failure, and between half and all of that, so that items which failed together do not come
/// back together.
fn pause(first: Duration, failures: u32) -> Duration {
    let full = first.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    let jitter = std::hash::RandomState::new().hash_one(failures) % 1024;
    full / 2 + full.mul_f64(jitter as f64 / 2048.0)
}

fn retry((started, members): (Started, VecDeque<Member>), copy: Values, held: &Held) -> Outcome<Values> {
    let mut outcome = Outcome::new(started);
    let attempts = held.attempts + 1;
    outcome.rest = Some(Block { values: copy, members, since: held.since, attempts });
    outcome
}
