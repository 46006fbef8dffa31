//! The searches: a graph and a schedule for each seed, and the smallest that fails where one does.

use super::case::{Case, Random};
use super::graph::Graph;
use super::shrink::{Found, shrink};
use super::{Told, simulate};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread's panics are expected, and nobody's to read.
    static IS_TRYING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a case; its panic is the answer.
pub(super) fn try_case(graph: &Graph, case: &Case) -> Result<Told, String> {
    static SILENCE: Once = Once::new();
    SILENCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_TRYING.get() {
                loud(panic);
            }
        }));
    });
    let was_trying = IS_TRYING.replace(true);
    let told = catch_unwind(AssertUnwindSafe(|| simulate(graph, case)));
    IS_TRYING.set(was_trying);
    told.map_err(|panic| quipu_compute::panic_message(&*panic))
}

/// Fails with the smallest case that fails as this one does.
fn fail(seed: u64, found: Found, fails: impl Fn(&Graph, &Case) -> Option<String>) -> ! {
    let first = found.why.lines().next().unwrap_or_default().to_owned();
    let Found { graph, case, why } = shrink(found, fails);
    panic!("seed {seed}: {first}\nmade smaller: {why}\n{graph:#?}\n{case:?}")
}

/// Tries a graph and a schedule for each seed; how many stall steps there were.
fn hunt(seeds: std::ops::Range<u64>, of: impl Fn(u64) -> (Graph, Case)) -> u64 {
    let mut stalls = 0;
    for seed in seeds {
        let (graph, case) = of(seed);
        match try_case(&graph, &case) {
            Ok(told) => stalls += told.stalls,
            Err(why) => fail(seed, Found { graph, case, why }, |graph, case| try_case(graph, case).err()),
        }
    }
    stalls
}

/// Which seeds each search tries: `few`, or `QUIPU_CASES` of them from `QUIPU_SEED` on, as `cargo xtask deep` says.
fn seeds(few: u64) -> std::ops::Range<u64> {
    let from = |name| std::env::var(name).ok().and_then(|count| count.parse::<u64>().ok());
    let first = from("QUIPU_SEED").unwrap_or(0);
    first..first + from("QUIPU_CASES").unwrap_or(few)
}

/// How many cases a named graph is tried in.
pub(super) fn cases(few: u64) -> u64 {
    let seeds = seeds(few);
    seeds.end - seeds.start
}

/// What two schedules that are never cut short deliver of a graph, where that differs.
fn difference(graph: &Graph, case: &Case) -> Result<usize, String> {
    let other = Case { cancel_at: None, drain_at: None, ..Case::random(case.seed + OTHER_SCHEDULE) };
    let [one, other] = [try_case(graph, case)?, try_case(graph, &other)?].map(|told| told.delivered);
    let is_same = one == other;
    is_same.then_some(one.len()).ok_or_else(|| format!("delivered {one:?} or {other:?}"))
}

/// From a seed's own schedule to that which it is compared with.
const OTHER_SCHEDULE: u64 = 1 << 40;

#[test]
fn results_independent_of_budget_workers_schedule() {
    let seeds = seeds(3_000);
    let (count, mut compared) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        let graph = Graph::random(&mut Random(seed));
        if !graph.is_determined() {
            continue;
        }
        let case = Case { cancel_at: None, drain_at: None, ..Case::random(seed) };
        match difference(&graph, &case) {
            Ok(delivered) => compared += u64::from(delivered > 0),
            Err(why) => fail(seed, Found { graph, case, why }, |graph, case| difference(graph, case).err()),
        }
    }
    assert!(compared > count / 30, "hardly anything was compared: {compared} of {count}");
}

#[test]
fn random_graphs_under_random_schedules_are_lawful() {
    let seeds = seeds(3_000);
    let count = seeds.end - seeds.start;
    let stalls = hunt(seeds, |seed| (Graph::random(&mut Random(seed)), Case::random(seed)));
    assert!(stalls > count / 3, "the stall step is hardly exercised: {stalls}");
}

#[test]
fn random_wild_graphs_are_lawful() {
    hunt(seeds(1_000), |seed| (Graph::random_wild(&mut Random(seed)), Case::random_wild(seed)));
}

#[test]
fn random_growth_behind_an_order_stays_in_bound() {
    hunt(seeds(1_000), |seed| (Graph::random_growth(&mut Random(seed)), Case::random_growth(seed)));
}
