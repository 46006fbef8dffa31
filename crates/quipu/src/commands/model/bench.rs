//! `quipu model bench`: how fast each kernel of this machine is.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;
use quipu_embed::Kernel;
use quipu_embed::measure::{Speed, speed};
use quipu_embed::model::{Settings, locate};
use serde::Serialize;

use crate::Ending;
use crate::args::Common;
use crate::render::{self, thousands};

/// How often a terminal's line changes.
const TICK: Duration = Duration::from_millis(200);

/// All that was measured.
#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    folder: PathBuf,
    kernels: Vec<KernelSpeed>,
}

/// One kernel.
#[derive(Debug, Serialize)]
struct KernelSpeed {
    /// Whether it is the one that `index` and `search` take.
    in_use: bool,
    #[serde(flatten)]
    speed: Speed,
}

/// Runs `quipu model bench`.
pub(super) fn run(common: &Common, settings: &Settings, model: Option<&str>) -> Result<Ending> {
    let located = locate(settings, model)?;
    let in_use = common.kernel.unwrap_or_else(Kernel::best);
    // Nothing where standard error is no terminal.
    let bar = if common.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.enable_steady_tick(TICK);
    let available = Kernel::available();
    let count = available.len();
    let mut kernels = Vec::with_capacity(count);
    for (number, kernel) in (1..).zip(available) {
        bar.set_message(format!("{} ({number} of {count})", kernel.name()));
        let speed = speed(&located.folder, kernel)?;
        kernels.push(KernelSpeed { in_use: kernel == in_use, speed });
    }
    bar.finish_and_clear();
    let measured = Measured { model: located.name, folder: located.folder, kernels };
    if common.json {
        render::json(&measured)?;
    } else {
        let lines = lines(&measured);
        render::lines(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(Ending::Well)
}

fn lines(measured: &Measured) -> Vec<String> {
    let mut lines = vec![format!("{} in {}", measured.model, measured.folder.display())];
    lines.push(
        "tokens per second, texts of about so many tokens × threads; the kernel in use has a *".to_owned(),
    );
    let rates = measured.kernels.first().map(|first| &first.speed.rates[..]).unwrap_or_default();
    let columns: String =
        rates.iter().map(|rate| format!("{:>12}", format!("{} × {}", rate.tokens, rate.threads))).collect();
    lines.push(format!("  {:<16}{columns}{:>12}{:>12}", "kernel", "load", "question"));
    for KernelSpeed { in_use, speed } in &measured.kernels {
        let mark = if *in_use { '*' } else { ' ' };
        let rates: String = speed
            .rates
            .iter()
            .map(|rate| format!("{:>12}", thousands(rate.tokens_per_second as u64)))
            .collect();
        let (load, query) = (format!("{:.0} ms", speed.load_ms), format!("{:.2} ms", speed.query_ms));
        lines.push(format!("{mark} {:<16}{rates}{load:>12}{query:>12}", speed.kernel));
    }
    lines
}
