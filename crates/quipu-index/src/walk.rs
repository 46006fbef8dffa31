//! The files below a root, in a fixed order, each with what a run needs to know before it opens any.
//!
//! A walk shows every path once: as a file to look at, as something skipped and why, or as something that
//! could not be read. It honours `.gitignore`, `.ignore` and `.quipuignore` as git does (the deepest file
//! that says anything decides), enters no hidden folder, follows no symbolic link below a root, and holds
//! the names of the folders that lie on the way to where it is. It only looks: opening files and remembering them is others' business.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Files of patterns, in rising order of authority; `.gitignore` counts outside repositories too.
const PATTERN_FILES: [&str; 3] = [".gitignore", ".ignore", ".quipuignore"];

/// A folder this far below its root is skipped, and so is what lies under it.
const DEPTH_MAX: usize = 256;

/// Longest file of patterns that is read.
const PATTERN_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a walk shows for one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path as the index knows it: absolute, in UTF-8.
    pub path: String,
    /// Bytes, as the folder says; 0 for what is no file.
    pub size: u64,
    /// Last modification, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Whether it is for reading.
    pub what: What,
}

/// Whether a path is a file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A regular file.
    File,
    /// Left out on purpose; the reason.
    Skipped(String),
    /// A file or folder that could not be looked at; what lies below such a folder is unknown.
    Unreadable(String),
}

/// Folders that no walk enters on its way.
#[derive(Debug, Clone, Default)]
pub struct Apart {
    /// The index's own folder: shown as skipped.
    pub index: PathBuf,
    /// Other roots, which have walks of their own: passed in silence, so that no path is shown twice.
    pub roots: Vec<PathBuf>,
}

/// Walks one root.
#[derive(Debug)]
pub struct Walk {
    stack: Vec<Folder>,
    apart: Arc<Apart>,
    first: Option<Found>,
    is_empty_folder: bool,
}

/// A folder that is being walked: what is still to come, and the patterns that hold in it.
#[derive(Debug)]
struct Folder {
    /// In falling order, so that `pop` yields the first.
    entries: Vec<PathBuf>,
    patterns: Arc<Patterns>,
}

/// The patterns of one folder and, through `above`, of all folders over it.
#[derive(Debug)]
struct Patterns {
    here: Vec<Gitignore>,
    above: Option<Arc<Patterns>>,
}

impl Walk {
    /// A walk over everything below `root`, a file or a folder, but for what is walked apart.
    ///
    /// # Errors
    /// Where `root` is missing or its folder cannot be read: an unmounted disk must not look empty.
    pub fn new(root: &Path, apart: Arc<Apart>) -> io::Result<Self> {
        let metadata = fs::metadata(root)?;
        let mut walk = Self { stack: Vec::new(), apart, first: None, is_empty_folder: false };
        if metadata.is_dir() {
            let patterns = Patterns::of_ancestors(root);
            let folder = Folder::read(root, patterns)?;
            walk.is_empty_folder = folder.entries.is_empty();
            walk.stack.push(folder);
        } else {
            walk.first = Some(Found::new(root, Some(&metadata), What::File));
        }
        Ok(walk)
    }

    /// Whether the root is a folder without any entry at all, which an unmounted disk looks like.
    pub fn is_empty_folder(&self) -> bool {
        self.is_empty_folder
    }

    /// What to show for one entry of a folder; enters it where it is a folder to walk.
    fn visit(&mut self, path: &Path, patterns: &Arc<Patterns>) -> Option<Found> {
        if self.apart.roots.iter().any(|root| root == path) {
            return None;
        }
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            // Gone between the folder's listing and this look: as if it had never been.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Found::new(path, None, What::Unreadable(error.to_string()))),
        };
        let found = |what| Some(Found::new(path, Some(&metadata), what));
        if let Some(why) = self.reason_to_skip(path, &metadata, patterns) {
            return found(What::Skipped(why));
        }
        if !metadata.is_dir() {
            return found(What::File);
        }
        match Folder::read(path, Arc::clone(patterns)) {
            Ok(folder) => {
                self.stack.push(folder);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => found(What::Unreadable(error.to_string())),
        }
    }

