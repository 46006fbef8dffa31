//! What can be said on the command line: the whole grammar of the program, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use quipu_embed::Kernel;
use quipu_index::endpoint::TEXTS_MAX;

/// Index folders of documents and ask them questions, by meaning, words and metadata.
///
/// Everything happens on this machine, unless --embed-url names another to make the vectors. An index remembers its folders: `quipu index` again takes in what
/// changed and nothing else.
#[derive(Debug, Parser)]
#[command(name = "quipu", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Where the index is and how the program speaks.
    #[command(flatten)]
    pub common: Common,
}

const EXIT_CODES: &str = "\
Which index: --db, else QUIPU_DB, else the nearest .quipu folder upward from here, else your own.
Exit codes: 0 all well, 1 finished but some files failed, 2 usage, 3 could not run.";

/// Flags that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The index's folder [default: the nearest .quipu upward from here, else your own]
    #[arg(long, global = true, env = "QUIPU_DB", value_name = "FOLDER")]
    pub db: Option<PathBuf>,

    /// Print one JSON document for programs
    #[arg(long, global = true)]
    pub json: bool,

    /// What the model is computed with, such as f32-avx2: `quipu model bench` lists them [default: the fastest]
    #[arg(long, global = true, env = "QUIPU_KERNEL", value_name = "NAME", value_parser = parse_kernel)]
    pub kernel: Option<Kernel>,

    /// A model's name, or a folder as sentence-transformers writes it [default: all-MiniLM-L6-v2]
    #[arg(long, global = true, env = "QUIPU_MODEL", value_name = "NAME|FOLDER")]
    pub model: Option<String>,

    /// Who makes the vectors, if not this machine.
    #[command(flatten)]
    pub server: ServerArguments,
}

/// A server that embeds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Vectors from a server")]
pub(crate) struct ServerArguments {
    /// An OpenAI-compatible endpoint that serves the model which --model names, such as
    /// http://host:8080/v1/embeddings; its key goes into QUIPU_EMBED_KEY
    #[arg(long, global = true, env = "QUIPU_EMBED_URL", value_name = "URL")]
    pub embed_url: Option<String>,

    /// The model's name as the server knows it [default: the model's own]
    #[arg(long, global = true, env = "QUIPU_EMBED_MODEL", value_name = "NAME")]
    pub embed_model: Option<String>,

    /// Texts in one call at most
    #[arg(long, global = true, value_name = "TEXTS", default_value_t = TEXTS_MAX as u32, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub embed_batch: u32,

    /// Calls begun per second at most, 0.5 being one every other second
    #[arg(long, global = true, value_name = "CALLS", value_parser = parse_rate)]
    pub embed_rate: Option<f64>,
}

/// One command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take files into the index; without paths, refresh every folder that it remembers
    Index(IndexArguments),
    /// Ask the index
    Search(SearchArguments),
    /// Count what is in the index, and say what failed and why
    Status,
    /// Show the pipeline that `index` runs, as text and as a Mermaid diagram
    Explain,
    /// Check that ledger, store and files agree
    Verify,
    /// Take a file, or everything below a folder, out of the index
    Forget {
        /// The file or folder; it need not exist any more
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Give this folder an index of its own (.quipu)
    Init {
        /// The folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// List, fetch, locate, check and measure models
    Model {
        /// What to do with models
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Extracts documents on behalf of another quipu process
    #[command(hide = true)]
    ExtractWorker,
}

/// What `index` takes.
#[derive(Debug, Args)]
pub(crate) struct IndexArguments {
    /// Files and folders [default: those that the index remembers]
    pub paths: Vec<PathBuf>,

    /// Most memory that documents under way and extraction may take, e.g. 512M or 2G [default: a quarter
    /// of what is free, at most 1G]; the model and the store's own buffers come on top
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,

    /// Skip files larger than this
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    pub max_file_size: u64,

    /// Give up on a file whose extraction takes longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub max_file_seconds: u64,

    /// Try again what failed before, whatever the reason and however often
    #[arg(long)]
    pub retry_failed: bool,

    /// Start over: every file is read and embedded anew, with the present model
    #[arg(long)]
    pub rebuild: bool,

    /// Forget files below roots that are missing now (an unmounted disk forgets nothing by itself)
    #[arg(long)]
    pub prune: bool,
}

/// What `search` takes.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// The question, in words; "quoted words" must stand in the text just so
    #[arg(required = true, num_args = 1..)]
    pub question: Vec<String>,

    /// Only among what this holds for, in SQL: "ext = 'pdf' AND page > 3"
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,

    /// How many documents to show
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,

    /// What to compare by
    #[arg(long, value_enum, default_value_t = Mode::Hybrid)]
    pub mode: Mode,

    /// How thoroughly to rank
    #[arg(long, value_enum, default_value_t = Rank::Default)]
    pub rank: Rank,
}

/// What a search compares by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Meaning and words together
    Hybrid,
    /// Meaning alone
    Vector,
    /// Words alone
    Text,
}

/// How a hybrid search ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rank {
    /// With feedback from the first ranking: better on average
    Default,
    /// The first ranking alone
    Fast,
}

/// What `model` does.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// The models that can be named, which are here, and where
    List,
    /// Bring a model onto this machine
    Fetch {
        /// The model's name
        #[arg(default_value = quipu_embed::model::DEFAULT)]
        name: String,
    },
    /// Print the folder of the model in use
    Path,
    /// Check a model's files by hash, and its vectors beside known ones or its own in f32
    Verify {
        /// The model [default: the one in use]
        #[arg(value_name = "NAME|FOLDER")]
        wanted: Option<String>,
    },
    /// Measure each kernel that this machine has, for some seconds
    Bench {
        /// The model [default: the one in use]
        #[arg(value_name = "NAME|FOLDER")]
        wanted: Option<String>,
    },
}

/// A kernel that this machine has.
fn parse_kernel(name: &str) -> Result<Kernel, String> {
    let names = || Kernel::available().into_iter().map(Kernel::name).collect::<Vec<_>>().join(", ");
    Kernel::named(name).ok_or_else(|| format!("this machine has {}", names()))
}

/// Sizes as people write them: `1048576`, `512K`, `256M`, `2G`, `1.5GiB`.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size; write a number and K, M or G, such as 256M");
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * (1_u64 << shift) as f64;
    if bytes.is_finite() && bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// So many in a second.
fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err(format!("'{text}' is no rate; write how many calls a second, such as 10 or 0.5")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn kernels_are_those_of_this_machine() {
        assert_eq!(parse_kernel("f32-portable"), Ok(Kernel::portable()));
        assert!(parse_kernel("f33").is_err_and(|error| error.contains("f32-portable, ")));
    }

    #[test]
    fn sizes_parse_as_people_write_them() {
        for (text, bytes) in
            [("0", 0), ("1024", 1024), ("512K", 512 << 10), ("256M", 256 << 20), ("256mb", 256 << 20)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_size("1.5GiB"), Ok(3 << 29));
        for text in ["", "M", "-1", "12X", "1e400", "1..5"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
