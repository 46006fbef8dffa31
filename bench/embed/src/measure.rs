//! Lets the contestants take turns: each waits in its process while another computes.

use std::path::Path;

use crate::arguments::{Arguments, Places};
use crate::contestants::{ENGINES, LIBRARIES, ours};
use crate::crew::Worker;
use crate::protocol::{Cosines, Pass, Reply, Request};
use crate::report::{Alone, Mixed, Report, Row, Speed};
use crate::texts::Profile;

/// Tokens of a batch that peers are tried with; each is then measured with its best.
const BUDGETS: [usize; 4] = [128, 256, 512, 1024];
/// Tokens of a pass: several batches of the largest budget.
const TOKENS: usize = 4_096;
/// A pass of a contestant that would take longer than this is cut to a quarter.
const PASS_S_MAX: f64 = 1.5;
/// Texts in one call of a library: its default batch.
const MIXED_TEXTS: usize = 256;
/// Queries in one round.
const QUERIES: usize = 11;

/// How often what is repeated.
struct Repetitions {
    budgets: usize,
    rounds: usize,
    together: usize,
    alone: usize,
    mixed: usize,
}

const QUICK: Repetitions = Repetitions { budgets: 1, rounds: 3, together: 2, alone: 1, mixed: 1 };
const FULL: Repetitions = Repetitions { budgets: 2, rounds: 7, together: 3, alone: 5, mixed: 3 };

/// A contestant that is there, and what was found so far.
struct Entrant {
    worker: Worker,
    cosines: Cosines,
    runs: Vec<Runs>,
    queries_s: Vec<f64>,
    cold_starts_s: Vec<f64>,
    peak_bytes: Option<u64>,
    /// Why it is out.
    failed: Option<String>,
}

impl Entrant {
    /// A step of the run; one that fails takes the contestant out of it, with the reason.
    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> anyhow::Result<()>) {
        if self.failed.is_none() {
            self.failed = step(self).err().map(|why| format!("{why:#}"));
        }
    }
}

/// Of one profile.
struct Runs {
    profile: Profile,
    tokens: usize,
    budget: usize,
    passes: Vec<Pass>,
    /// Tokens per CPU-second of two processes, added up.
    processes: f64,
    /// The same of two threads of one process, for those that share weights.
    threads: Option<f64>,
}

/// Everything, in the order of the report.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let repetitions = if arguments.quick { QUICK } else { FULL };
    let places = &arguments.places;
    let mut report = Report::new(arguments);
    let mut entrants = enter(arguments, &repetitions, &mut report);
    for round in 1..=repetitions.rounds {
        eprintln!("round {round} of {}", repetitions.rounds);
        report.measure_ceilings();
        for place in 0..Profile::ALL.len() {
            entrants.iter_mut().for_each(|entrant| entrant.attempt(|entrant| turn(entrant, place)));
        }
    }
    for entrant in &mut entrants {
        eprintln!("two at once, and alone: {}", entrant.worker.name);
        entrant.attempt(|entrant| together(entrant, places, &repetitions));
        entrant.attempt(|entrant| alone(entrant, places, &repetitions));
    }
    for entrant in entrants {
        let row = row(entrant, &report);
        report.rows.push(row);
    }
    let order = contestants();
    report.rows.sort_by_key(|row| order.iter().position(|name| *name == row.name));
    let fastest = report.fastest_of_ours().map(|row| row.name.clone());
    report.mixed = mixed(arguments, fastest.as_deref(), &repetitions);
    report.goals = report.goals();
    Ok(report)
}

/// All that take batches, in the order of the report.
fn contestants() -> Vec<String> {
    ours().into_iter().rev().chain(ENGINES.map(str::to_owned)).collect()
}

fn wanted(arguments: &Arguments, name: &str) -> bool {
    arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
}

