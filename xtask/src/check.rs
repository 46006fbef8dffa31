//! `cargo xtask check`: the rules of the house that no compiler holds.
//!
//! Each rule is a plain function from text to [`Offence`]s, so that it can be shown a text that breaks it. What the
//! compiler, clippy, rustfmt, `cargo deny` or `cargo shear` can hold is left to them (see the Makefile's steps).

mod dependencies;
mod documents;
mod rooms;
mod source;
mod split;
mod tree;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offence {
    /// Path from the repository's root, with the line where there is one.
    pub place: String,
    /// What is wrong, and what to do instead.
    pub what: String,
}

impl Offence {
    /// An offence of a whole file, crate or folder.
    fn of(place: impl Into<String>, what: impl Into<String>) -> Offence {
        Offence { place: place.into(), what: what.into() }
    }

    /// An offence on one line, counted from 1.
    fn at(path: &str, line: usize, what: impl Into<String>) -> Offence {
        Offence::of(format!("{path}:{line}"), what)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// Holds the repository around the current folder to every rule and prints each place that breaks one.
///
/// # Errors
/// When a rule is broken, and when the repository or cargo's account of it cannot be read.
pub(crate) fn run() -> Result<()> {
    let manifest = cargo(Path::new("."), &["locate-project", "--workspace", "--message-format", "plain"])?;
    let root = Path::new(manifest.trim()).parent().context("finding the repository's root")?;
    let files = tree::read(root).context("reading the repository")?;
    let mut offences = dependencies::check(root)?;
    offences.extend(source::check(&files));
    offences.extend(rooms::check(&files));
    offences.extend(documents::check(&files));
    for offence in &offences {
        println!("{offence}");
    }
    if !offences.is_empty() {
        bail!("{} places break a rule of the house", offences.len());
    }
    println!("{} files and the direction of every dependency keep the rules of the house", files.len());
    Ok(())
}

/// What cargo prints when asked in `folder`. It is asked about what is here: no network, no new lock file.
fn cargo(folder: &Path, arguments: &[&str]) -> Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(folder)
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("`cargo {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("reading what cargo printed")
}
