//! `quipu verify`: ledger, store and files agree, or where they do not.

use std::fs;

use anyhow::Result;
use quipu_index::store::State;
use serde::Serialize;

use super::open_reader;
use crate::Ending;
use crate::args::Common;
use crate::render;

/// Disagreements that are named; the others are counted.
const NAMED_MAX: usize = 100;

/// Ledger entries that are held at once.
const PAGE: usize = 1_000;

/// What `quipu verify` says.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    /// Documents whose rows were looked at.
    pub documents: u64,
    /// Chunks whose rows were looked at.
    pub chunks: u64,
    /// Vectors that were looked at.
    pub vectors: u64,
    /// Disagreements inside the index, and what to do about each.
    pub discrepancies: Vec<Disagreement>,
    /// How many there are.
    pub discrepancies_total: u64,
    /// Indexed files that are no longer as the index has them: `quipu index` brings it up to date.
    pub changed_files: u64,
    /// Indexed files that are gone.
    pub missing_files: u64,
}

/// One disagreement.
#[derive(Debug, Serialize)]
pub(crate) struct Disagreement {
    /// What disagrees.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

/// Runs `quipu verify`.
pub(crate) fn run(common: &Common) -> Result<Ending> {
    let reader = open_reader(common)?;
    let mut verdict = Verdict::default();
    let mut named = Vec::new();
    let verified = reader.verify(&mut |discrepancy| {
        if named.len() < NAMED_MAX {
            named.push(Disagreement { what: discrepancy.what, advice: discrepancy.advice });
        }
    })?;
    (verdict.documents, verdict.chunks, verdict.vectors) =
        (verified.documents, verified.chunks, verified.vectors);
    (verdict.discrepancies, verdict.discrepancies_total) = (named, verified.discrepancies);
    let mut after: Option<String> = None;
    loop {
        let page = reader.ledger(Some(State::Indexed), after.as_deref(), PAGE)?;
        for entry in &page {
            match fs::metadata(&entry.path) {
                Err(_) => verdict.missing_files += 1,
                Ok(file) if file.len() != entry.size => verdict.changed_files += 1,
                Ok(_) => {}
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.path),
            None => break,
        }
    }
    if common.json {
        render::json(&verdict)?;
    } else {
        render::verdict(&verdict)?;
    }
    Ok(if verdict.discrepancies_total == 0 { Ending::Well } else { Ending::SomeFailed })
}
