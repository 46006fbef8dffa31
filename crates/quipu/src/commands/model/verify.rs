//! `quipu model verify`: whether a model is what it should be, and computes what it should.

use anyhow::Result;
use quipu_embed::Kernel;
use quipu_embed::model::{FileState, HashedFile, Settings};
use quipu_embed::verify::{Comparison, Verdict, verify};
use serde::Serialize;

use crate::Ending;
use crate::args::Common;
use crate::render;

/// A verdict, and whether it is a good one.
#[derive(Debug, Serialize)]
struct Answer {
    well: bool,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Runs `quipu model verify`.
pub(super) fn run(common: &Common, settings: &Settings, model: Option<&str>) -> Result<Ending> {
    let verdict = verify(settings, model, common.kernel.unwrap_or_else(Kernel::best))?;
    let well = verdict.is_well();
    if common.json {
        render::json(&Answer { well, verdict })?;
    } else {
        let lines = lines(&verdict);
        render::lines(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(if well { Ending::Well } else { Ending::SomeFailed })
}

fn lines(verdict: &Verdict) -> Vec<String> {
    let mut lines = vec![format!("{} in {}", verdict.model, verdict.folder.display())];
    let registered = if verdict.registered { "registered" } else { "not registered" };
    let licence = verdict.licence.as_deref().unwrap_or("licence unknown");
    let sizes = match (verdict.dimensions, verdict.tokens_max) {
        (Some(dimensions), Some(tokens)) => format!(", {dimensions} dimensions, {tokens} tokens"),
        _ => String::new(),
    };
    lines.push(format!("{registered}, {licence}{sizes}, kernel {}", verdict.kernel));
    if let Some(configuration) = &verdict.configuration {
        lines.push(format!("configuration {configuration}"));
    }
    lines.extend(verdict.files.iter().map(file_line));
    lines.extend(verdict.comparison.iter().map(comparison_line));
    lines.extend(verdict.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.extend(verdict.problems.iter().map(|problem| format!("problem: {problem}")));
    lines.push(if verdict.is_well() { "well" } else { "not well" }.to_owned());
    lines
}

fn file_line(file: &HashedFile) -> String {
    let state = match file.state {
        FileState::Right => "  as registered",
        FileState::Wrong => "  NOT as registered",
        FileState::Missing => return format!("  {}  cannot be read", file.path),
        FileState::Unregistered => "",
    };
    let bytes = render::bytes(file.bytes.unwrap_or(0));
    let hash = file.sha256.as_deref().unwrap_or("?");
    format!("  {}  {bytes}  sha256 {hash}{state}", file.path)
}

fn comparison_line(comparison: &Comparison) -> String {
    let Comparison { kernel, against, sentences, mean, least, bounds, .. } = comparison;
    format!(
        "{sentences} sentences with {kernel} beside {against}: cosine mean {mean:.6} (from {} on), least {least:.6} \
         (from {} on)",
        bounds.mean, bounds.least
    )
}
