//! `cargo xtask deep`: the long forms of tests, most of them the engine's, which would take too long for every change.
//!
//! A million simulated graphs, the soak on real threads, loom's models, AddressSanitizer on the engine and on whatever
//! else has `unsafe` in it, and the fuzz targets; each step says how long it took, and the first that fails is the last.
//! Simulation and soak run in the tests' own profile: the engine is optimised there too, and an account that went
//! below nought would not pass unseen.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::eval::build::kept;

/// How much.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A twentieth of everything: a few minutes once built
    #[arg(long)]
    quick: bool,
    /// The first seed: another one than last time tries other cases
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// One step alone
    #[arg(long, value_parser = STEPS)]
    only: Option<String>,
}

/// In the order in which they are taken.
const STEPS: [&str; 6] = ["simulation", "wild simulation", "soak", "loom", "address", "fuzz"];

/// Graphs that each of the three searches simulates.
const GRAPHS: u64 = 1_000_000;

/// Wild graphs are larger: so many times fewer of them take as long.
const WILD_DIVISOR: u64 = 10;

/// Flows on real threads.
const FLOWS: u64 = 40_000;

/// `--quick` does so many times less.
const QUICK_DIVISOR: u64 = 20;

/// How long each fuzz target is tried.
const FUZZ_SECONDS: u64 = 1_200;

/// AddressSanitizer makes everything slower.
const ADDRESS_DIVISOR: u64 = 20;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let divisor = if arguments.quick { QUICK_DIVISOR } else { 1 };
    let (graphs, flows, seed) = (GRAPHS / divisor, FLOWS / divisor, arguments.seed);
    for step in STEPS.into_iter().filter(|step| arguments.only.as_ref().is_none_or(|only| only == step)) {
        println!("{step} …");
        let began = Instant::now();
        let done = match step {
            "simulation" => simulate(seed, graphs, &["search::random_gr", "search::results_"]),
            "wild simulation" => simulate(seed, graphs / WILD_DIVISOR, &["search::random_wild_"]),
            "soak" => soak(seed, flows),
            "loom" => loom("quipu-compute").and_then(|()| loom("quipu-flow")),
            "address" => address(seed, flows / ADDRESS_DIVISOR),
            _ => fuzz(seed, FUZZ_SECONDS / divisor),
        };
        done.with_context(|| format!("deep step '{step}'"))?;
        println!("{step}: {:.1?}", began.elapsed());
    }
    Ok(())
}

/// One process for each core, each with seeds of its own.
fn simulate(seed: u64, graphs: u64, searches: &[&str]) -> Result<()> {
    let program = simulator()?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let share = graphs.div_ceil(cores);
    let began = Instant::now();
    let start = |core: u64| {
        let mut command = Command::new(&program);
        command.args(searches).arg("--test-threads=1");
        command.env("QUIPU_SEED", (seed + core * share).to_string());
        command.env("QUIPU_CASES", share.to_string());
        command.spawn().context("starting the simulation")
    };
    let mut children: Vec<Child> = (0..cores).map(start).collect::<Result<_>>()?;
    let mut failed = 0;
    for search in &mut children {
        failed += usize::from(!search.wait().context("waiting for the simulation")?.success());
    }
    if failed > 0 {
        bail!("{failed} of {cores} searches found something");
    }
    let rate = (share * cores) as f64 / began.elapsed().as_secs_f64();
    println!("{} graphs of each kind on {cores} cores, {rate:.0} a second", share * cores);
    Ok(())
}

/// Builds quipu-flow's unit tests, and says where they are.
fn simulator() -> Result<PathBuf> {
    let output = cargo()
        .args(["test", "--package", "quipu-flow", "--lib", "--no-run", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    if !output.status.success() {
        bail!("the simulation does not build");
    }
    let artifacts = String::from_utf8_lossy(&output.stdout);
    let executable = artifacts.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.context("cargo names no test program")
}

fn soak(seed: u64, flows: u64) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--package", "quipu-flow", "--test", "soak", "--", "--nocapture"]);
    succeed(command.env("QUIPU_SEED", seed.to_string()).env("QUIPU_SOAK", flows.to_string()))
}

/// Every interleaving of the hand-written protocols.
fn loom(package: &str) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--package", package, "--test", "loom", "--release"]);
    succeed(command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", kept().join("loom")))
}

/// The engine's tests, those of the kernels, and the whole encoder on small models of all shapes, under AddressSanitizer, which only a nightly
/// compiler has.
fn address(seed: u64, flows: u64) -> Result<()> {
    let host = nightly_host()?;
    let engine = ["--package", "quipu-compute", "--package", "quipu-flow", "--lib", "--tests"];
    // The simulation has one thread and no `unsafe`, and would take most of the time.
    succeed(under_address(&host, seed, flows).args(engine).args(["--", "--skip", "simulation"]))?;
    // Most of these crates is safe code, and much of it others'.
    let kernels = ["--package", "quipu-embed", "--package", "quipu-index", "--lib", "--"];
    succeed(under_address(&host, seed, flows).args(kernels).args(["kernel", "weights"]))?;
    let encoder = ["--package", "quipu-embed", "--test", "shapes"];
    succeed(under_address(&host, seed, flows).args(encoder))
}

fn under_address(host: &str, seed: u64, flows: u64) -> Command {
    let mut command = nightly_cargo();
    command.args(["test", "--target", host]);
    command.env("RUSTFLAGS", "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer");
    // SQLite's one file of C has two private tables of one name.
    command.env("ASAN_OPTIONS", "detect_odr_violation=0");
    command.env("CARGO_TARGET_DIR", kept().join("address"));
    command.env("QUIPU_SEED", seed.to_string()).env("QUIPU_SOAK", flows.to_string());
    command
}

/// The embedding's targets, each for a time: any `tokenizer.json`, any text beside the library, which is slow with long
/// ones, and any weights and any small files of a model. What they find, and what they found new ways with, stays in
/// their folder.
fn fuzz(seed: u64, seconds: u64) -> Result<()> {
    nightly_host()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates").join("quipu-embed");
    let small = |file| format!("-seed_inputs=tests/shapes/{file}");
    for (target, length_max, small_file) in [
        ("tokenizer_json", 4_096, Some(small("cls/tokenizer.json"))),
        ("tokenizer_text", 200, None),
        ("weights", 4_096, Some(small("least/model.safetensors"))),
        ("model_files", 4_096, Some(small("least/config.json"))),
    ] {
        let mut command = nightly_cargo();
        command.current_dir(&folder).args(["fuzz", "run", target, "--", "-rss_limit_mb=4096"]);
        command.arg(format!("-max_len={length_max}")).args(small_file);
        // To libFuzzer 0 is any seed.
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={}", seed + 1));
        succeed(command.env("CARGO_TARGET_DIR", kept().join("fuzz")))
            .context("fuzzing, for which `cargo install cargo-fuzz` brings the command")?;
    }
    Ok(())
}

fn nightly_cargo() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    // What cargo has set for this program is another toolchain's.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command
}

/// The platform that the nightly compiler builds for.
fn nightly_host() -> Result<String> {
    let output = Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]).output().ok();
    let output = output.filter(|output| output.status.success()).map(|output| output.stdout);
    let text = String::from_utf8(output.unwrap_or_default())?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.context("no nightly compiler: `rustup toolchain install nightly --profile minimal` brings one")
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("starting cargo")?;
    if !status.success() {
        bail!("the tests ended with {status}");
    }
    Ok(())
}
