//! `cargo xtask eval`: judges the search on a test collection, as the field judges.
//!
//! ```text
//! collection ─► build (index, kept under target/eval) ─► every topic in every mode ─► TREC runs ─► metrics
//! ```
//!
//! Prints nDCG@10, MAP, P@30 and R@100, equal to `pytrec_eval`'s, for the words alone, the meaning alone and
//! both rankings of the two.

pub(crate) mod build;
mod cacm;
mod collection;
mod cranfield;
mod metrics;
pub(crate) mod recall;
mod trec;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use quipu_embed::{Embedder, Encoder, Kernel, model};
use quipu_index::search::{Mode, Query, Rank, embed_query, search_with_vector};
use quipu_index::store::Reader;
use serde::Serialize;

pub(crate) use collection::Collection;
use metrics::{Metrics, measure};
use trec::Run;

/// Documents asked for each topic: what TREC's tools expect of a run.
const DEPTH: usize = 1000;

/// What to judge, and on what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the collection: one with `cacm.tar.gz`, or one with `cran.all.1400`
    #[arg(long)]
    collection: PathBuf,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    /// Where the runs go, in TREC's format [default: beside the kept index]
    #[arg(long)]
    runs: Option<PathBuf>,
    /// The model: a name or a folder
    #[arg(long)]
    model: Option<String>,
    /// What to embed with, once for each; `all` is every kernel of this machine but the portable ones [default: the
    /// fastest]
    #[arg(long)]
    kernel: Vec<String>,
    /// Build the index anew although one is kept: needed when analyser, chunker or store changed
    #[arg(long)]
    fresh: bool,
    /// One chunk a document instead of the chunker's: shows the ranking without the chunking
    #[arg(long)]
    whole: bool,
}

/// The ways of asking that are compared.
const WAYS: [(&str, Mode, Rank); 4] = [
    ("text", Mode::Text, Rank::Default),
    ("vector", Mode::Vector, Rank::Default),
    ("fast", Mode::Hybrid, Rank::Fast),
    ("default", Mode::Hybrid, Rank::Default),
];

#[derive(Serialize)]
struct Report {
    collection: &'static str,
    kernel: &'static str,
    documents: usize,
    model: String,
    runs: PathBuf,
    /// Of the scan over 1-bit codes, with the topics' vectors.
    recall_at_10: f64,
    results: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    way: &'static str,
    #[serde(flatten)]
    metrics: Metrics,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let collection = Collection::read(&arguments.collection)?;
    let located = model::locate(&model::Settings::from_environment(), arguments.model.as_deref())?;
    eprintln!("{}", located.note);
    let judge = |kernel| judge(arguments, &collection, &located, kernel);
    let reports: Vec<Report> =
        kernels(&arguments.kernel)?.into_iter().map(judge).collect::<Result<_, _>>()?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&reports)?)
    } else {
        reports.iter().for_each(print)
    }
    Ok(())
}

/// The kernels of these names.
fn kernels(names: &[String]) -> anyhow::Result<Vec<Kernel>> {
    let available = Kernel::available();
    if names.iter().any(|name| name == "all") {
        return Ok(available.into_iter().filter(|kernel| !kernel.name().ends_with("portable")).collect());
    }
    if names.is_empty() {
        return Ok(vec![Kernel::best()]);
    }
    let named = |name: &String| {
        let here: Vec<&str> = available.iter().map(|kernel| kernel.name()).collect();
        Kernel::named(name).with_context(|| format!("no kernel {name} here; there are {}", here.join(", ")))
    };
    names.iter().map(named).collect()
}

/// The collection with its vectors made by one kernel.
fn judge(
    arguments: &Arguments,
    collection: &Collection,
    located: &model::Located,
    kernel: Kernel,
) -> anyhow::Result<Report> {
    let encoder = Arc::new(Encoder::load_with(&located.folder, kernel)?);
    let folder = build::index(collection, &encoder, arguments.whole, arguments.fresh)?;
    let runs = arguments.runs.clone().unwrap_or_else(|| folder.join("runs"));
    let reader = Reader::open(&folder)?;
    let topics = embedded(collection, encoder.as_ref())?;
    let mut results = Vec::new();
    for (way, mode, rank) in WAYS {
        let run = answer(&reader, &topics, mode, rank).with_context(|| format!("asking by {way}"))?;
        write(&runs, collection.name, way, &run)?;
        results.push(Judged { way, metrics: measure(&run, &collection.judgements) });
    }
    Ok(Report {
        collection: collection.name,
        kernel: kernel.name(),
        documents: collection.documents.len(),
        model: located.name.clone(),
        runs,
        recall_at_10: recall::recall(&reader, topics.iter().map(|topic| topic.vector.as_slice()))?,
        results,
    })
}

/// A topic with its text and its vector, which every way shares.
struct Topic {
    id: String,
    text: String,
    vector: Vec<f32>,
}

fn embedded(collection: &Collection, embedder: &dyn Embedder) -> anyhow::Result<Vec<Topic>> {
    let embed = |(id, text): &(String, String)| {
        Ok(Topic { id: id.clone(), text: text.clone(), vector: embed_query(embedder, text)? })
    };
    collection.topics.iter().map(embed).collect()
}

fn answer(reader: &Reader, topics: &[Topic], mode: Mode, rank: Rank) -> anyhow::Result<Run> {
    let mut run = Run::default();
    for topic in topics {
        // Quotation marks in a topic are its author's, not a searcher's.
        let text = topic.text.replace('"', " ");
        let query = Query { mode, rank, limit: DEPTH, ..Query::new(text) };
        let results = search_with_vector(reader, Some(&topic.vector), &query)?;
        run.add(&topic.id, results.hits.iter().map(|hit| build::document_id(&hit.path)).collect());
    }
    Ok(run)
}

fn write(folder: &Path, collection: &str, way: &str, run: &Run) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let file = folder.join(format!("{collection}-{way}.run"));
    std::fs::write(&file, run.to_text(&format!("quipu-{way}")))
        .with_context(|| format!("writing {}", file.display()))
}

fn print(report: &Report) {
    let Report { collection, documents, model, kernel, .. } = report;
    println!("{collection}: {documents} documents, model {model}, kernel {kernel}");
    println!("{:<10}{:>8}{:>10}{:>10}{:>10}{:>10}", "", "topics", "nDCG@10", "MAP", "P@30", "R@100");
    for Judged { way, metrics } in &report.results {
        println!(
            "{way:<10}{:>8}{:>10.4}{:>10.4}{:>10.4}{:>10.4}",
            metrics.topics, metrics.ndcg_at_10, metrics.map, metrics.precision_at_30, metrics.recall_at_100
        );
    }
    println!("recall@10 of the vector scan against int8: {:.4}", report.recall_at_10);
    println!("runs: {}", report.runs.display());
}
