//! Fused stages: stateless work for a core, composed where it is typed and run item by item.
//!
//! A chain is pulled: each stage asks the one before it for an item and hands its own on, so that a value goes from
//! closure to closure on the stack. One item passes the whole segment before the next begins, so what items grow to is
//! known after each of them.

use super::Core;
use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::Values;
use super::work::{Pacer, Turns};
use crate::error::ItemError;
use crate::machine::{Block, Outcome, Quantum, Task};
use crate::supervise::{Steps, contain_each};
use std::any::Any;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The next item of a chain; `None` is one that a filter has turned away.
pub(crate) trait Pull<T>: Send + Sync {
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<T>, ItemError>;
}

/// One item on its way through a chain.
pub(crate) struct Passage<'a> {
    input: &'a mut dyn Any,
    tallies: Vec<Tally>,
    /// The stage whose function was called last.
    stage: usize,
    key: Option<Arc<str>>,
    /// Whether this item is timed, stage by stage.
    is_timed: bool,
}

impl Passage<'_> {
    /// Calls a stage's function.
    #[inline]
    fn call<R>(&mut self, stage: usize, run: impl FnOnce() -> R) -> R {
        self.stage = stage;
        self.tallies[stage].entered += 1;
        if !self.is_timed {
            return run();
        }
        let started = Instant::now();
        let answer = run();
        self.tallies[stage].busy_ns += nanoseconds(started.elapsed());
        answer
    }

    #[inline]
    fn leave(&mut self, stage: usize) {
        self.tallies[stage].left += 1;
    }
}

/// Where a chain begins: the segment's own input.
pub(crate) struct Input<T>(PhantomData<fn() -> T>);

impl<T> Input<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: 'static> Pull<T> for Input<T> {
    #[inline]
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<T>, ItemError> {
        Ok(at.input.downcast_mut::<VecDeque<T>>().and_then(VecDeque::pop_front))
    }
}

pub(crate) struct Map<T, F> {
    pub(crate) before: Box<dyn Pull<T>>,
    pub(crate) stage: usize,
    pub(crate) run: F,
}

impl<T, U, F: Fn(T) -> U + Send + Sync> Pull<U> for Map<T, F> {
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<U>, ItemError> {
        let Some(item) = self.before.next(at)? else { return Ok(None) };
        let item = at.call(self.stage, || (self.run)(item));
        at.leave(self.stage);
        Ok(Some(item))
    }
}

/// `try_map` and `filter_map`: the function says what becomes of its item.
pub(crate) struct TryMap<T, F> {
    pub(crate) before: Box<dyn Pull<T>>,
    pub(crate) stage: usize,
    pub(crate) run: F,
}

impl<T, U, F: Fn(T) -> Result<Option<U>, ItemError> + Send + Sync> Pull<U> for TryMap<T, F> {
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<U>, ItemError> {
        let Some(item) = self.before.next(at)? else { return Ok(None) };
        let item = at.call(self.stage, || (self.run)(item))?;
        if item.is_some() {
            at.leave(self.stage);
        }
        Ok(item)
    }
}

/// `filter` and `inspect`: the function sees its item, and may turn it away.
pub(crate) struct Filter<T, F> {
    pub(crate) before: Box<dyn Pull<T>>,
    pub(crate) stage: usize,
    pub(crate) keep: F,
}

impl<T, F: Fn(&T) -> bool + Send + Sync> Pull<T> for Filter<T, F> {
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<T>, ItemError> {
        let Some(item) = self.before.next(at)? else { return Ok(None) };
        if !at.call(self.stage, || (self.keep)(&item)) {
            return Ok(None);
        }
        at.leave(self.stage);
        Ok(Some(item))
    }
}

/// Where flows meet: items only pass, and are counted.
pub(crate) struct Pass<T> {
    pub(crate) before: Box<dyn Pull<T>>,
    pub(crate) stage: usize,
}

impl<T> Pull<T> for Pass<T> {
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<T>, ItemError> {
        let item = self.before.next(at)?;
        if item.is_some() {
            at.call(self.stage, || ());
            at.leave(self.stage);
        }
        Ok(item)
    }
}

/// Names items on their way.
pub(crate) struct Named<T> {
    pub(crate) before: Box<dyn Pull<T>>,
    pub(crate) key: super::exit::Keyer<T>,
}

