//! What a run counts while it goes, and what it says at its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::embedding::Yardstick;
use crate::store::Counts;

/// Failures that a report names one by one; it counts the others.
pub const FAILURES_NAMED_MAX: usize = 100;

/// Counters that stages raise as they work; read at any time.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) shown: AtomicU64,
    pub(crate) unchanged: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) copied: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) embedded: AtomicU64,
    pub(crate) tokens: AtomicU64,
    /// Tokens that the model on this machine worked on, those of tries that failed included; the sum of the squares of
    /// their sequences' lengths; and nanoseconds that this took, added up over
    /// cores.
    pub(crate) computed_tokens: AtomicU64,
    pub(crate) computed_squares: AtomicU64,
    pub(crate) computed_ns: AtomicU64,
    pub(crate) indexed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) refreshed: AtomicU64,
    pub(crate) vanished: AtomicU64,
}

impl Tally {
    pub(crate) fn counts(&self) -> RunCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RunCounts {
            shown: read(&self.shown),
            unchanged: read(&self.unchanged),
            indexed: read(&self.indexed),
            copied: read(&self.copied),
            failed: read(&self.failed),
            skipped: read(&self.skipped),
            refreshed: read(&self.refreshed),
            vanished: read(&self.vanished),
            removed: 0,
            bytes_read: read(&self.bytes_read),
            chunks: read(&self.chunks),
            embedded: read(&self.embedded),
            tokens: read(&self.tokens),
        }
    }
}

/// What one run did, so far or in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// Paths that the walk showed.
    pub shown: u64,
    /// Of these, unchanged since an earlier run: looked at, not opened.
    pub unchanged: u64,
    /// Files whose rows were written.
    pub indexed: u64,
    /// Of these, with the same content as a file that was in the index: not extracted or embedded again.
    pub copied: u64,
    /// Files that failed.
    pub failed: u64,
    /// Files and folders newly left out.
    pub skipped: u64,
    /// Files whose stat had changed but not their content.
    pub refreshed: u64,
    /// Files that went away between the walk and the reading.
    pub vanished: u64,
    /// Paths that were gone and left the index.
    pub removed: u64,
    /// Bytes read from files.
    pub bytes_read: u64,
    /// Chunks cut.
    pub chunks: u64,
    /// Of these, taken through the model; the others' vectors were known.
    pub embedded: u64,
    /// Tokens taken through the model.
    pub tokens: u64,
}

impl RunCounts {
    /// Files that were due and have been dealt with.
    pub fn settled(&self) -> u64 {
        self.indexed + self.failed + self.skipped + self.refreshed + self.vanished
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunEnded {
    /// Everything due was dealt with.
    Done,
    /// Asked to stop: what was under way was finished, the rest waits for the next run.
    Drained,
    /// Told to stop at once: what was under way waits for the next run.
    Cancelled,
}

/// A file that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureLine {
    /// The file.
    pub path: String,
    /// What sort of failure: `timeout`, `parse`, …
    pub kind: String,
    /// The reason.
    pub message: String,
    /// How often it has been tried.
    pub attempts: u32,
}

/// One stage of the pipeline, over a whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageLine {
    /// The stage.
    pub name: String,
    /// Items that entered it.
    pub entered: u64,
    /// Seconds that items waited for it, added up.
    pub waiting_seconds: f64,
    /// Seconds that it worked, added up over cores and tasks.
    pub working_seconds: f64,
}

/// What `quipu index` reports at its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// How it ended.
    pub ended: RunEnded,
    /// What this run did.
    pub run: RunCounts,
    /// Every path in the index by state, after the run.
    pub files: FilesByState,
    /// Chunks in the index.
    pub chunks: u64,
    /// Files that failed, in this run or before, and still do; at most [`FAILURES_NAMED_MAX`].
    pub failures: Vec<FailureLine>,
    /// What else a person should know: roots that are missing or have become empty.
    pub problems: Vec<String>,
    /// Wall time.
    pub seconds: f64,
    /// Files written per second.
    pub files_per_second: f64,
    /// Tokens through the model per second of wall time.
    pub tokens_per_second: f64,
    /// How well the model's time was used; nothing where a server embeds.
    pub embedding: EmbeddingFigures,
    /// Most memory that this process and its workers took together: proportional set size; 0 where the
    /// system does not tell (it does on Linux).
    pub peak_memory_bytes: u64,
    /// The most that documents under way were charged, and the budget they were held to.
    pub budget_peak_bytes: u64,
    /// See `budget_peak_bytes`.
    pub budget_bytes: u64,
    /// What bounded the run for most of its time.
    pub bound_by: String,
    /// Time per stage.
    pub stages: Vec<StageLine>,
}

/// How well the time of the model on this machine was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct EmbeddingFigures {
    /// Seconds that cores spent in the model, added up: CPU time, so that others who want the cores do not count (wall
    /// time where the system does not tell, and for a device).
    pub core_seconds: f64,
    /// Tokens per such second.
    pub tokens_per_core_second: f64,
    /// Of the tokens that the model worked on, the share that ended in no vector: padding would, and tries that failed
    /// do.
    pub padding: f64,
    /// Billions of additions and multiplications per such second, and what one core does at most with the instructions
    /// that the products are made of; `None` where either is not known.
    pub gops_per_core_second: Option<f64>,
    /// See `gops_per_core_second`.
    pub gops_at_peak: Option<f64>,
    /// The one divided by the other.
    pub share_of_peak: Option<f64>,
}

impl EmbeddingFigures {
    pub(crate) fn new(tally: &Tally, yardstick: Option<Yardstick>) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (computed, squares) = (read(&tally.computed_tokens), read(&tally.computed_squares));
        let seconds = read(&tally.computed_ns) as f64 / 1e9;
        if computed == 0 || seconds == 0.0 {
            return Self::default();
        }
        let gops = yardstick.map(|yardstick| yardstick.work.operations(computed, squares) / seconds / 1e9);
        let peak = yardstick.and_then(|yardstick| yardstick.kernel.ceiling());
        Self {
            core_seconds: seconds,
            tokens_per_core_second: computed as f64 / seconds,
            padding: 1.0 - read(&tally.tokens).min(computed) as f64 / computed as f64,
            gops_per_core_second: gops,
            gops_at_peak: peak,
            share_of_peak: gops.zip(peak).map(|(gops, peak)| gops / peak),
        }
    }
}

/// Every path in exactly one state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FilesByState {
    /// Found by the next query.
    pub indexed: u64,
    /// See `failures`.
    pub failed: u64,
    /// Left out on purpose.
    pub skipped: u64,
    /// Waiting for a run.
    pub pending: u64,
}

impl From<Counts> for FilesByState {
    fn from(counts: Counts) -> Self {
        Self {
            indexed: counts.indexed,
            failed: counts.failed,
            skipped: counts.skipped,
            pending: counts.pending,
        }
    }
}

impl RunReport {
    /// Whether everything is well: nothing failed, nothing is missing.
    pub fn is_well(&self) -> bool {
        self.files.failed == 0 && self.problems.is_empty()
    }
}

/// `count` per second, 0 for no time at all.
pub(crate) fn per_second(count: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