    fn reason_to_skip(&self, path: &Path, metadata: &Metadata, patterns: &Patterns) -> Option<String> {
        let name = path.file_name().unwrap_or_else(|| OsStr::new(""));
        if path.to_str().is_none() {
            return Some("its name is not UTF-8".to_owned());
        }
        if path == self.apart.index {
            return Some("the index itself".to_owned());
        }
        if name.as_encoded_bytes().first() == Some(&b'.') {
            return Some("hidden".to_owned());
        }
        if let Some(pattern_file) = patterns.ignoring(path, metadata.is_dir()) {
            return Some(format!("ignored by {}", pattern_file.display()));
        }
        if metadata.is_symlink() {
            return Some("a symbolic link".to_owned());
        }
        if !metadata.is_dir() && !metadata.is_file() {
            return Some("not a regular file".to_owned());
        }
        (self.stack.len() >= DEPTH_MAX).then(|| format!("more than {DEPTH_MAX} folders deep"))
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if let Some(found) = self.first.take() {
            return Some(found);
        }
        loop {
            let folder = self.stack.last_mut()?;
            let Some(path) = folder.entries.pop() else {
                self.stack.pop();
                continue;
            };
            let patterns = Arc::clone(&folder.patterns);
            if let Some(found) = self.visit(&path, &patterns) {
                return Some(found);
            }
        }
    }
}

impl Folder {
    fn read(path: &Path, above: Arc<Patterns>) -> io::Result<Self> {
        let mut entries = fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { entries, patterns: Patterns::of_folder(path, Some(above)) })
    }
}

impl Patterns {
    /// What holds above `root`: the pattern files from the top of its git repository down to its parent.
    fn of_ancestors(root: &Path) -> Arc<Self> {
        let depth = root.ancestors().position(|folder| folder.join(".git").exists()).unwrap_or(0);
        let parents: Vec<&Path> = root.ancestors().skip(1).take(depth).collect();
        parents.into_iter().rev().fold(Arc::new(Self { here: Vec::new(), above: None }), |above, folder| {
            Self::of_folder(folder, Some(above))
        })
    }

    fn of_folder(folder: &Path, above: Option<Arc<Self>>) -> Arc<Self> {
        let exclude = folder.join(".git/info/exclude");
        let files = std::iter::once(exclude).chain(PATTERN_FILES.iter().map(|name| folder.join(name)));
        let mut here = Vec::new();
        for file in files {
            if fs::metadata(&file).is_ok_and(|file| file.is_file() && file.len() <= PATTERN_FILE_BYTES_MAX) {
                let mut builder = GitignoreBuilder::new(folder);
                // A line that is no pattern is passed over, as git does; the others still hold.
                let _bad_line = builder.add(&file);
                here.extend(builder.build().ok().filter(|patterns| !patterns.is_empty()));
            }
        }
        match above {
            Some(above) if here.is_empty() => above,
            above => Arc::new(Self { here, above }),
        }
    }

    /// The pattern file by which `path` is left out, if one says so and none of more authority takes it back.
    fn ignoring(&self, path: &Path, is_folder: bool) -> Option<PathBuf> {
        for patterns in self.here.iter().rev() {
            match patterns.matched(path, is_folder) {
                Match::Ignore(glob) => {
                    return Some(glob.from().unwrap_or(Path::new("a pattern file")).to_owned());
                }
                Match::Whitelist(_) => return None,
                Match::None => {}
            }
        }
        self.above.as_ref()?.ignoring(path, is_folder)
    }
}

impl Found {
    fn new(path: &Path, metadata: Option<&Metadata>, what: What) -> Self {
        Self {
            path: path.to_string_lossy().into_owned(),
            size: metadata.filter(|metadata| metadata.is_file()).map_or(0, Metadata::len),
            modified_ns: metadata.map_or(0, modified_ns),
            what,
        }
    }
}

