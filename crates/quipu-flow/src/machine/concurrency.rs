//! How many calls an io makes at once where its user has not said: as many as bring something.
//!
//! It climbs the hill of throughput. A limit is kept for a sample of calls; by Little's law the throughput was the limit
//! over the mean time of a call, and only calls that ended well count. If a higher limit brought a fair share of what it
//! would bring were the service idle, the next is higher still; else it is lower. So it stays about the knee, where more
//! calls at once only wait for each other, and comes down by a factor where they fail or time out.
//!
//! This is the method of incremental steps: H.-U. Heiss, R. Wagner, *Adaptive Load Control in Transaction Processing
//! Systems*, VLDB 1991. Controllers that hold each call's time against the shortest ever seen (TCP Vegas, Netflix's
//! gradient) were tried beside it: calls that differ by nature, a hit and a miss of a cache, look like a queue to them.

use std::time::Duration;

/// Between these it moves, and there it begins. The last stands in the memory bound.
pub(crate) const CALLS_MIN: usize = 4;
const CALLS_FIRST: usize = 32;
pub(crate) const CALLS_MAX: usize = 256;

/// A limit is judged by so many calls, or by as many as it lets through at once, if they are more.
const SAMPLE_MIN: usize = 64;

/// A sample is taken when so many times as many calls as were under way have ended: then it has none of those in it that
/// began under the limit before, and not only the quickest of the others.
const SETTLING: usize = 2;

/// By what factor it moves: far at first, and less with each turn.
const STEP_FIRST: f64 = 2.0;
const STEP_LAST: f64 = 1.2;

/// What of the ideal gain a higher limit must bring. Less than half, for calls too few cost more than calls too many.
const FAIR_SHARE: f64 = 0.4;

/// The limit of one io.
#[derive(Debug)]
pub(crate) struct Concurrency {
    max: usize,
    limit: usize,
    step: f64,
    is_rising: bool,
    /// The limit before, and its throughput.
    before: Option<(f64, f64)>,
    /// Calls still to come that say nothing yet.
    unsettled: usize,
    sample: Sample,
}

#[derive(Debug, Default)]
struct Sample {
    calls: usize,
    good: usize,
    spent: Duration,
}

