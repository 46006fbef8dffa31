//! What it costs to have a no-op done by a pool of cores and await it: one at a time, 8 and 64 in flight; and what a
//! pool takes that has nothing to do.
//!
//! As many Tokio workers and pool threads as there are cores. In flight are as many tasks as jobs, each with one at a
//! time; in one more row, a single task keeps 64.

use crate::arguments::Arguments;
use crate::drive::Asked;
use crate::measure::{Contender, Sizing, side_by_side};
use crate::ours::Ours;
use crate::peers::dynamo::Dynamo;
use crate::peers::{tokio_channels, tokio_rayon};
use crate::table::{Better, Group, Row};
use std::cell::RefCell;
use std::time::Duration;

/// Jobs that a pool has done before its idleness is measured.
const JOBS_BEFORE: u64 = 2_000;
/// Most CPU that an idle pool may take, in milliseconds a second: timers and nothing else.
const IDLE_MS_MAX: f64 = 1.0;

pub(crate) fn rows(arguments: &Arguments) -> anyhow::Result<Group> {
    let threads = quipu_compute::usable_cores();
    let dynamo = RefCell::new(Dynamo::start(&arguments.dynamo));
    let mut rows = Vec::new();
    for (asked, in_flight) in
        [(Asked::ByTasks, 1), (Asked::ByTasks, 8), (Asked::ByTasks, 64), (Asked::ByOne, 64)]
    {
        rows.push(round_trips(arguments, threads, asked, in_flight, &dynamo)?);
    }
    rows.push(idle(arguments, threads, &dynamo)?);
    let note =
        "a no-op job; its goal is tokio-rayon's figure in the same run; Dynamo is in a process of its own";
    Ok(Group { name: "bridge", note: note.to_owned(), rows })
}

fn round_trips(
    arguments: &Arguments,
    threads: usize,
    asked: Asked,
    in_flight: usize,
    dynamo: &RefCell<Dynamo>,
) -> anyhow::Result<Row> {
    let (ours, runtime) = (Ours::new(threads)?, tokio_channels::runtime(threads)?);
    let pool = tokio_rayon::pool(threads)?;
    let contenders = vec![
        Contender::new("ours", move |jobs| ours.jobs(asked, in_flight, jobs)),
        Contender::new("tokio-rayon", move |jobs| tokio_rayon::jobs(&runtime, &pool, asked, in_flight, jobs)),
        Contender::new("Dynamo", |jobs| dynamo.borrow_mut().jobs(threads, asked, in_flight, jobs)),
    ];
    let (time, repetitions) = if arguments.quick { (20, 15) } else { (20, 101) };
    let sizing = Sizing::Aimed { pilot: 2_000, time: Duration::from_millis(time) };
    let figures =
        side_by_side(contenders, sizing, repetitions, |took, jobs| took.as_secs_f64() * 1e6 / jobs as f64);
    let goal = figures.iter().find(|figure| figure.name == "tokio-rayon").and_then(|figure| figure.median);
    let by = if asked == Asked::ByOne { ", by one task" } else { "" };
    Ok(Row::new(format!("{in_flight} in flight{by}"), "µs/job", Better::Less, goal, figures))
}

fn idle(arguments: &Arguments, threads: usize, dynamo: &RefCell<Dynamo>) -> anyhow::Result<Row> {
    let repetitions = if arguments.quick { 1 } else { 3 };
    let (ours, runtime) = (Ours::new(threads)?, tokio_channels::runtime(threads)?);
    let contenders = vec![
        Contender::new("ours", |jobs| ours.idle(jobs)),
        Contender::new("tokio-rayon", |jobs| tokio_rayon::idle(&runtime, threads, jobs)),
        Contender::new("Dynamo", |jobs| dynamo.borrow_mut().idle(threads, jobs)),
    ];
    let sizing = Sizing::Fixed(JOBS_BEFORE);
    let figures = side_by_side(contenders, sizing, repetitions, |took, _| took.as_secs_f64() * 1e3);
    Ok(Row::new("idle".into(), "ms CPU/s", Better::Less, Some(IDLE_MS_MAX), figures))
}

/// What `clock` says of a second in which nothing is asked.
pub(crate) fn idle_of(clock: impl Fn() -> Duration) -> Duration {
    let before = clock();
    std::thread::sleep(Duration::from_secs(1));
    clock() - before
}
