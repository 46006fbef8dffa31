//! `quipu status`: what is in the index, by state, and what failed and why.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use quipu_index::run::{FailureLine, FilesByState};
use quipu_index::store::{Reader, State};
use serde::Serialize;

use super::open_reader;
use crate::Ending;
use crate::args::Common;
use crate::render;

/// What `quipu status` says.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The index's folder.
    pub db: String,
    /// The model that its vectors come from.
    pub model: String,
    /// The vectors' length.
    pub dimensions: usize,
    /// Every path in exactly one state.
    pub files: FilesByState,
    /// Chunks in the index.
    pub chunks: u64,
    /// Chunks that have their vector.
    pub vectors: u64,
    /// Bytes that the index takes on disk.
    pub bytes: u64,
    /// The folders that `quipu index` refreshes.
    pub roots: Vec<String>,
    /// What failed and why.
    pub failures: Vec<FailureLine>,
    /// Why paths were left out, with how many were, most frequent first.
    pub skipped: Vec<(String, u64)>,
}

/// Ledger entries that are held at once.
const PAGE: usize = 1_000;

/// Runs `quipu status`.
pub(crate) fn run(common: &Common) -> Result<Ending> {
    let reader = open_reader(common)?;
    let counts = reader.counts()?;
    let configuration = reader.configuration()?;
    let status = Status {
        db: reader.folder().display().to_string(),
        model: configuration.model,
        dimensions: configuration.dimensions,
        files: counts.into(),
        chunks: counts.chunks,
        vectors: counts.vectors,
        bytes: bytes_below(reader.folder()),
        roots: reader.roots()?,
        failures: quipu_index::run::failures(&reader)?,
        skipped: reasons(&reader)?,
    };
    if common.json {
        render::json(&status)?;
    } else {
        render::status(&status)?;
    }
    Ok(if status.files.failed > 0 { Ending::SomeFailed } else { Ending::Well })
}

/// Bytes of the files in a folder of folders; an index has two levels.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, metadata)| if metadata.is_dir() { bytes_below(&path) } else { metadata.len() })
        .sum()
}

/// Why paths were left out and how many, most frequent first. Particulars (which pattern file, how large) are left out.
fn reasons(reader: &Reader) -> Result<Vec<(String, u64)>> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = reader.ledger(Some(State::Skipped), after.as_deref(), PAGE)?;
        for entry in &page {
            let reason = entry.message.as_deref().unwrap_or("no reason");
            let kind = reason.split(':').next().unwrap_or(reason).split(" by ").next().unwrap_or(reason);
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.path),
            None => break,
        }
    }
    let mut reasons: Vec<(String, u64)> = counts.into_iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(reasons)
}
