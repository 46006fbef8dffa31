//! Fused stages: stateless work for a core, composed where it is typed and run item by item.
//!
//! A chain is pulled: each stage asks the one before it for an item and hands its own on, so that a value goes from
//! closure to closure on the stack. One item passes the whole segment before the next begins, so what items grow to is
//! known after each of them.

use super::Core;
use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::{Made, Values};
use crate::error::ItemError;
use crate::machine::{Allowance, Block, End, Member, Outcome, Quantum, Task};
use crate::supervise::contain;
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
    tallies: &'a mut [Tally],
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

/// Where the clock is looked at: after so many items at first, then less often, while they are fast.
const QUANTUM_MAX: Duration = Duration::from_micros(200);

impl<T: Send + 'static> Core for Segment<T> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Block(block), allow } = quantum else {
            unreachable!("a segment works on items")
        };
        let mut outcome = Outcome::new(started);
        let began = Instant::now();
        let Values::Column(mut column) = block.values else { unreachable!("items are in columns") };
        let mut members = block.members;
        let mut made = Made::<T>::with_capacity(members.len());
        let mut filtered = VecDeque::new();
        let mut tallies = vec![Tally::default(); self.stages.len()];
        let mut pace = Pacer::new(began, allow);
        while let Some(mut member) = members.pop_front() {
            let is_timed = pace.items.is_multiple_of(TIMED_EVERY) && tallies.len() > 1;
            let before = member.bytes;
            let mut passage =
                Passage { input: column.as_any_mut(), tallies: &mut tallies, stage: 0, key: None, is_timed };
            match self.one(&mut passage, &mut member) {
                Ok(Some(item)) => {
                    pace.grow(before, member.bytes);
                    made.push(item, member);
                }
                Ok(None) => filtered.push_back(member),
                Err(error) => {
                    let stage = passage.stage;
                    if let Some(key) = passage.key.take() {
                        member.rename(key);
                    }
                    if let Some(tally) = tallies.get_mut(stage) {
                        tally.failed += 1;
                    }
                    let info = self.stages.get(stage).unwrap_or(&self.door);
                    outcome.failed.push((member, info.failure(error)));
                }
            }
            if pace.is_enough() {
                break;
            }
        }
        outcome.worked = pace.items;
        outcome.spent = began.elapsed();
        self.count(tallies, outcome.spent);
        if !made.members.is_empty() {
            outcome.moved.push((0, Block::new(Values::of(made.values), made.members, began)));
        }
        if !filtered.is_empty() {
            outcome.ended.push((End::Filtered, filtered));
        }
        if !members.is_empty() {
            outcome.rest =
                Some(Block { values: Values::Column(column), members, since: block.since, attempts: 0 });
        }
        outcome
    }
}

impl<T: 'static> Segment<T> {
    fn one(&self, passage: &mut Passage<'_>, member: &mut Member) -> Result<Option<T>, ItemError> {
        contain(|| {
            let Some(item) = self.chain.next(passage)? else { return Ok(None) };
            if let Some(key) = passage.key.take() {
                member.rename(key);
            }
            self.exit.appraise(&item, member);
            Ok(Some(item))
        })
    }

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

/// Says when a quantum has had its share: of items, of credit, of time.
pub(crate) struct Pacer {
    began: Instant,
    allow: Allowance,
    grown: u64,
    pub(crate) items: usize,
    next_look: usize,
}

impl Pacer {
    pub(crate) fn new(began: Instant, allow: Allowance) -> Self {
        Self { began, allow, grown: 0, items: 0, next_look: 1 }
    }

    pub(crate) fn grow(&mut self, before: u64, after: u64) {
        self.grown = self.grown.saturating_add(after.saturating_sub(before));
    }

    /// To be asked after each item.
    #[inline]
    pub(crate) fn is_enough(&mut self) -> bool {
        self.items += 1;
        if self.items >= self.allow.items || self.grown >= self.allow.bytes {
            return true;
        }
        if self.items < self.next_look {
            return false;
        }
        let spent = self.began.elapsed();
        // Looked at eight times in a quantum, whatever an item takes.
        let each = nanoseconds(spent) / self.items as u64;
        self.next_look = self.items + (nanoseconds(QUANTUM_MAX) / 8 / each.max(1)).clamp(1, 512) as usize;
        spent >= QUANTUM_MAX
    }
}
