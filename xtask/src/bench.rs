//! `cargo xtask bench`: measures the speed of one part on this machine and says which class of machine it is.

mod corpus;
mod embed;
mod flow;
mod foreign;
mod machine;
mod search;

use clap::Subcommand;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// A query in a warm process: each mode, with and without a filter
    Search(search::Arguments),
    /// The dataflow engine and the bridge, beside their peers
    Flow(flow::Arguments),
    /// The encoder's kernels, beside their peers
    Embed(embed::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.part {
        Part::Search(arguments) => search::run(arguments),
        Part::Flow(arguments) => flow::run(arguments),
        Part::Embed(arguments) => embed::run(arguments),
    }
}
