//! `quipu explain`: the pipeline that `index` runs.

use anyhow::Result;
use quipu_index::run::{Way, explain, memory};
use serde::Serialize;

use super::endpoint_settings;
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
    let way = endpoint_settings(common).map_or(Way::Cores, |settings| Way::by_endpoint(&settings, 0));
    let plan = explain(memory::default_bytes(), way);
    let explained = Explained { text: plan.to_string(), mermaid: plan.mermaid() };
    if common.json {
        render::json(&explained)?;
    } else {
        render::lines(&[explained.text.trim_end(), "", "```mermaid", explained.mermaid.trim_end(), "```"])?;
    }
    Ok(Ending::Well)
}
