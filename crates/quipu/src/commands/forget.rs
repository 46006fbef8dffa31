//! `quipu forget`: files and folders out of the index.

use std::path::PathBuf;

use anyhow::Result;
use quipu_index::store::Store;
use serde::Serialize;

use super::as_ledger_writes;
use crate::Ending;
use crate::args::Common;
use crate::location::locate;
use crate::render;

/// What was forgotten.
#[derive(Debug, Serialize)]
struct Forgotten {
    path: String,
    paths_removed: u64,
    was_root: bool,
}

/// Runs `quipu forget`.
pub(crate) fn run(common: &Common, paths: &[PathBuf]) -> Result<Ending> {
    let mut store = Store::open(&locate(common)?.folder)?;
    let mut forgotten = Vec::with_capacity(paths.len());
    for path in paths {
        let path = as_ledger_writes(path)?;
        let paths_removed = store.forget_below(&path)?;
        let was_root = store.forget_root(&path)?;
        forgotten.push(Forgotten { path, paths_removed, was_root });
    }
    if common.json {
        render::json(&forgotten)?;
        return Ok(Ending::Well);
    }
    for Forgotten { path, paths_removed, was_root } in &forgotten {
        let root = if *was_root { "; it is no longer refreshed" } else { "" };
        render::lines(&[&format!("{path}: {} forgotten{root}", render::counted(*paths_removed, "path"))])?;
    }
    Ok(Ending::Well)
}
