//! Progress while a run goes: one living line on a terminal, a plain line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quipu_index::run::RunProgress;

use crate::render::{bytes, thousands};

/// How often a terminal's line changes.
const TERMINAL_PERIOD: Duration = Duration::from_millis(200);

/// How often a plain line is written.
const PLAIN_PERIOD: Duration = Duration::from_secs(5);

/// How a run's progress is shown.
pub(crate) enum Progress {
    /// A living line.
    Terminal(ProgressBar),
    /// Lines, for logs; the time of the last.
    Plain(Instant),
    /// Nothing, for programs.
    Quiet,
}

impl Progress {
    /// Progress as standard error can show it; none where `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {bar:24} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            Self::Terminal(bar)
        } else {
            Self::Plain(Instant::now())
        }
    }

    /// How often [`show`](Self::show) should be called.
    pub(crate) fn period(&self) -> Duration {
        match self {
            Self::Terminal(_) => TERMINAL_PERIOD,
            Self::Plain(_) | Self::Quiet => PLAIN_PERIOD,
        }
    }

    /// Shows how far the run has come.
    pub(crate) fn show(&mut self, progress: &RunProgress) {
        match self {
            Self::Terminal(bar) => {
                let counts = &progress.counts;
                bar.set_length(counts.shown);
                bar.set_position(counts.unchanged + counts.settled());
                bar.set_message(line(progress));
                bar.tick();
            }
            Self::Plain(last) if last.elapsed() >= PLAIN_PERIOD => {
                *last = Instant::now();
                eprintln!("{}", line(progress));
            }
            Self::Plain(_) | Self::Quiet => {}
        }
    }

    /// Says something between two looks.
    pub(crate) fn say(&mut self, what: &str) {
        match self {
            Self::Terminal(bar) => bar.println(what),
            Self::Plain(_) | Self::Quiet => eprintln!("{what}"),
        }
    }

    /// Clears the living line.
    pub(crate) fn finish(&mut self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(progress: &RunProgress) -> String {
    let counts = &progress.counts;
    let seconds = progress.elapsed.as_secs_f64().max(f64::EPSILON);
    let tokens_per_second = (counts.tokens as f64 / seconds) as u64;
    format!(
        "{} of {} files, {}, {} chunks, {} tokens/s, bound by {}",
        thousands(counts.unchanged + counts.settled()),
        thousands(counts.shown),
        bytes(counts.bytes_read),
        thousands(counts.chunks),
        thousands(tokens_per_second),
        progress.bound_by,
    )
}
