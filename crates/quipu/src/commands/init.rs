//! `quipu init`: an index of its own for a folder, found from everywhere below it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::Ending;
use crate::args::Common;
use crate::location::FOLDER_NAME;
use crate::render;

/// Keeps the index out of the folder's own version control.
const IGNORE_ALL: &str = "*\n";

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    db: String,
    existed: bool,
}

/// Runs `quipu init`.
pub(crate) fn run(common: &Common, folder: &Path) -> Result<Ending> {
    let folder = folder.canonicalize().with_context(|| format!("there is no folder {}", folder.display()))?;
    let index = folder.join(FOLDER_NAME);
    let existed = index.is_dir();
    if !existed {
        fs::create_dir(&index).with_context(|| format!("making {}", index.display()))?;
        fs::write(index.join(".gitignore"), IGNORE_ALL)
            .with_context(|| format!("writing in {}", index.display()))?;
    }
    let made = Made { db: index.display().to_string(), existed };
    if common.json {
        render::json(&made)?;
    } else if existed {
        render::lines(&[&format!("{} is there already", made.db)])?;
    } else {
        render::lines(&[&format!("made {}; fill it with `quipu index {}`", made.db, folder.display())])?;
    }
    Ok(Ending::Well)
}
