//! The end of a run: what is gone leaves the index, and the report is drawn up.

use std::time::Duration;

use quipu_flow::{Ended, Report};

use super::report::{
    FAILURES_NAMED_MAX, FailureLine, RunCounts, RunEnded, RunReport, StageLine, Tally, per_second,
};
use super::sampler::Seen;
use super::scout::Scouted;
use crate::store::{LedgerEntry, Reader, Store, StoreError};

/// Roots whose trouble a report names.
const PROBLEMS_NAMED_MAX: usize = 20;

/// What left the index at the end of a run, and what is to be said about roots.
pub(crate) struct Gone {
    ended: RunEnded,
    removed: u64,
    problems: Vec<String>,
}

/// Removes paths that a complete walk did not show; below roots that are missing or have become empty only where
/// `prune` asks for it, because an unmounted disk looks just so.
pub(crate) fn remove_what_is_gone(
    store: &mut Store,
    reader: &Reader,
    scouted: &Scouted,
    prune: bool,
    flow: &Report,
) -> Result<Gone, StoreError> {
    let ended = match flow.ended {
        Ended::Cancelled => RunEnded::Cancelled,
        // What the scout had sent but no stage had taken waits for the next run.
        _ if !scouted.complete || flow.births < scouted.sent => RunEnded::Drained,
        _ => RunEnded::Done,
    };
    let mut gone = Gone { ended, removed: 0, problems: Vec::new() };
    for (root, why) in &scouted.missing {
        gone.root_in_doubt(store, reader, root, why, prune)?;
    }
    for root in &scouted.empty {
        gone.root_in_doubt(store, reader, root, "it has become empty", prune)?;
    }
    if ended == RunEnded::Done && scouted.may_remove() {
        let roots: Vec<&str> = scouted.walked.iter().map(String::as_str).collect();
        let unreadable: Vec<&str> = scouted.unreadable.iter().map(String::as_str).collect();
        gone.removed += store.sweep(&scouted.seen, &roots, &unreadable)?;
    }
    Ok(gone)
}

impl Gone {
    /// A root that shows nothing: no matter where nothing of it was ever indexed, else pruned or reported.
    fn root_in_doubt(
        &mut self,
        store: &mut Store,
        reader: &Reader,
        root: &str,
        why: &str,
        prune: bool,
    ) -> Result<(), StoreError> {
        let below = format!("{}/", root.trim_end_matches('/'));
        let first = reader.ledger(None, Some(&below), 1)?;
        let known = reader.entry(root)?.is_some() || first.iter().any(|entry| entry.path.starts_with(&below));
        if prune {
            self.removed += store.forget_below(root)?;
        } else if known || why != "it has become empty" {
            let line = format!(
                "{root}: {why}; nothing below it was removed (`quipu index --prune` does, or `quipu forget`)"
            );
            if self.problems.len() < PROBLEMS_NAMED_MAX {
                self.problems.push(line);
            }
        }
        Ok(())
    }
}

/// Sums up a run whose work is done.
pub(crate) fn report(
    reader: &Reader,
    tally: &Tally,
    gone: Gone,
    elapsed: Duration,
    flow: &Report,
    seen: &Seen,
) -> Result<RunReport, StoreError> {
    let counts = RunCounts { removed: gone.removed, ..tally.counts() };
    let stored = reader.counts()?;
    Ok(RunReport {
        ended: gone.ended,
        run: counts,
        files: stored.into(),
        chunks: stored.chunks,
        failures: failures(reader)?,
        problems: gone.problems,
        seconds: elapsed.as_secs_f64(),
        files_per_second: per_second(counts.settled(), elapsed),
        tokens_per_second: per_second(counts.tokens, elapsed),
        peak_memory_bytes: seen.peak_memory_bytes,
        budget_peak_bytes: flow.bytes_peak,
        budget_bytes: flow.bytes_budget,
        bound_by: seen.bound_by(),
        stages: flow
            .stages
            .iter()
            .map(|stage| StageLine {
                name: stage.name.clone(),
                entered: stage.entered,
                waiting_seconds: stage.waiting.as_secs_f64(),
                working_seconds: stage.busy.as_secs_f64(),
            })
            .collect(),
    })
}

/// The failures that the ledger holds, at most [`FAILURES_NAMED_MAX`] of them.
///
/// # Errors
/// Where the store cannot be read.
pub fn failures(reader: &Reader) -> Result<Vec<FailureLine>, StoreError> {
    Ok(reader.failures(FAILURES_NAMED_MAX)?.into_iter().map(FailureLine::from).collect())
}

impl From<LedgerEntry> for FailureLine {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            path: entry.path,
            kind: entry.kind.map_or_else(String::new, |kind| kind.name().to_owned()),
            message: entry.message.unwrap_or_default(),
            attempts: entry.attempts,
        }
    }
}