/// Starts all; those that cannot stand in the report with the reason.
fn enter(arguments: &Arguments, repetitions: &Repetitions, report: &mut Report) -> Vec<Entrant> {
    let mut entrants = Vec::new();
    for name in contestants().into_iter().filter(|name| wanted(arguments, name)) {
        if arguments.quick && name.ends_with("-portable") {
            report.rows.push(Row::missing(name, "left out by --quick"));
            continue;
        }
        eprintln!("best batch: {name}");
        match enter_one(&name, &arguments.places, repetitions) {
            Ok(entrant) => entrants.push(entrant),
            Err(why) => report.rows.push(Row::missing(name, &format!("{why:#}"))),
        }
    }
    entrants
}

fn enter_one(name: &str, places: &Places, repetitions: &Repetitions) -> anyhow::Result<Entrant> {
    let (mut worker, _) = Worker::start(name, places)?;
    let budgets = budgets(name);
    let mut runs = Vec::new();
    for profile in Profile::ALL {
        runs.push(try_budgets(&mut worker, profile, budgets, repetitions)?);
    }
    let budget = runs[0].budget;
    let Reply::Cosines(cosines) = worker.answer(Request::Cosines { budget })? else {
        anyhow::bail!("it gave no cosines");
    };
    let (queries_s, cold_starts_s) = (Vec::new(), Vec::new());
    Ok(Entrant { worker, cosines, runs, queries_s, cold_starts_s, peak_bytes: None, failed: None })
}

/// Ours has one budget, the product's own; peers have what is best for them.
fn budgets(name: &str) -> &'static [usize] {
    if name.starts_with("ours") { &[quipu_embed::BATCH_TOKENS] } else { &BUDGETS }
}

fn try_budgets(
    worker: &mut Worker,
    profile: Profile,
    budgets: &[usize],
    repetitions: &Repetitions,
) -> anyhow::Result<Runs> {
    let mut tokens = TOKENS;
    let request = |budget, tokens| Request::Pass { profile, tokens, budget, threads: 1 };
    // The first is a warming-up, and shows how long a pass takes.
    let first = worker.pass(request(budgets[0], TOKENS / 4))?;
    if first.wall_s * 4.0 > PASS_S_MAX {
        tokens = TOKENS / 4;
    }
    let mut best = (0.0, budgets[0]);
    for _ in 0..repetitions.budgets {
        for &budget in budgets {
            let rate = worker.pass(request(budget, tokens))?.rate();
            if rate > best.0 {
                best = (rate, budget);
            }
        }
    }
    let (_, budget) = best;
    Ok(Runs { profile, tokens, budget, passes: Vec::new(), processes: 0.0, threads: None })
}

impl Runs {
    fn request(&self, threads: usize) -> Request {
        Request::Pass { profile: self.profile, tokens: self.tokens, budget: self.budget, threads }
    }
}

/// One pass over a profile, and some queries.
fn turn(entrant: &mut Entrant, place: usize) -> anyhow::Result<()> {
    let pass = entrant.worker.pass(entrant.runs[place].request(1))?;
    entrant.runs[place].passes.push(pass);
    if let Reply::Query(median) = entrant.worker.answer(Request::Query { repetitions: QUERIES })? {
        entrant.queries_s.push(median);
    }
    Ok(())
}

/// Two processes at once, and two threads of one, in turns.
fn together(entrant: &mut Entrant, places: &Places, repetitions: &Repetitions) -> anyhow::Result<()> {
    let (mut second, _) = Worker::start(&entrant.worker.name, places)?;
    let shares = entrant.worker.name.starts_with("ours");
    for runs in &mut entrant.runs {
        let request = runs.request(1);
        second.pass(request)?;
        for _ in 0..repetitions.together {
            entrant.worker.ask(request)?;
            second.ask(request)?;
            let both = entrant.worker.passed()?.rate() + second.passed()?.rate();
            runs.processes = runs.processes.max(both);
            if shares {
                let both = entrant.worker.pass(runs.request(2))?.rate();
                runs.threads = Some(runs.threads.unwrap_or(0.0).max(both));
            }
        }
    }
    Ok(())
}

