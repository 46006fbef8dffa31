//! What was measured, as tables for people or as one JSON document.

use crate::arguments::{Arguments, Program};
use crate::machine::Machine;
use crate::measure::Figure;
use serde::Serialize;
use std::ffi::OsStr;
use std::process::Command;

/// Packages whose versions a figure depends on, as our lock file pins them.
const VERSIONS: [&str; 6] = ["quipu-flow", "tokio", "rayon", "crossbeam-channel", "pariter", "tokio-rayon"];

/// Everything of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    compiler: String,
    versions: Vec<String>,
    quick: bool,
    pub(crate) groups: Vec<Group>,
}

/// Rows with the same contenders.
#[derive(Serialize)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// What the figures mean.
    pub(crate) note: String,
    pub(crate) rows: Vec<Row>,
}

/// One measurement, side by side.
#[derive(Serialize)]
pub(crate) struct Row {
    name: String,
    unit: &'static str,
    better: Better,
    goal: Option<f64>,
    reached: Option<bool>,
    /// Ours first.
    figures: Vec<Figure>,
    /// How many times better ours is than each peer, in the figures' order from the second on.
    ratios: Vec<Option<f64>>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Less,
    More,
}

impl Row {
    pub(crate) fn new(
        name: String,
        unit: &'static str,
        better: Better,
        goal: Option<f64>,
        figures: Vec<Figure>,
    ) -> Self {
        let ours = figures.first().and_then(|figure| figure.median);
        let ratio = |peer: &Figure| match (ours?, peer.median?, better) {
            (ours, peer, Better::Less) => Some(peer / ours),
            (ours, peer, Better::More) => Some(ours / peer),
        };
        let ratios = figures.iter().skip(1).map(ratio).collect();
        let reached = ours.zip(goal).map(|(ours, goal)| match better {
            Better::Less => ours <= goal,
            Better::More => ours >= goal,
        });
        Self { name, unit, better, goal, reached, figures, ratios }
    }

    fn print(&self) {
        let sign = if self.better == Better::Less { "≤" } else { "≥" };
        let goal = match (self.goal, self.reached) {
            (Some(goal), Some(true)) => format!("goal {sign} {}: reached", number(goal)),
            (Some(goal), _) => format!("goal {sign} {}: missed", number(goal)),
            (None, _) => String::new(),
        };
        println!("  {} [{}]  {goal}", self.name, self.unit);
        let ratios = std::iter::once(None).chain(self.ratios.iter().copied());
        for (figure, ratio) in self.figures.iter().zip(ratios) {
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{}×", number(ratio)));
            match (figure.median, figure.low, figure.high) {
                (Some(median), Some(low), Some(high)) => {
                    let spread = format!("{} … {}", number(low), number(high));
                    println!("    {:<22}{:>10}{ratio:>10}   {spread}", figure.name, number(median));
                }
                _ => {
                    let why = figure.missing.as_deref().unwrap_or("not measured");
                    println!("    {:<22}{:>10}   {why}", figure.name, "–");
                }
            }
        }
    }
}

impl Report {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let compiler = said("rustc".as_ref()).unwrap_or_default();
        let lock = include_str!("../Cargo.lock");
        let mut versions: Vec<String> = VERSIONS.iter().filter_map(|name| version(lock, name)).collect();
        let program = |program: &Program| said(program.as_ref().ok()?.as_os_str());
        versions.extend([&arguments.onetbb, &arguments.dynamo].into_iter().filter_map(program));
        Self { machine: Machine::here(), compiler, versions, quick: arguments.quick, groups: Vec::new() }
    }

    pub(crate) fn print(&self) {
        println!("{}", self.machine);
        println!("{}; {}", self.compiler, self.versions.join(", "));
        println!("median, how many times better ours is (below 1: worse), lowest … highest");
        for group in &self.groups {
            println!("\n{}: {}", group.name, group.note);
            group.rows.iter().for_each(Row::print);
        }
    }

    pub(crate) fn print_json(&self) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }
}

/// What `program` says when it is asked for its version.
fn said(program: &OsStr) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// "name version" of a package in a lock file.
fn version(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    let (version, _) = rest.split_once('"')?;
    Some(format!("{name} {version}"))
}

/// Three significant digits, no more than the measurement has.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
