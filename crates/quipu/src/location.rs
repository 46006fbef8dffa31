//! Which index a command means: `--db`, else `QUIPU_DB`, else the nearest `.quipu` upward, else the user's own.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::args::Common;

/// The folder that marks a place with an index of its own, as `.git` marks a repository.
pub(crate) const FOLDER_NAME: &str = ".quipu";

/// Where an index is, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// The index's folder; it need not exist yet.
    pub folder: PathBuf,
    /// Whether it was asked for, found, or is the user's own.
    pub why: Why,
}

/// Why a folder is the index that a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// `--db` or `QUIPU_DB` names it.
    Named,
    /// It lies here or above.
    Nearest,
    /// Nothing else was said: the user's own index.
    Own,
}

/// The index that `common` means, seen from the current folder.
///
/// # Errors
/// Where the current folder or the user's data folder cannot be told.
pub(crate) fn locate(common: &Common) -> Result<Location> {
    let here = env::current_dir().context("the current folder cannot be told")?;
    locate_from(&here, common.db.as_deref())
}

fn locate_from(here: &Path, named: Option<&Path>) -> Result<Location> {
    if let Some(folder) = named {
        return Ok(Location { folder: here.join(folder), why: Why::Named });
    }
    let nearest = here.ancestors().map(|folder| folder.join(FOLDER_NAME)).find(|folder| folder.is_dir());
    if let Some(folder) = nearest {
        return Ok(Location { folder, why: Why::Nearest });
    }
    let data =
        dirs::data_dir().context("no data folder for this user is known; name one with --db FOLDER")?;
    Ok(Location { folder: data.join("quipu").join("index"), why: Why::Own })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_upward_is_found_and_a_named_one_wins() {
        let top = tempfile::tempdir().expect("a temporary folder");
        let deep = top.path().join("a/b");
        std::fs::create_dir_all(&deep).expect("folders");
        std::fs::create_dir(top.path().join(FOLDER_NAME)).expect("an index folder");
        let found = locate_from(&deep, None).expect("a location");
        assert_eq!(found, Location { folder: top.path().join(FOLDER_NAME), why: Why::Nearest });
        let named = locate_from(&deep, Some(Path::new("mine"))).expect("a location");
        assert_eq!(named, Location { folder: deep.join("mine"), why: Why::Named });
    }
}
