//! Repository checks, evaluation and benchmark runs: `cargo xtask <command>`.
//!
//! A dispatcher and no more: each command is a module with its own `Arguments` and `run`.

mod bench;
mod check;
mod deep;
mod eval;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Repository checks, evaluation and benchmark runs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Hold the repository to the rules that no compiler holds
    Check,
    /// Judge the search on a test collection: TREC runs and pytrec_eval's metrics
    Eval(eval::Arguments),
    /// Measure the speed of one part on this machine
    Bench(bench::Arguments),
    /// Run the long forms of the tests: simulation, soak, loom, AddressSanitizer, fuzzing
    Deep(deep::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Check => check::run(),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Deep(arguments) => deep::run(&arguments),
    }
}