impl Concurrency {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            limit: CALLS_FIRST.min(max),
            step: STEP_FIRST,
            is_rising: true,
            before: None,
            unsettled: 0,
            sample: Sample::default(),
        }
    }

    /// How many calls may be under way.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// One of `at_once` calls has ended, well or not.
    pub(crate) fn ended(&mut self, at_once: usize, spent: Duration, is_good: bool) {
        if self.unsettled > 0 {
            self.unsettled -= 1;
            return;
        }
        if at_once < self.limit {
            // There were too few items, or there was too little credit: that is not the limit's doing.
            return;
        }
        self.sample.calls += 1;
        self.sample.good += usize::from(is_good);
        self.sample.spent += spent;
        if self.sample.calls >= self.limit.max(SAMPLE_MIN) {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let Sample { good, spent, .. } = std::mem::take(&mut self.sample);
        let limit = self.limit as f64;
        let throughput = limit * good as f64 / spent.as_secs_f64().max(f64::MIN_POSITIVE);
        let is_worth_more = self.before.is_none_or(|(other, was)| {
            let (gained, fair) = ((throughput - was) * other, (limit - other) * was * FAIR_SHARE);
            // Of two limits the higher, whichever came first, was worth it or not.
            if limit > other { gained > fair } else { gained < fair }
        });
        let rises = is_worth_more && good > 0;
        let has_turned = self.before.is_some() && rises != self.is_rising;
        self.before = Some((limit, throughput));
        self.go(rises, has_turned);
    }

    fn go(&mut self, rises: bool, has_turned: bool) {
        let lowest = CALLS_MIN.min(self.max);
        // At either end there is only the way back.
        let is_at_end = self.limit == if rises { self.max } else { lowest };
        self.is_rising = rises != is_at_end;
        if has_turned || is_at_end {
            self.step = self.step.sqrt().max(STEP_LAST);
        }
        let limit = self.limit as f64;
        let next = if self.is_rising { (limit * self.step).ceil() } else { limit / self.step };
        self.unsettled = SETTLING * self.limit;
        self.limit = (next as usize).clamp(lowest, self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;
    use std::hash::BuildHasher;

    /// What a call takes of an idle service, on average.
    const CALL_US: u64 = 10_000;

    /// Calls in plenty, the next as soon as there may be one more. `service` says of a call that begins at a time, as
    /// one of so many, when it ends and whether well. How many ended well in a second, and the mean limit, both of the
    /// second half.
    fn drive(calls: usize, mut service: impl FnMut(u64, usize) -> (u64, bool)) -> (f64, f64) {
        let (mut it, mut under_way, mut now) = (Concurrency::new(CALLS_MAX), BinaryHeap::new(), 0);
        let (mut half, mut good, mut limits) = (0, 0, 0);
        for ended in 0..calls {
            while under_way.len() < it.limit() {
                let (end, is_good) = service(now, under_way.len() + 1);
                under_way.push(Reverse((end, now, is_good)));
            }
            let at_once = under_way.len();
            let Some(Reverse((end, began, is_good))) = under_way.pop() else { unreachable!() };
            now = end;
            it.ended(at_once, Duration::from_micros(end - began), is_good);
            if ended < calls / 2 {
                half = now;
            } else {
                good += u64::from(is_good);
                limits += it.limit();
            }
        }
        let seconds = (now - half) as f64 / 1e6;
        (good as f64 / seconds, limits as f64 / (calls - calls / 2) as f64)
    }

    /// Numbers between 0 and 1, the same each time.
    fn draws() -> impl FnMut() -> f64 {
        let (hasher, mut number) =
            (std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(), 0u64);
        move || {
            number += 1;
            (hasher.hash_one(number) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// As long as calls take that have nothing in common.
    fn unlike(draw: f64) -> u64 {
        (-(1.0 - draw).ln() * CALL_US as f64) as u64 + 1
    }

    /// A service that works on `servers` calls at once, and lets the others wait.
    fn queueing(servers: usize, mut takes: impl FnMut() -> u64) -> impl FnMut(u64, usize) -> (u64, bool) {
        let mut free = BinaryHeap::from(vec![Reverse(0); servers]);
        move |now, _| {
            let Some(Reverse(idle_from)) = free.pop() else { unreachable!() };
            let end = now.max(idle_from) + takes();
            free.push(Reverse(end));
            (end, true)
        }
    }

    #[track_caller]
    fn check(found: (f64, f64), per_second: f64, limits: std::ops::RangeInclusive<f64>) {
        let (throughput, limit) = found;
        assert!(throughput >= per_second, "{throughput:.0} a second, not {per_second:.0}, with {limit:.1}");
        assert!(limits.contains(&limit), "a limit of {limit:.1}, not {limits:?}");
    }

    #[test]
    fn it_grows_where_calls_are_not_in_each_others_way() {
        let ideal = CALLS_MAX as f64 * 1e6 / CALL_US as f64;
        check(drive(20_000, |now, _| (now + CALL_US, true)), 0.9 * ideal, 200.0..=256.0);
        let mut draw = draws();
        check(drive(20_000, |now, _| (now + unlike(draw()), true)), 0.85 * ideal, 200.0..=256.0);
        // Four hits of a cache in a millisecond, and a miss in 46.
        let mut draw = draws();
        let takes = |draw| if draw < 0.8 { 1_000 } else { 46_000 };
        check(drive(20_000, |now, _| (now + takes(draw()), true)), 0.6 * ideal, 150.0..=256.0);
    }

    #[test]
    fn it_stays_at_what_a_service_can_do_at_once() {
        for servers in [4, 16, 64] {
            let (ideal, servers_f) = (servers as f64 * 1e6 / CALL_US as f64, servers as f64);
            let found = drive(20_000, queueing(servers, || CALL_US));
            check(found, 0.93 * ideal, 0.9 * servers_f..=1.25 * servers_f);
        }
        let mut draw = draws();
        check(drive(20_000, queueing(64, || unlike(draw()))), 0.85 * 6_400.0, 50.0..=130.0);
    }

    #[test]
    fn it_leaves_a_service_that_too_many_calls_slow_down() {
        // Beyond 32, each call takes with the square of their number; with 256, 400 would end in a second.
        let takes = |at_once: usize| CALL_US * (at_once.max(32) * at_once.max(32) / (32 * 32)) as u64;
        check(drive(20_000, |now, at_once| (now + takes(at_once), true)), 2_000.0, 24.0..=48.0);
    }

    #[test]
    fn calls_that_fail_bring_nothing() {
        // What is too much is refused at once.
        let refuses = |now, at_once| if at_once > 16 { (now + 100, false) } else { (now + CALL_US, true) };
        check(drive(400_000, refuses), 0.75 * 1_600.0, 10.0..=24.0);
        // What fails by itself says nothing of the limit.
        let mut draw = draws();
        let fails = |now, _| (now + CALL_US, draw() > 0.1);
        check(drive(20_000, fails), 0.8 * 25_600.0, 200.0..=256.0);
        // Nothing ends well: it goes down to the least, and up again afterwards.
        let mut it = Concurrency::new(CALLS_MAX);
        (0..10_000).for_each(|_| it.ended(it.limit(), Duration::from_secs(1), false));
        assert!(it.limit() <= CALLS_MIN + 1, "{}", it.limit());
        (0..20_000).for_each(|_| it.ended(it.limit(), Duration::from_millis(1), true));
        assert!(it.limit() > 200, "{}", it.limit());
    }

    #[test]
    fn a_service_that_has_become_slower_is_not_a_full_one() {
        let takes = |now| if now < 1_000_000 { CALL_US } else { 3 * CALL_US };
        check(drive(60_000, |now, _| (now + takes(now), true)), 0.85 * 25_600.0 / 3.0, 200.0..=256.0);
    }

    #[test]
    fn too_little_to_do_says_nothing() {
        let mut it = Concurrency::new(CALLS_MAX);
        (0..10_000).for_each(|_| it.ended(CALLS_FIRST - 1, Duration::from_millis(1), true));
        assert_eq!(it.limit(), CALLS_FIRST);
        let mut small = Concurrency::new(2);
        (0..10_000).for_each(|_| small.ended(2, Duration::from_millis(1), true));
        assert_eq!(small.limit(), 2);
    }
}
