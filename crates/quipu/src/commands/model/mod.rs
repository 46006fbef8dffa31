//! `quipu model`: which models there are, where they lie, how they got there, and whether they are well and how fast.

mod bench;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use quipu_embed::model::{self as models, ListedFile};
use serde::Serialize;

use crate::Ending;
use crate::args::{Common, ModelCommand};
use crate::render;

/// A model and where it is.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    dimensions: usize,
    tokens_max: usize,
    bytes: u64,
    licence: String,
    files: Vec<ListedFile>,
    folder: Option<PathBuf>,
}

/// Runs `quipu model …`.
pub(crate) fn run(common: &Common, command: &ModelCommand) -> Result<Ending> {
    let settings = models::Settings::from_environment();
    match command {
        ModelCommand::List => list(common, &settings)?,
        ModelCommand::Fetch { name } => {
            let located = models::fetch(&settings, name)?;
            if common.json {
                render::json(&serde_json::json!({ "folder": located.folder, "note": located.note }))?;
            } else {
                render::lines(&[&located.note])?;
            }
        }
        ModelCommand::Verify { wanted } => {
            return verify::run(common, &settings, wanted.as_deref().or(common.model.as_deref()));
        }
        ModelCommand::Bench { wanted } => {
            return bench::run(common, &settings, wanted.as_deref().or(common.model.as_deref()));
        }
        ModelCommand::Path => {
            let name = common.model.as_deref().unwrap_or(models::DEFAULT);
            let folder = models::path(&settings, name)?;
            if common.json {
                render::json(&serde_json::json!({ "folder": folder, "exists": folder.is_dir() }))?;
            } else {
                render::lines(&[&folder.display().to_string()])?;
            }
        }
    }
    Ok(Ending::Well)
}

fn list(common: &Common, settings: &models::Settings) -> Result<()> {
    let lines: Vec<Line> = models::list(settings)
        .into_iter()
        .map(|model| Line {
            name: model.name.to_owned(),
            dimensions: model.dimensions,
            tokens_max: model.tokens_max,
            bytes: model.bytes,
            licence: model.licence.to_owned(),
            files: model.files,
            folder: model.folder,
        })
        .collect();
    if common.json {
        return render::json(&lines);
    }
    for Line { name, dimensions, tokens_max, bytes, licence, files, folder } in &lines {
        let place = match folder {
            Some(folder) => folder.display().to_string(),
            None => format!("not here yet: quipu model fetch {name}"),
        };
        let size = render::bytes(*bytes);
        render::lines(&[&format!(
            "{name}  {dimensions} dimensions, {tokens_max} tokens, {size}, {licence}  {place}"
        )])?;
        for file in files {
            render::lines(&[&format!("  {}  sha256 {}", file.path, file.sha256)])?;
        }
    }
    Ok(())
}
