//! The encoder's kernels beside their peers: builds what lies under `bench/embed`, makes the files that the peers need, and
//! runs it.
//!
//! That is a workspace of its own, so that no peer enters the default build. What it measures, and prints, is its own
//! matter. A peer that cannot be built here, or has no files, leaves its cells empty, with the reason.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use quipu_embed::model;

use super::foreign::{cargo_build, give};
use crate::eval::build::kept;

/// The peers' names: the benchmark's features.
const PEERS: [&str; 4] = ["candle", "fastembed", "onnxruntime", "rten"];
/// What the ONNX files depend on beside the model: when one of these changes, they are made anew.
const RECIPE: [&str; 3] = ["requirements.txt", "graph.py", "export.py"];
/// Around the recorded run in [`RECORD`].
const FENCE: [&str; 2] = ["```text\n", "```"];
const RECORD: &str = "docs/embed-benchmarks.md";

/// How much, and how it is shown.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Few repetitions, without the portable kernels: two to three minutes once built
    #[arg(long)]
    quick: bool,
    /// One JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Contestants alone whose name contains this, such as `ours`, `int8` or `candle`
    #[arg(long)]
    only: Option<String>,
    /// Hide what a lesser machine lacks from all contestants (x86-64 under Linux)
    #[arg(long, value_enum)]
    without: Option<Without>,
    /// Write what is printed into docs/embed-benchmarks.md too, in place of the run there
    #[arg(long, conflicts_with_all = ["quick", "json", "only"])]
    record: bool,
}

/// What can be hidden; each class of machine has its own run in [`RECORD`].
#[derive(Clone, Copy, clap::ValueEnum)]
enum Without {
    /// VNNI, BF16 and whatever came with them or after: AVX-512 as its first servers had it
    Vnni,
    /// All of AVX-512 and VNNI: AVX2
    Avx512,
}

impl Without {
    fn name(self) -> &'static str {
        match self {
            Self::Vnni => "vnni",
            Self::Avx512 => "avx512",
        }
    }

    /// The heading above the run that it is recorded in.
    fn heading(without: Option<Self>) -> &'static str {
        match without {
            None => "## The run\n",
            Some(Self::Vnni) => "## Without VNNI\n",
            Some(Self::Avx512) => "## Without AVX-512\n",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    let source = repository.join("bench").join("embed");
    let built = kept().join("bench").join("embed");
    let model = model::locate(&model::Settings::from_environment(), None)?.folder;
    let unbuilt = build(&source, &built)?;
    let mut bench = Command::new(built.join("release").join("bench-embed"));
    bench.arg("--model").arg(&model);
    bench.args(arguments.quick.then_some("--quick"));
    bench.args(arguments.json.then_some("--json"));
    if let Some(only) = &arguments.only {
        bench.args(["--only", only]);
    }
    if let Some(without) = arguments.without {
        bench.args(["--without", without.name()]);
    }
    for (peer, why) in unbuilt {
        bench.args(["--unbuilt", peer, &why]);
    }
    match environment(&source, &built) {
        Ok(python) => {
            give(&mut bench, "onnx", export(&python, &source, &built, &model));
            give(&mut bench, "onnxruntime", library(&built));
        }
        Err(why) => {
            let why = format!("{why:#}");
            bench.args(["--without-onnx", &why, "--without-onnxruntime", &why]);
        }
    }
    if !arguments.record {
        return succeed(&mut bench);
    }
    record(&mut bench, &repository.join(RECORD), Without::heading(arguments.without))
}

/// Builds with all peers, or with those that can be; those that cannot, with the reason.
fn build(source: &Path, built: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    if cargo_build(source, built, &[]).is_ok() {
        return Ok(Vec::new());
    }
    eprintln!("not all peers can be built here: trying one after another");
    let (mut features, mut unbuilt) = (String::new(), Vec::new());
    for peer in PEERS {
        let more = format!("{features}{peer},");
        let options = ["--no-default-features".to_owned(), "--features".to_owned(), more.clone()];
        match cargo_build(source, built, &options) {
            Ok(()) => features = more,
            Err(why) => unbuilt.push((peer, format!("{why:#}"))),
        }
    }
    let options = ["--no-default-features".to_owned(), "--features".to_owned(), features];
    cargo_build(source, built, &options)?;
    Ok(unbuilt)
}