/// Last modification in nanoseconds since 1970; 0 where the file system has none.
pub(crate) fn modified_ns(metadata: &Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else { return 0 };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanoseconds| -nanoseconds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        folder
    }

    /// Walks `files` and holds what was shown, relative to the root, against `expected`.
    fn check(files: &[(&str, &str)], expected: &[(&str, &str)]) {
        let folder = folder_with(files);
        check_walk(folder.path(), folder.path(), expected);
    }

    fn check_walk(base: &Path, root: &Path, expected: &[(&str, &str)]) {
        let shown: Vec<(String, String)> = Walk::new(root, Arc::default())
            .expect("a root to walk")
            .map(|found| {
                let path =
                    Path::new(&found.path).strip_prefix(base).expect("below the root").display().to_string();
                let what = match found.what {
                    What::File => format!("{} bytes", found.size),
                    What::Skipped(why) => why.replace(&base.display().to_string(), ""),
                    What::Unreadable(_) => "unreadable".to_owned(),
                };
                (path, what)
            })
            .collect();
        let shown: Vec<(&str, &str)> =
            shown.iter().map(|(path, what)| (path.as_str(), what.as_str())).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn files_come_in_order_and_hidden_ones_with_their_reason() {
        check(
            &[("b.txt", "12"), ("a/z.txt", "1"), ("a/.secret", "1"), (".git/config", "1"), ("empty.txt", "")],
            &[
                (".git", "hidden"),
                ("a/.secret", "hidden"),
                ("a/z.txt", "1 bytes"),
                ("b.txt", "2 bytes"),
                ("empty.txt", "0 bytes"),
            ],
        );
    }

    #[test]
    fn the_deepest_pattern_file_decides() {
        check(
            &[
                (".gitignore", "*.log\ntarget/\n"),
                ("a.log", "1"),
                ("sub/.gitignore", "!kept.log\n"),
                ("sub/kept.log", "1"),
                ("sub/other.log", "1"),
                ("target/big.txt", "1"),
            ],
            &[
                (".gitignore", "hidden"),
                ("a.log", "ignored by /.gitignore"),
                ("sub/.gitignore", "hidden"),
                ("sub/kept.log", "1 bytes"),
                ("sub/other.log", "ignored by /.gitignore"),
                ("target", "ignored by /.gitignore"),
            ],
        );
    }

    #[test]
    fn patterns_above_the_root_hold_inside_a_repository() {
        let folder = folder_with(&[
            (".git/HEAD", "x"),
            (".gitignore", "/docs/*.tmp\n"),
            ("docs/a.tmp", "1"),
            ("docs/b.md", "1"),
        ]);
        let docs = folder.path().join("docs");
        check_walk(
            folder.path(),
            &docs,
            &[("docs/a.tmp", "ignored by /.gitignore"), ("docs/b.md", "1 bytes")],
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_loops_and_sockets_are_skipped() {
        let folder = folder_with(&[("a/b.txt", "1")]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).expect("a link");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).expect("a socket");
        check_walk(
            folder.path(),
            folder.path(),
            &[("a/b.txt", "1 bytes"), ("a/loop", "a symbolic link"), ("socket", "not a regular file")],
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_utf8_is_skipped() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder_with(&[]);
        fs::write(folder.path().join(OsStr::from_bytes(b"caf\xe9.txt")), "1").expect("a file");
        check_walk(folder.path(), folder.path(), &[("caf\u{fffd}.txt", "its name is not UTF-8")]);
    }

    #[test]
    fn a_single_file_is_a_root_and_a_missing_one_an_error() {
        let folder = folder_with(&[("a.txt", "123")]);
        check_walk(folder.path(), &folder.path().join("a.txt"), &[("a.txt", "3 bytes")]);
        let missing = Walk::new(&folder.path().join("gone"), Arc::default());
        assert_eq!(missing.expect_err("no such root").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_index_and_other_roots_are_not_entered() {
        let folder = folder_with(&[("db/index.db", "1"), ("a.txt", "1"), ("other/b.txt", "1")]);
        let apart = Apart { index: folder.path().join("db"), roots: vec![folder.path().join("other")] };
        let shown: Vec<Found> = Walk::new(folder.path(), Arc::new(apart)).expect("a root").collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(shown[1].what, What::Skipped("the index itself".to_owned()));
    }
}
