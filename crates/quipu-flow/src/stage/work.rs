//! Item by item through a block: which have passed, which were turned away, which have failed, and when it is enough.
//!
//! Members stay where they are while their values are worked on; only where some did not pass are the others moved.

use super::info::nanoseconds;
use super::value::Values;
use crate::machine::{Allowance, Block, End, Failure, Member, Outcome};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// No quantum goes on for longer, but for its last item.
const QUANTUM_MAX: Duration = Duration::from_micros(200);

/// The members of a block that is being worked on.
pub(crate) struct Turns {
    members: VecDeque<Member>,
    pace: Pacer,
    is_enough: bool,
    /// Who was turned away, and who has failed, by number.
    turned_away: Vec<usize>,
    failed: Vec<(usize, Failure)>,
}

impl Turns {
    pub(crate) fn new(members: VecDeque<Member>, pace: Pacer) -> Self {
        Self { members, pace, is_enough: false, turned_away: Vec::new(), failed: Vec::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// How many have had their turn.
    #[inline]
    pub(crate) fn done(&self) -> usize {
        self.pace.items
    }

    /// Whose turn it is; nobody's, when it is enough.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&mut Member> {
        if self.is_enough {
            return None;
        }
        self.members.get_mut(self.pace.items)
    }

    /// It goes on, and its bytes were so many and are so many.
    #[inline]
    pub(crate) fn pass(&mut self, before: u64, after: u64) {
        self.pace.grow(before, after);
        self.is_enough = self.pace.is_enough();
    }

    pub(crate) fn turn_away(&mut self) {
        self.turned_away.push(self.pace.items);
        self.is_enough = self.pace.is_enough();
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failed.push((self.pace.items, failure));
        self.is_enough = self.pace.is_enough();
    }

    /// How many have failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.len() as u64
    }

    /// Those who have passed. The others are told to the outcome, and who has not had a turn goes back with `rest`.
    pub(crate) fn conclude(
        self,
        outcome: &mut Outcome<Values>,
        rest: impl FnOnce(VecDeque<Member>) -> Block<Values>,
    ) -> VecDeque<Member> {
        let Self { mut members, pace, turned_away, failed, .. } = self;
        if pace.items < members.len() {
            outcome.rest = Some(rest(members.split_off(pace.items)));
        }
        if turned_away.is_empty() && failed.is_empty() {
            return members;
        }
        let (mut away, mut lost) = (turned_away.into_iter().peekable(), failed.into_iter().peekable());
        let (mut passed, mut filtered) = (VecDeque::with_capacity(members.len()), VecDeque::new());
        for (number, member) in members.into_iter().enumerate() {
            if away.next_if_eq(&number).is_some() {
                filtered.push_back(member);
            } else if let Some((_, failure)) = lost.next_if(|(failed, _)| *failed == number) {
                outcome.failed.push((member, failure));
            } else {
                passed.push_back(member);
            }
        }
        if !filtered.is_empty() {
            outcome.ended.push((End::Filtered, filtered));
        }
        passed
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

    #[inline]
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
        self.items >= self.next_look && self.has_had_its_time()
    }

    /// Looks at the clock: eight times in a quantum, whatever an item takes.
    fn has_had_its_time(&mut self) -> bool {
        let spent = self.began.elapsed();
        let each = nanoseconds(spent) / self.items as u64;
        self.next_look = self.items + (nanoseconds(QUANTUM_MAX) / 8 / each.max(1)).clamp(1, 512) as usize;
        spent >= QUANTUM_MAX
    }
}