/// The interpreter of a virtual environment with the pinned packages, made if it is missing or they changed.
fn environment(source: &Path, built: &Path) -> anyhow::Result<PathBuf> {
    let folder = built.join("venv");
    let python = folder.join("bin").join("python");
    let requirements = source.join("onnx").join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    eprintln!("installing onnx and onnxruntime from PyPI into {}", folder.display());
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("python3 -m venv")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"]).arg(&requirements);
    succeed(&mut install).context("pip install")?;
    std::fs::write(&installed, wanted)?;
    Ok(python)
}

/// The folder with the ONNX files, made if they are missing or come from something else.
fn export(python: &Path, source: &Path, built: &Path, model: &Path) -> anyhow::Result<PathBuf> {
    let (scripts, folder) = (source.join("onnx"), built.join("onnx"));
    let mut wanted = format!("{}\n", model.display());
    for name in RECIPE {
        wanted += &std::fs::read_to_string(scripts.join(name))?;
    }
    let made_from = folder.join("made-from.txt");
    if std::fs::read_to_string(&made_from).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    eprintln!("writing the model as ONNX into {}", folder.display());
    let reference = source.join("../../crates/quipu-embed/tests/reference");
    let mut export = Command::new(python);
    // Not `-B` for tidiness alone: byte code would be left in the sources.
    export.arg("-B").arg(scripts.join("export.py")).arg(model).arg(reference).arg(&folder);
    export.stdout(std::io::stderr());
    succeed(&mut export).context("exporting the model as ONNX")?;
    std::fs::write(&made_from, wanted)?;
    Ok(folder)
}

/// The shared library in PyPI's package.
fn library(built: &Path) -> anyhow::Result<PathBuf> {
    let versions = built.join("venv").join("lib");
    for version in std::fs::read_dir(&versions)? {
        let folder = version?.path().join("site-packages/onnxruntime/capi");
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("libonnxruntime.") {
                return Ok(path);
            }
        }
    }
    bail!("onnxruntime's package has no shared library under {}", versions.display())
}

/// Runs it, shows what it prints, and puts that into the document, below a heading.
fn record(bench: &mut Command, document: &Path, heading: &str) -> anyhow::Result<()> {
    let output = bench.stderr(Stdio::inherit()).output().context("starting the benchmark")?;
    std::io::stdout().write_all(&output.stdout)?;
    if !output.status.success() {
        bail!("the benchmark ended with {}", output.status);
    }
    let text = std::fs::read_to_string(document)?;
    let text = with_run(&text, heading, &String::from_utf8(output.stdout)?)
        .with_context(|| format!("{} has no ```text block below `{}`", document.display(), heading.trim()))?;
    std::fs::write(document, text).with_context(|| format!("writing {}", document.display()))
}

/// `document` with `run` between the first fences below `heading`.
fn with_run(document: &str, heading: &str, run: &str) -> Option<String> {
    let [open, close] = FENCE;
    let (before, section) = document.split_once(heading)?;
    let (words, rest) = section.split_once(open)?;
    let (_, after) = rest.split_once(close)?;
    Some(format!("{before}{heading}{words}{open}{run}{close}{after}"))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("starting {:?}", command.get_program()))?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::with_run;

    #[test]
    fn a_run_takes_the_place_of_the_one_below_its_heading() {
        let document = "# Title\n## A\n```text\nold\n```\n## B\n\n```text\nold\n```\n\nEnd.\n";
        let (a, b) = document.split_once("## B").expect("it is there");
        assert_eq!(
            with_run(document, "## B\n", "new\n"),
            Some(format!("{a}## B{}", b.replace("old", "new")))
        );
        assert_eq!(
            with_run(document, "## A\n", "new\n"),
            Some(format!("{}## B{b}", a.replace("old", "new")))
        );
        assert_eq!(with_run(document, "## C\n", "new\n"), None);
        assert_eq!(with_run("## A\nno block", "## A\n", "new\n"), None);
    }
}
