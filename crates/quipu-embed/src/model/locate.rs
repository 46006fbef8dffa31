//! From what the user said to a folder: `--model` as a path or a name, else the default model; from the cache, else
//! fetched.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Settings;
use super::fetch::fetch;
use super::hashes::hexadecimal;
use super::registry::{DEFAULT, KNOWN, Known, PinnedFile, known, unknown};
use crate::EmbedError;

/// A model's folder, and how it got there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Located {
    /// The model's name.
    pub name: String,
    /// The folder to load.
    pub folder: PathBuf,
    /// What happened, as one printable line.
    pub note: String,
}

/// A known model, and whether it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The model's name.
    pub name: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Tokens in the longest sequence.
    pub tokens_max: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// What its files hash to.
    pub files: Vec<ListedFile>,
    /// Its folder, if it is in the cache.
    pub folder: Option<PathBuf>,
}

/// A file of a known model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ListedFile {
    /// Its path in the model's folder.
    pub path: &'static str,
    /// Its length.
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// Finds the model that the user asked for, and fetches it if it is known and not yet here.
///
/// `model` is a known name, or a folder; `None` means [`DEFAULT`].
///
/// # Errors
/// [`EmbedError::UnknownModel`], or as [`fetch()`].
pub fn locate(settings: &Settings, model: Option<&str>) -> Result<Located, EmbedError> {
    let wanted = model.unwrap_or(DEFAULT);
    if let Some(known) = known(wanted) {
        let folder = settings.cache.join(known.name);
        if is_complete(known, &folder) {
            let note = format!("model {} from {}", known.name, folder.display());
            return Ok(Located { name: known.name.into(), folder, note });
        }
        return fetch(settings, known.name);
    }
    let folder = Path::new(wanted);
    if !folder.is_dir() {
        return Err(unknown(wanted));
    }
    let name = folder.file_name().map_or_else(|| wanted.into(), |name| name.to_string_lossy().into_owned());
    Ok(Located {
        note: format!("model {name} from {} (given)", folder.display()),
        name,
        folder: folder.into(),
    })
}

/// Where a known model is, or would be once fetched. Never touches the network.
///
/// # Errors
/// [`EmbedError::UnknownModel`].
pub fn path(settings: &Settings, name: &str) -> Result<PathBuf, EmbedError> {
    known(name).map(|known| settings.cache.join(known.name)).ok_or_else(|| unknown(name))
}

/// All known models. Never touches the network.
pub fn list(settings: &Settings) -> Vec<Listed> {
    let listed = |known: &Known| {
        let folder = settings.cache.join(known.name);
        Listed {
            name: known.name,
            licence: known.licence,
            dimensions: known.dimensions,
            tokens_max: known.tokens_max,
            bytes: known.files.iter().map(|file| file.bytes).sum(),
            files: known.files.iter().map(listed_file).collect(),
            folder: is_complete(known, &folder).then_some(folder),
        }
    };
    KNOWN.iter().map(listed).collect()
}

fn listed_file(file: &PinnedFile) -> ListedFile {
    ListedFile { path: file.path, bytes: file.bytes, sha256: hexadecimal(&file.sha256) }
}

/// Whether all files are there with the right sizes. Their hashes were checked before the folder got its name; reading
/// 90 MB again at each start would cost more than a search.
pub(super) fn is_complete(known: &Known, folder: &Path) -> bool {
    let size = |path| std::fs::metadata(folder.join(path)).map(|metadata| metadata.len()).ok();
    known.files.iter().all(|file| size(file.path) == Some(file.bytes))
}
