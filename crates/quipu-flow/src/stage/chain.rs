//! Fused stages: stateless work for a core, composed where it is typed and run item by item.
//!
//! A chain is pushed: each stage wraps what comes after it in a function that takes its own input, and the first one
//! calls that for item after item. A value goes from closure to closure as an argument, so that nothing but a stage's
//! own work moves it. One item passes the whole segment before the next begins, so what items grow to is known after
//! each of them.

use super::Core;
use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::{Column, Values};
use super::work::{Pacer, Turns};
use crate::error::ItemError;
use crate::machine::{Block, Member, Outcome, Quantum, Task};
use crate::supervise::{Steps, contain_each};
use std::any::Any;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is left of a chain behind one of its stages. An item that it is not given has been turned away.
pub(crate) trait Next<T> {
    fn push(&mut self, item: T, at: &mut Passage) -> Result<(), ItemError>;
}

/// A method of its own, as whoever calls a `dyn FnMut` copies the arguments into a tuple first.
impl<T, F: FnMut(T, &mut Passage) -> Result<(), ItemError>> Next<T> for F {
    #[inline]
    fn push(&mut self, item: T, at: &mut Passage) -> Result<(), ItemError> {
        self(item, at)
    }
}

/// The stages of a segment up to one of them, which makes items of type `T`.
pub(crate) trait Chain<T>: Send + Sync {
    /// Sends the items of `column` through the stages and on to `next`, until it is enough or one has failed.
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<T>) -> Result<(), ItemError>;
}

/// Where a block's passage through a chain stands.
pub(crate) struct Passage {
    turns: Turns,
    tallies: Vec<Tally>,
    /// The stage whose function was called last.
    stage: usize,
    key: Option<Arc<str>>,
    /// Whether this item is timed, stage by stage.
    is_timed: bool,
    /// When the item came to the stage where it is, if it is timed.
    since: Instant,
}

impl Passage {
    /// Begins with the next item, if there is one and it is not enough.
    #[inline]
    fn begin(&mut self) -> bool {
        self.key = None;
        self.is_timed = self.tallies.len() > 1 && self.turns.done().is_multiple_of(TIMED_EVERY);
        if self.is_timed {
            self.since = Instant::now();
        }
        self.turns.next().is_some()
    }

    /// A stage's function is about to be called.
    #[inline]
    fn enter(&mut self, stage: usize) {
        self.stage = stage;
        self.tallies[stage].entered += 1;
    }

    /// It has returned.
    #[inline]
    fn leave(&mut self, goes_on: bool) {
        let tally = &mut self.tallies[self.stage];
        tally.left += u64::from(goes_on);
        if self.is_timed {
            let now = Instant::now();
            tally.busy_ns += nanoseconds(now - self.since);
            self.since = now;
        }
    }

    /// The item has come through, and is appraised.
    #[inline]
    fn land(&mut self, appraise: impl FnOnce(&mut Member)) {
        let Some(member) = self.turns.next() else { unreachable!("an item that has begun has its turn") };
        let before = member.bytes;
        if let Some(key) = self.key.take() {
            member.rename(key);
        }
        appraise(member);
        let after = member.bytes;
        self.turns.pass(before, after);
    }
}

/// Where a chain begins: the segment's own input.
pub(crate) struct Input<T>(PhantomData<fn() -> T>);

impl<T> Input<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: 'static> Chain<T> for Input<T> {
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<T>) -> Result<(), ItemError> {
        let Some(column) = column.downcast_mut::<VecDeque<T>>() else { return Ok(()) };
        while at.begin() {
            let Some(item) = column.pop_front() else { break };
            let number = at.turns.done();
            next.push(item, at)?;
            if at.turns.done() == number {
                at.turns.turn_away();
            }
        }
        Ok(())
    }
}

pub(crate) struct Map<T, F> {
    pub(crate) before: Box<dyn Chain<T>>,
    pub(crate) stage: usize,
    pub(crate) run: F,
}

impl<T, U, F: Fn(T) -> U + Send + Sync> Chain<U> for Map<T, F> {
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<U>) -> Result<(), ItemError> {
        self.before.drive(column, at, &mut |item: T, at: &mut Passage| {
            at.enter(self.stage);
            let item = (self.run)(item);
            at.leave(true);
            next.push(item, at)
        })
    }
}

