//! `quipu explain`: the pipeline that `index` runs.

use anyhow::Result;
use quipu_index::run::{explain, memory};
use serde::Serialize;

use crate::Ending;
use crate::args::Common;
use crate::render;

/// The pipeline, twice.
#[derive(Debug, Serialize)]
struct Explained {
    text: String,
    mermaid: String,
}

/// Runs `quipu explain`.
pub(crate) fn run(common: &Common) -> Result<Ending> {
    let plan = explain(memory::default_bytes());
    let explained = Explained { text: plan.to_string(), mermaid: plan.mermaid() };
    if common.json {
        render::json(&explained)?;
    } else {
        render::lines(&[explained.text.trim_end(), "", "```mermaid", explained.mermaid.trim_end(), "```"])?;
    }
    Ok(Ending::Well)
}
