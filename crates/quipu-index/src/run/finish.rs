//! The end of a run: what is gone leaves the index, and the report is drawn up.

use std::time::Duration;

use quipu_flow::{Ended, Report};

use super::RunOptions;
use super::embedding::Yardstick;
use super::report::{
    EmbeddingFigures, FAILURES_NAMED_MAX, FailureLine, RunCounts, RunEnded, RunReport, StageLine, Tally,
    per_second,
};
use super::roots::Doubt;
use super::sampler::Seen;
use super::scout::Scouted;
use crate::store::{FileRecord, LedgerEntry, Outcome, Reader, SeenSet, Store, StoreError};

/// Roots whose trouble a report names.
const PROBLEMS_NAMED_MAX: usize = 20;

/// Paths that the end of a stopped run looks up at once.
const PATHS_AT_ONCE: usize = 1_000;

/// Why a path waits that a stopped run had seen and not dealt with.
const NOT_REACHED: &str = "not reached before the run was stopped";

/// What left the index at the end of a run, and what is to be said about roots.
pub(crate) struct Gone {
    ended: RunEnded,
    removed: u64,
    problems: Vec<String>,
}

/// Removes paths that a complete walk did not show; below roots that are missing or have become empty only where
/// `prune` asks for it, because an unmounted disk looks just so. After a stopped run, removes nothing and notes
/// what it had seen and not dealt with.
pub(crate) fn settle(
    store: &mut Store,
    reader: &Reader,
    scouted: &Scouted,
    options: &RunOptions,
    flow: &Report,
) -> Result<Gone, StoreError> {
    // Not the births of the whole flow: parts of documents are among those.
    let taken = flow.stages.first().map_or(0, |walk| walk.left);
    let ended = match flow.ended {
        Ended::Cancelled => RunEnded::Cancelled,
        // What the scout had sent but no stage had taken waits for the next run.
        _ if !scouted.complete || taken < scouted.sent => RunEnded::Drained,
        _ => RunEnded::Done,
    };
    let mut gone = Gone { ended, removed: 0, problems: Vec::new() };
    if ended != RunEnded::Done {
        note_waiting(store, reader, &scouted.seen)?;
        return Ok(gone);
    }
    let mut sweep: Vec<&str> = scouted.walked.iter().map(String::as_str).collect();
    let mut spared: Vec<&str> = scouted.unreadable.iter().map(String::as_str).collect();
    for (root, doubt) in &scouted.doubtful {
        if options.prune && doubt.may_be_pruned() {
            sweep.push(root);
        } else {
            spared.push(root);
            gone.report_doubt(reader, root, doubt, options.all_roots)?;
        }
    }
    if scouted.lost_count() {
        gone.problem(
            "too much could not be read to tell which files are gone; nothing was removed".to_owned(),
        );
        return Ok(gone);
    }
    gone.removed = store.sweep(&scouted.seen, &sweep, &spared)?;
    for (root, _) in scouted.doubtful.iter().filter(|(_, doubt)| options.prune && *doubt == Doubt::Missing) {
        store.forget_root(root)?;
    }
    Ok(gone)
}

/// Notes what a run that an error stopped had seen and not dealt with, so that each path is in a state.
pub(crate) fn leave(store: &mut Store, reader: &Reader, scouted: Option<&Scouted>) -> Result<(), StoreError> {
    scouted.map_or(Ok(()), |scouted| note_waiting(store, reader, &scouted.seen))
}

/// Gives each path that a stopped run saw and that the ledger does not know the state `pending`.
fn note_waiting(store: &mut Store, reader: &Reader, seen: &SeenSet) -> Result<(), StoreError> {
    let mut after: Option<String> = None;
    loop {
        let page = seen.page(after.as_deref(), PATHS_AT_ONCE)?;
        let Some(last) = page.last().cloned() else { return Ok(()) };
        let paths: Vec<&str> = page.iter().map(String::as_str).collect();
        let known = reader.entries(&paths)?;
        let unknown = paths.iter().zip(known).filter(|(_, entry)| entry.is_none());
        let records: Vec<FileRecord> = unknown
            .map(|(path, _)| FileRecord {
                path: (*path).to_owned(),
                size: 0,
                modified_ns: 0,
                content_hash: None,
                outcome: Outcome::Pending(NOT_REACHED.to_owned()),
            })
            .collect();
        if !records.is_empty() {
            store.write(&records)?;
        }
        after = Some(last);
    }
}

impl Gone {
    /// Says that a root shows nothing; no matter where nothing of an empty one was ever indexed.
    fn report_doubt(
        &mut self,
        reader: &Reader,
        root: &str,
        doubt: &Doubt,
        always: bool,
    ) -> Result<(), StoreError> {
        let below = format!("{}/", root.trim_end_matches('/'));
        let first = reader.ledger(None, Some(&below), 1)?;
        let known = first.iter().any(|entry| entry.path.starts_with(&below));
        if always || known || *doubt != Doubt::Empty {
            let fix =
                if doubt.may_be_pruned() { " (`quipu index --prune` does, or `quipu forget`)" } else { "" };
            self.problem(format!("{root}: {}; nothing below it was removed{fix}", doubt.reason()));
        }
        Ok(())
    }

    fn problem(&mut self, line: String) {
        match self.problems.len() {
            0..PROBLEMS_NAMED_MAX => self.problems.push(line),
            PROBLEMS_NAMED_MAX => self.problems.push("and more like these".to_owned()),
            _ => {}
        }
    }
}

/// Sums up a run whose work is done.
pub(crate) fn report(
    reader: &Reader,
    tally: &Tally,
    gone: Gone,
    elapsed: Duration,
    flow: &Report,
    (seen, yardstick): (&Seen, Option<Yardstick>),
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
        embedding: EmbeddingFigures::new(tally, yardstick),
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
