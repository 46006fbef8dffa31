//! The repository's text files, read once for all rules.
//!
//! It walks the folders itself instead of asking git: a tree from an archive is checked too, and so is a file that is
//! not added yet.

use std::fs;
use std::io;
use std::path::Path;

/// Folders whose content is made or fetched, at any depth.
const FOLDERS_LEFT_OUT: [&str; 4] = [".git", ".venv", "target", "fixtures"];

/// Names and endings of the files that rules look into.
const ENDINGS: [&str; 9] = [".rs", ".md", ".toml", ".yml", ".py", ".sh", "Makefile", ".ci/run", ".txt"];

/// One text file of the repository.
#[derive(Debug)]
pub(crate) struct File {
    /// From the repository's root, with `/` between folders.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// The file's name without its folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust source of a crate: a `.rs` file among the documents to index is not.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.path.starts_with("examples/documents/")
    }
}

/// Reads every text file under `root`, in the order of their paths. Files that are not UTF-8 are left out.
///
/// # Errors
/// When a folder or a file cannot be read.
pub(crate) fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    read_folder(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_folder(root: &Path, folder: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !FOLDERS_LEFT_OUT.contains(&name.as_str()) {
            read_folder(root, &path, files)?;
        } else if kind.is_file()
            && ENDINGS.iter().any(|ending| path.ends_with(ending))
            && let Ok(text) = String::from_utf8(fs::read(root.join(&path))?)
        {
            files.push(File { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_and_leaves_made_folders_out() {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in [
            ("crates/a/src/lib.rs", &b"//! a"[..]),
            ("target/debug/build.rs", b"//! made"),
            ("crates/a/tests/fixtures/broken.rs", b"no door"),
            ("README.md", b"# a"),
            ("picture.png", b"\x89PNG"),
            ("latin.txt", b"caf\xe9"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let paths: Vec<String> = read(root.path()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["README.md", "crates/a/src/lib.rs"]);
    }
}