/// `try_map` and `filter_map`: the function says what becomes of its item.
pub(crate) struct TryMap<T, F> {
    pub(crate) before: Box<dyn Chain<T>>,
    pub(crate) stage: usize,
    pub(crate) run: F,
}

impl<T, U, F: Fn(T) -> Result<Option<U>, ItemError> + Send + Sync> Chain<U> for TryMap<T, F> {
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<U>) -> Result<(), ItemError> {
        self.before.drive(column, at, &mut |item: T, at: &mut Passage| {
            at.enter(self.stage);
            let made = (self.run)(item);
            at.leave(matches!(made, Ok(Some(_))));
            match made? {
                Some(item) => next.push(item, at),
                None => Ok(()),
            }
        })
    }
}

/// `filter` and `inspect`: the function sees its item, and may turn it away.
pub(crate) struct Filter<T, F> {
    pub(crate) before: Box<dyn Chain<T>>,
    pub(crate) stage: usize,
    pub(crate) keep: F,
}

impl<T, F: Fn(&T) -> bool + Send + Sync> Chain<T> for Filter<T, F> {
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<T>) -> Result<(), ItemError> {
        self.before.drive(column, at, &mut |item: T, at: &mut Passage| {
            at.enter(self.stage);
            let is_kept = (self.keep)(&item);
            at.leave(is_kept);
            if is_kept { next.push(item, at) } else { Ok(()) }
        })
    }
}

/// Where flows meet: items only pass, and are counted.
pub(crate) struct Pass<T> {
    pub(crate) before: Box<dyn Chain<T>>,
    pub(crate) stage: usize,
}

impl<T> Chain<T> for Pass<T> {
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<T>) -> Result<(), ItemError> {
        self.before.drive(column, at, &mut |item: T, at: &mut Passage| {
            at.enter(self.stage);
            at.leave(true);
            next.push(item, at)
        })
    }
}

/// Names items on their way.
pub(crate) struct Named<T> {
    pub(crate) before: Box<dyn Chain<T>>,
    pub(crate) key: super::exit::Keyer<T>,
}

impl<T> Chain<T> for Named<T> {
    fn drive(&self, column: &mut dyn Any, at: &mut Passage, next: &mut dyn Next<T>) -> Result<(), ItemError> {
        self.before.drive(column, at, &mut |item: T, at: &mut Passage| {
            at.key = Some(Arc::from((self.key)(&item)));
            next.push(item, at)
        })
    }
}

/// A whole segment: a chain with what its outputs are appraised for.
pub(crate) struct Segment<T> {
    pub(crate) chain: Box<dyn Chain<T>>,
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
        let Values::Column(column) = block.values else { unreachable!("items are in columns") };
        let passage = Passage {
            tallies: vec![Tally::default(); self.stages.len()],
            turns: Turns::new(block.members, Pacer::new(began, allow)),
            stage: 0,
            key: None,
            is_timed: false,
            since: began,
        };
        let made = VecDeque::with_capacity(passage.turns.len());
        let mut carry = Carry { segment: self, column, passage, made };
        contain_each(&mut carry);
        let Carry { column, passage: Passage { turns, tallies, .. }, made, .. } = carry;
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
    column: Box<dyn Column>,
    passage: Passage,
    made: VecDeque<T>,
}

/// Where a chain ends: the segment's output.
struct Landing<'a, T> {
    exit: &'a Exit<T>,
    made: &'a mut VecDeque<T>,
}

impl<T> Next<T> for Landing<'_, T> {
    fn push(&mut self, item: T, at: &mut Passage) -> Result<(), ItemError> {
        at.land(|member| self.exit.appraise(&item, member));
        self.made.push_back(item);
        Ok(())
    }
}

impl<T> Steps for Carry<'_, T> {
    fn go_on(&mut self) -> Result<(), ItemError> {
        let Self { segment, column, passage, made } = self;
        segment.chain.drive(column.as_any_mut(), passage, &mut Landing { exit: &segment.exit, made })
    }

    fn failed(&mut self, error: ItemError) {
        let stage = self.passage.stage;
        if let (Some(key), Some(member)) = (self.passage.key.take(), self.passage.turns.next()) {
            member.rename(key);
        }
        if let Some(tally) = self.passage.tallies.get_mut(stage) {
            tally.failed += 1;
        }
        let info = self.segment.stages.get(stage).unwrap_or(&self.segment.door);
        self.passage.turns.fail(info.failure(error));
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
