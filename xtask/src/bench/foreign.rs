//! Benchmarks that are packages of their own, under `bench`: how they are built, and told what else was made for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Tells the benchmark where what a peer needs is, or why it is not: `--name PATH` or `--without-name REASON`.
pub(super) fn give(bench: &mut Command, name: &str, place: anyhow::Result<PathBuf>) {
    match place {
        Ok(path) => bench.arg(format!("--{name}")).arg(path),
        Err(why) => bench.arg(format!("--without-{name}")).arg(format!("{why:#}")),
    };
}

/// Builds for release, in the package's own folder: cargo looks there for the package's own settings. Not `--locked`: a
/// dependency that the engine has got since is added to the lock file, and what stands there stays.
pub(super) fn cargo_build(package: &Path, built: &Path, options: &[String]) -> anyhow::Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(["build", "--release", "--target-dir"])
        .arg(built)
        .args(options)
        .current_dir(package)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("building {} failed", package.display());
    }
    Ok(())
}