impl<T> Pull<T> for Named<T> {
    fn next(&self, at: &mut Passage<'_>) -> Result<Option<T>, ItemError> {
        let item = self.before.next(at)?;
        if let Some(item) = &item {
            at.key = Some(Arc::from((self.key)(item)));
        }
        Ok(item)
    }
}

/// A whole segment: a chain with what its outputs are appraised for.
pub(crate) struct Segment<T> {
    pub(crate) chain: Box<dyn Pull<T>>,
    pub(crate) exit: Exit<T>,
    pub(crate) stages: Vec<Arc<Info>>,
    /// Who answers for it where it has no stage: where branches begin or flows meet.
    pub(crate) door: Arc<Info>,
}

/// Every so many items one is timed stage by stage; the others' time is shared out in its proportions.
const TIMED_EVERY: usize = 64;

impl<T: Send + 'static> Core for Segment<T> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Block(block), allow } = quantum else {
            unreachable!("a segment turns on items")
        };
        let began = Instant::now();
        let Values::Column(mut column) = block.values else { unreachable!("items are in columns") };
        let passage = Passage {
            input: column.as_any_mut(),
            tallies: vec![Tally::default(); self.stages.len()],
            stage: 0,
            key: None,
            is_timed: false,
        };
        let mut carry = Carry {
            segment: self,
            passage,
            made: VecDeque::with_capacity(block.members.len()),
            turns: Turns::new(block.members, Pacer::new(began, allow)),
        };
        contain_each(&mut carry);
        let Carry { passage: Passage { tallies, .. }, made, turns, .. } = carry;
        let mut outcome = Outcome::new(started);
        (outcome.worked, outcome.spent) = (turns.done(), began.elapsed());
        self.count(tallies, outcome.spent);
        let rest =
            |members| Block { values: Values::Column(column), members, since: block.since, attempts: 0 };
        let passed = turns.conclude(&mut outcome, rest);
        if !passed.is_empty() {
            outcome.moved.push((0, Block::new(Values::of(made), passed, began)));
        }
        outcome
    }
}

/// A block on its way through a segment.
struct Carry<'a, T> {
    segment: &'a Segment<T>,
    passage: Passage<'a>,
    made: VecDeque<T>,
    turns: Turns,
}

impl<T> Steps for Carry<'_, T> {
    #[inline]
    fn step(&mut self) -> Result<bool, ItemError> {
        let done = self.turns.done();
        let Some(member) = self.turns.next() else { return Ok(false) };
        let passage = &mut self.passage;
        passage.is_timed = passage.tallies.len() > 1 && done.is_multiple_of(TIMED_EVERY);
        match self.segment.chain.next(passage)? {
            Some(item) => {
                let before = member.bytes;
                if let Some(key) = passage.key.take() {
                    member.rename(key);
                }
                self.segment.exit.appraise(&item, member);
                let after = member.bytes;
                self.made.push_back(item);
                self.turns.pass(before, after);
            }
            None => {
                passage.key = None;
                self.turns.turn_away();
            }
        }
        Ok(true)
    }

    fn failed(&mut self, error: ItemError) {
        let stage = self.passage.stage;
        if let (Some(key), Some(member)) = (self.passage.key.take(), self.turns.next()) {
            member.rename(key);
        }
        if let Some(tally) = self.passage.tallies.get_mut(stage) {
            tally.failed += 1;
        }
        let info = self.segment.stages.get(stage).unwrap_or(&self.segment.door);
        self.turns.fail(info.failure(error));
    }
}

impl<T: 'static> Segment<T> {
    /// Shares the quantum's time out among the stages, as the timed items say.
    fn count(&self, mut tallies: Vec<Tally>, spent: Duration) {
        let timed: u64 = tallies.iter().map(|tally| tally.busy_ns).sum();
        let spent = nanoseconds(spent);
        if let [only] = &mut tallies[..] {
            only.busy_ns = spent;
        } else {
            for tally in &mut tallies {
                tally.busy_ns =
                    (u128::from(tally.busy_ns) * u128::from(spent) / u128::from(timed.max(1))) as u64;
            }
        }
        for (info, tally) in self.stages.iter().zip(tallies) {
            info.meter.add(tally);
        }
    }
}