/// Fresh processes: the time to the first vector, and then the most memory with both profiles.
fn alone(entrant: &mut Entrant, places: &Places, repetitions: &Repetitions) -> anyhow::Result<()> {
    for repetition in 0..repetitions.alone {
        let (mut fresh, time) = Worker::start(&entrant.worker.name, places)?;
        entrant.cold_starts_s.push(time.as_secs_f64());
        if repetition == 0 {
            for runs in &entrant.runs {
                fresh.pass(runs.request(1))?;
            }
            if let Reply::Memory(bytes) = fresh.answer(Request::Memory)? {
                entrant.peak_bytes = bytes;
            }
        }
    }
    Ok(())
}

fn row(entrant: Entrant, report: &Report) -> Row {
    let Entrant { worker, cosines, runs, queries_s, cold_starts_s, peak_bytes, failed } = entrant;
    if let Some(why) = failed {
        return Row::missing(worker.name.clone(), &why);
    }
    let ceiling = report.ceiling_of(&worker.name);
    let speeds = runs.into_iter().map(|runs| {
        let rates = sorted(runs.passes.iter().map(Pass::rate).collect());
        let padding = runs.passes.first().map_or(0.0, Pass::padding);
        let best = rates.last().copied().unwrap_or(0.0);
        let gops = best * operations_per_token(runs.profile) / 1e9;
        Speed {
            profile: runs.profile,
            best,
            median: median(&rates),
            budget: runs.budget,
            padding,
            gops,
            of_ceiling: ceiling.map(|ceiling| gops / ceiling),
            two_processes: runs.processes,
            two_threads: runs.threads,
        }
    });
    let alone = Alone {
        cold_start_s: cold_starts_s.into_iter().fold(f64::INFINITY, f64::min),
        peak_bytes,
        query_s: median(&sorted(queries_s)),
    };
    Row {
        name: worker.name.clone(),
        missing: None,
        cosines: Some(cosines),
        speeds: speeds.collect(),
        alone: Some(alone),
    }
}

/// What the model needs for one token of a text of that length: its matrices, and attention to all other tokens.
fn operations_per_token(profile: Profile) -> f64 {
    21.23e6 + 9_216.0 * profile.lengths().0 as f64
}

fn mixed(arguments: &Arguments, fastest: Option<&str>, repetitions: &Repetitions) -> Vec<Mixed> {
    let ours = fastest.map(|name| format!("all of {name}"));
    let names = ours.into_iter().chain(LIBRARIES.map(str::to_owned));
    let mut libraries = Vec::new();
    let mut found = Vec::new();
    for name in names.filter(|name| wanted(arguments, name)) {
        eprintln!("mixed lengths: {name}");
        match enter_library(&name, &arguments.places) {
            Ok(entered) => libraries.push(entered),
            Err(why) => found.push(Mixed::missing(name, &format!("{why:#}"))),
        }
    }
    for _ in 0..repetitions.mixed {
        for (worker, mixed) in &mut libraries {
            match worker.pass(Request::Mixed { texts: MIXED_TEXTS }) {
                Ok(pass) => mixed.add(&pass),
                Err(why) => mixed.missing = Some(format!("{why:#}")),
            }
        }
    }
    libraries.into_iter().map(|(_, mixed)| mixed).chain(found).collect()
}

fn enter_library(name: &str, places: &Places) -> anyhow::Result<(Worker, Mixed)> {
    let (mut worker, _) = Worker::start_with(name, places, None)?;
    let Reply::Cosines(cosines) = worker.answer(Request::Cosines { budget: 0 })? else {
        anyhow::bail!("it gave no cosines");
    };
    Ok((worker, Mixed::new(name.to_owned(), cosines)))
}

/// Bytes of the model's weights.
pub(crate) fn weights_bytes(model: &Path) -> Option<u64> {
    Some(model.join("model.safetensors").metadata().ok()?.len())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
