//! One case of a simulation: limits and a schedule, drawn from a seed or made by hand.

use crate::machine::Rate;
use std::time::Duration;

/// A small generator of its own, so that seeds mean the same for ever.
pub(in crate::machine) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(super) fn toss(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One case: limits and a schedule for a graph.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) workers: usize,
    pub(super) items_budget: u64,
    pub(super) bytes_budget: u64,
    pub(super) bytes_max: u64,
    /// Source items weigh one byte, whatever becomes of them.
    pub(super) small_births: bool,
    pub(super) cancel_at: Option<u64>,
    pub(super) drain_at: Option<u64>,
    /// Paused from then on.
    pub(super) pause_at: Option<u64>,
    /// Paused and resumed now and then.
    pub(super) pauses: bool,
    /// Stall steps are taken by mistake now and then.
    pub(super) spurious: bool,
    pub(super) bias: Bias,
    /// The rate of all that wait for the world.
    pub(super) rate: Option<Rate>,
    /// Whether ios use fewer of their slots than they have, as they see fit.
    pub(super) adapts: bool,
    pub(super) rough: Rough,
}

/// What only wild cases have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rough {
    /// Any stage may fail, in the middle of its children too; of which failure comes what, this says.
    pub(super) fails: Option<u64>,
    /// Some items weigh nothing.
    pub(super) weightless: bool,
    /// Batches are measured, and not counted.
    pub(super) measured: bool,
    /// What starts next is what the machine thinks best; stages have priorities.
    pub(super) picks: Option<u64>,
    /// Devices close their batches in time, and streams are taken from in order.
    pub(super) alters: bool,
    /// A dead letter is a while on its way, and one in so many is refused.
    pub(super) letters: bool,
    /// Whoever takes from a stream takes his time.
    pub(super) slow_taker: bool,
    /// A task is lost now and then.
    pub(super) loses: bool,
}

/// How long a rate's period is.
const PERIOD: Duration = Duration::from_millis(2);

/// What a schedule favours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    None,
    /// Ios hardly ever end.
    IoSlow,
    /// What is started is hardly ever ended while more can be started.
    StartFirst,
}

impl Case {
    /// One with nothing special about it.
    pub(super) fn plain(seed: u64) -> Self {
        Self {
            seed,
            workers: 1,
            items_budget: 1,
            bytes_budget: 1_000_000,
            bytes_max: 3,
            small_births: false,
            cancel_at: None,
            drain_at: None,
            pause_at: None,
            pauses: false,
            spurious: false,
            bias: Bias::None,
            rate: None,
            adapts: false,
            rough: Rough::default(),
        }
    }

    pub(super) fn random(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(7).wrapping_add(1));
        let at = 1 + random.below(80);
        let mode = random.below(6);
        Self {
            workers: 1 + random.below(3) as usize,
            items_budget: random.pick(&[0, 1, 1, 2, 3, 5, 9, 20]),
            bytes_budget: random.pick(&[0, 1, 2, 3, 6, 20, 50, 100]),
            bytes_max: random.pick(&[3, 3, 3, 20]),
            cancel_at: (mode == 3).then_some(at),
            drain_at: (mode == 4).then_some(at),
            pauses: mode == 5,
            bias: random.pick(&[Bias::None, Bias::None, Bias::IoSlow, Bias::StartFirst]),
            rate: Self::rate(random.pick(&[0, 0, 0, 1, 2, 5])),
            adapts: random.toss(),
            ..Self::plain(seed)
        }
    }

    /// So many starts in a period; any number, if that is none.
    pub(super) fn rate(starts: u32) -> Option<Rate> {
        (starts > 0).then_some(Rate { starts, per: PERIOD })
    }

    /// Everything at once: interventions that meet, failures everywhere, slow letters and takers.
    pub(super) fn random_wild(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(7).wrapping_add(3));
        let mut some = |one_in: u64, below: u64| (random.below(one_in) == 0).then(|| random.below(below));
        let (cancel_at, drain_at, pause_at) = (some(8, 200), some(5, 200), some(6, 100));
        let rough = Rough {
            fails: some(3, 1 << 20),
            weightless: some(3, 1).is_some(),
            measured: some(3, 1).is_some(),
            picks: some(2, 1 << 20),
            alters: some(2, 1).is_some(),
            letters: some(2, 1).is_some(),
            slow_taker: some(2, 1).is_some(),
            loses: some(30, 1).is_some(),
        };
        let (pauses, spurious) = (some(6, 1).is_some(), some(12, 1).is_some());
        Self {
            workers: 1 + random.below(4) as usize,
            items_budget: random.pick(&[0, 0, 1, 1, 2, 3, 5, 9, 20, 100]),
            bytes_budget: random.pick(&[0, 0, 1, 2, 3, 6, 20, 50, 100, 1_000]),
            bytes_max: random.pick(&[1, 3, 3, 20]),
            small_births: random.below(4) == 0,
            cancel_at,
            drain_at,
            pause_at,
            pauses,
            spurious,
            bias: random.pick(&[Bias::None, Bias::None, Bias::IoSlow, Bias::StartFirst]),
            rate: Self::rate(random.pick(&[0, 0, 0, 1, 2, 5])),
            adapts: random.toss(),
            rough,
            ..Self::plain(seed)
        }
    }

    pub(super) fn random_growth(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(7).wrapping_add(2));
        Self {
            workers: 1 + random.below(4) as usize,
            items_budget: random.pick(&[3, 30, 60, 60]),
            bytes_budget: random.pick(&[0, 8, 16, 30, 60]),
            bytes_max: 40,
            small_births: true,
            bias: random.pick(&[Bias::None, Bias::None, Bias::IoSlow, Bias::StartFirst]),
            ..Self::plain(seed)
        }
    }
}
