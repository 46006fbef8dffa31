//! The dataflow engine and the bridge beside their peers: builds what lies under `bench/flow` and runs it.
//!
//! That is a workspace of its own, so that no peer enters the default build. What it measures, and prints, is its own
//! matter. A peer that cannot be built here leaves its cells empty, with the reason.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::foreign::{cargo_build, give};
use crate::eval::build::kept;

/// How much, and how it is shown.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Short and few repetitions: under a minute once built
    #[arg(long)]
    quick: bool,
    /// One JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// One group of rows alone: fused, skew, expansion or bridge
    #[arg(long)]
    only: Option<String>,
    /// Build dynamo-runtime's compute pool too: some minutes the first time, and protoc is needed
    #[arg(long)]
    dynamo: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("bench").join("flow");
    let built = kept().join("bench").join("flow");
    cargo_build(&source, &built, &[])?;
    let mut bench = Command::new(built.join("release").join("bench-flow"));
    bench.args(arguments.quick.then_some("--quick"));
    bench.args(arguments.json.then_some("--json"));
    if let Some(only) = &arguments.only {
        bench.args(["--only", only]);
    }
    give(&mut bench, "onetbb", onetbb(&source, &built));
    give(&mut bench, "dynamo", if arguments.dynamo { dynamo(&source, &built) } else { not_asked() });
    let status = bench.status().context("starting the benchmark")?;
    if !status.success() {
        bail!("the benchmark ended with {status}");
    }
    Ok(())
}

fn onetbb(source: &Path, built: &Path) -> anyhow::Result<PathBuf> {
    let program = built.join("onetbb");
    let output = Command::new("g++")
        .args(["-O3", "-std=c++17", "-o"])
        .arg(&program)
        .arg(source.join("onetbb").join("pipeline.cpp"))
        .arg("-ltbb")
        .output()
        .context("no C++ compiler (Debian: apt-get install g++ libtbb-dev)")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let error = message.lines().find(|line| line.contains("error")).unwrap_or("g++ failed").trim();
        bail!("not built (Debian: apt-get install libtbb-dev): {error}");
    }
    Ok(program)
}

fn dynamo(source: &Path, built: &Path) -> anyhow::Result<PathBuf> {
    let built = built.join("dynamo");
    cargo_build(&source.join("dynamo"), &built, &[])
        .context("not built (its protocols need protoc; Debian: apt-get install protobuf-compiler)")?;
    Ok(built.join("release").join("bench-dynamo"))
}

fn not_asked() -> anyhow::Result<PathBuf> {
    bail!("only with `--dynamo`")
}
