//! A stage's rate: so many starts in any period at most, and when the next may be.
//!
//! It is a window that slides: a start is allowed when the one that came so many starts before it is a whole period
//! old. So no period has more starts than that, wherever it begins, and an idle stage saves nothing up: the most that
//! ever start together are one period's. A bucket of tokens would let twice as many through around a pause.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// At most so many starts in any period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) starts: u32,
    pub(crate) per: Duration,
}

/// A node's last starts, as many as its rate allows in a period.
#[derive(Debug)]
pub(super) struct Starts {
    rate: Rate,
    last: VecDeque<Instant>,
    is_open: bool,
}

impl Starts {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, last: VecDeque::new(), is_open: true }
    }

    /// Whether another start is allowed, as far as is known since the last [`look`](Self::look).
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// When another start will be allowed, if it is not now. A period without an end has no such time.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        if self.is_open {
            return None;
        }
        self.last.front()?.checked_add(self.rate.per)
    }

    /// It is `now`.
    pub(super) fn look(&mut self, now: Instant) {
        self.is_open = self.is_open || self.opens_at().is_some_and(|opens_at| opens_at <= now);
    }

    /// Enters a start.
    pub(super) fn enter(&mut self, now: Instant) {
        // Of two threads the second may have looked at the clock before the first.
        let now = self.last.back().map_or(now, |last| now.max(*last));
        if self.last.len() == self.rate.starts as usize {
            self.last.pop_front();
        }
        self.last.push_back(now);
        self.is_open = self.last.len() < self.rate.starts as usize;
        self.look(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER: Duration = Duration::from_millis(10);

    /// Starts whenever it may, asked at these milliseconds; which of them it took.
    fn check(rate: u32, asked: &[u64], expected: &[u64]) {
        let begin = Instant::now();
        let mut starts = Starts::new(Rate { starts: rate, per: PER });
        let mut taken = Vec::new();
        for &millis in asked {
            let now = begin + Duration::from_millis(millis);
            starts.look(now);
            if starts.is_open() {
                starts.enter(now);
                taken.push(millis);
            }
        }
        assert_eq!(taken, expected);
    }

    #[test]
    fn one_period_has_so_many_and_no_more() {
        check(1, &[0, 1, 9, 10, 19, 20], &[0, 10, 20]);
        check(3, &[0, 0, 4, 4, 9, 10, 10, 10, 14], &[0, 0, 4, 10, 10, 14]);
    }

    #[test]
    fn an_idle_stage_saves_nothing_up() {
        check(2, &[0, 95, 95, 99, 104, 105, 105, 105], &[0, 95, 95, 105, 105]);
        // A bucket of two would have let the third through at 100.
        check(2, &[95, 99, 100, 105, 109], &[95, 99, 105, 109]);
    }

    #[test]
    fn it_says_when_the_next_may_be() {
        let begin = Instant::now();
        let mut starts = Starts::new(Rate { starts: 1, per: PER });
        assert_eq!(starts.opens_at(), None);
        starts.enter(begin);
        assert_eq!(starts.opens_at(), Some(begin + PER));
        starts.look(begin + PER);
        assert_eq!((starts.is_open(), starts.opens_at()), (true, None));
        let mut endless = Starts::new(Rate { starts: 1, per: Duration::MAX });
        endless.enter(begin);
        assert_eq!((endless.is_open(), endless.opens_at()), (false, None));
    }

    #[test]
    fn a_clock_read_late_is_no_start_before_the_last() {
        let begin = Instant::now();
        let mut starts = Starts::new(Rate { starts: 2, per: PER });
        starts.enter(begin + PER);
        starts.enter(begin);
        assert_eq!(starts.opens_at(), Some(begin + 2 * PER));
        starts.look(begin + 2 * PER);
        starts.enter(begin + 2 * PER);
        starts.enter(begin + 2 * PER);
        assert_eq!(starts.opens_at(), Some(begin + 3 * PER));
    }
}
