//! Which roots a run walks, and what can be in doubt about one.

use std::io;
use std::path::{Path, PathBuf};

use crate::IndexError;
use crate::store::{Reader, Store};

/// Why a root's walk says nothing about which of its files are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// There is nothing at its path: deleted, renamed, or on a disk that is not mounted.
    Missing,
    /// It is a folder without any entry: an unmounted disk looks so too.
    Empty,
    /// It cannot be read; why.
    Unreadable(String),
}

impl Doubt {
    /// Whether `--prune` may take the root's silence for the truth.
    pub(crate) fn may_be_pruned(&self) -> bool {
        !matches!(self, Self::Unreadable(_))
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Missing => "it is not there",
            Self::Empty => "it has become empty",
            Self::Unreadable(why) => why,
        }
    }
}

/// `paths` as an index writes its roots: absolute, links resolved, each once.
///
/// # Errors
/// [`IndexError::Root`] for a path that is not there or whose name is not UTF-8.
pub fn resolve(paths: &[PathBuf]) -> Result<Vec<PathBuf>, IndexError> {
    let mut roots = Vec::with_capacity(paths.len());
    for path in paths {
        let wrong = |source| IndexError::Root { path: path.clone(), source };
        let root = path.canonicalize().map_err(wrong)?;
        if root.to_str().is_none() {
            return Err(wrong(io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8")));
        }
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// Remembers `asked` and says what to walk: those and the remembered roots below them; all that are remembered
/// where nothing was asked for, or where `all` are to be walked.
pub(crate) fn choose(
    store: &mut Store,
    reader: &Reader,
    asked: &[PathBuf],
    all: bool,
) -> Result<Vec<PathBuf>, IndexError> {
    let mut roots = resolve(asked)?;
    for root in &roots {
        store.remember_root(&text(root))?;
    }
    let everything = all || asked.is_empty();
    for remembered in reader.roots()?.into_iter().map(PathBuf::from) {
        let below = roots.iter().any(|root| remembered.starts_with(root));
        if (everything || below) && !roots.contains(&remembered) {
            roots.push(remembered);
        }
    }
    if roots.is_empty() { Err(IndexError::NoRoots) } else { Ok(roots) }
}

/// What tells a folder from another that later stands at its path, where the system says.
#[cfg(unix)]
pub(crate) fn identity(root: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(root).map(|root| (root.dev(), root.ino()))
}

/// What tells a folder from another that later stands at its path, where the system says.
#[cfg(not(unix))]
pub(crate) fn identity(root: &Path) -> io::Result<(u64, u64)> {
    std::fs::metadata(root).map(|_| (0, 0))
}

pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
