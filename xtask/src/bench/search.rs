//! A query's time in a warm process over a made corpus, and the recall of the vector scan on it.
//!
//! The query's own embedding is left out: it is the model's speed, not the search's.

use std::path::{Path, PathBuf};

use quipu_embed::{Embedder, Encoder, model};
use quipu_index::search::{Mode, Query, Rank, embed_query, search_with_vector};
use quipu_index::store::{FileRecord, Reader, Store};
use serde::Serialize;

use super::corpus::{Source, Words, perturbed, records};
use super::machine::Machine;
use crate::eval::recall::recall;
use crate::eval::{Collection, build};

/// Raised when the made corpus changes.
const LAYOUT: u32 = 1;
/// Documents in one transaction while the corpus is written.
const BATCH_DOCUMENTS: usize = 200;
const QUERIES: usize = 200;
const QUERIES_TO_WARM: usize = 20;
/// None; one that asks of documents, for a third of the corpus; one that asks of every chunk, for a quarter.
const FILTERS: [Option<&str>; 3] = [None, Some("ext = 'pdf'"), Some("ext = 'pdf' AND page > 3")];

/// How large, and near which texts.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Chunks in the made corpus
    #[arg(long, default_value_t = 100_000)]
    chunks: usize,
    /// Folder of a test collection whose texts lend their vectors (repeatable)
    #[arg(long, required = true)]
    collection: Vec<PathBuf>,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    /// The model: a name or a folder
    #[arg(long)]
    model: Option<String>,
    /// Make the corpus anew although one is kept
    #[arg(long)]
    fresh: bool,
}

const WAYS: [(&str, Mode, Rank); 4] = [
    ("text", Mode::Text, Rank::Default),
    ("vector", Mode::Vector, Rank::Default),
    ("fast", Mode::Hybrid, Rank::Fast),
    ("default", Mode::Hybrid, Rank::Default),
];

#[derive(Serialize)]
struct Report {
    machine: Machine,
    chunks: usize,
    queries: usize,
    /// Share of the true ten nearest that the scan and the int8 codes find.
    recall_at_10: f64,
    times: Vec<Times>,
}

#[derive(Serialize)]
struct Times {
    way: &'static str,
    filter: Option<String>,
    p50_ms: f64,
    p95_ms: f64,
}

/// A query's text and vector.
type Asked = (String, Vec<f32>);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let located = model::locate(&model::Settings::from_environment(), arguments.model.as_deref())?;
    eprintln!("{}", located.note);
    let encoder = Encoder::load(&located.folder)?;
    let collections: Vec<Collection> =
        arguments.collection.iter().map(|folder| Collection::read(folder)).collect::<Result<_, _>>()?;
    let words = Words::new();
    let folder = corpus(arguments, &collections, &encoder, &words)?;
    let reader = Reader::open(&folder)?;
    let asked = asked(&collections, &encoder, &words)?;
    let mut times = Vec::new();
    for (way, mode, rank) in WAYS {
        for filter in FILTERS {
            let query = Query { mode, rank, filter: filter.map(str::to_owned), ..Query::new("") };
            times.push(measure(&reader, &asked, way, &query)?);
        }
    }
    let report = Report {
        machine: Machine::here(),
        chunks: arguments.chunks,
        queries: QUERIES,
        recall_at_10: recall(&reader, asked.iter().map(|(_, vector)| vector.as_slice()))?,
        times,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?)
    } else {
        print(&report)
    }
    Ok(())
}

fn corpus(
    arguments: &Arguments,
    collections: &[Collection],
    embedder: &dyn Embedder,
    words: &Words,
) -> anyhow::Result<PathBuf> {
    let names: Vec<&str> = collections.iter().map(|collection| collection.name).collect();
    let name = format!("search-{}-{}-{LAYOUT}", arguments.chunks, names.join("-"));
    let folder = build::kept().join("bench").join(name);
    if folder.exists() && !arguments.fresh {
        return Ok(folder);
    }
    build::make(&folder, |half_done| {
        let mut vectors = Vec::new();
        for collection in collections {
            vectors.extend(build::embed(&collection.documents, embedder)?);
        }
        store(half_done, embedder, records(arguments.chunks, &vectors, words))
    })?;
    Ok(folder)
}

fn store(
    folder: &Path,
    embedder: &dyn Embedder,
    records: impl Iterator<Item = FileRecord>,
) -> anyhow::Result<()> {
    let mut store = Store::create(folder, &quipu_index::configuration(embedder.info()))?;
    let mut records = records.peekable();
    while records.peek().is_some() {
        let batch: Vec<FileRecord> = records.by_ref().take(BATCH_DOCUMENTS).collect();
        store.write(&batch)?;
    }
    store.close()?;
    Ok(())
}

/// Words of the corpus, three to eight a query, and the vectors of the collections' topics, moved a little.
fn asked(collections: &[Collection], embedder: &dyn Embedder, words: &Words) -> anyhow::Result<Vec<Asked>> {
    let topics: Vec<&String> =
        collections.iter().flat_map(|c| c.topics.iter().map(|(_, text)| text)).collect();
    let mut source = Source::new(2);
    let mut asked = Vec::new();
    for number in 0..QUERIES {
        let count = 3 + source.below(6);
        let text = (0..count).map(|_| words.draw(&mut source)).collect::<Vec<_>>().join(" ");
        let vector = embed_query(embedder, topics[number % topics.len()])?;
        asked.push((text, perturbed(&vector, &mut source)));
    }
    Ok(asked)
}

fn measure(reader: &Reader, asked: &[Asked], way: &'static str, query: &Query) -> anyhow::Result<Times> {
    let ask = |(text, vector): &Asked| {
        let query = Query { text: text.clone(), ..query.clone() };
        Ok::<f64, anyhow::Error>(search_with_vector(reader, Some(vector), &query)?.took_ms)
    };
    for asked in asked.iter().take(QUERIES_TO_WARM) {
        ask(asked)?;
    }
    let mut took = asked.iter().map(ask).collect::<anyhow::Result<Vec<f64>>>()?;
    took.sort_by(f64::total_cmp);
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)];
    Ok(Times { way, filter: query.filter.clone(), p50_ms: at(50), p95_ms: at(95) })
}

fn print(report: &Report) {
    println!("{}", report.machine);
    println!("{} chunks, {} queries a row", report.chunks, report.queries);
    println!("{:<10}{:<28}{:>10}{:>10}", "", "filter", "p50 ms", "p95 ms");
    for Times { way, filter, p50_ms, p95_ms } in &report.times {
        println!("{way:<10}{:<28}{p50_ms:>10.2}{p95_ms:>10.2}", filter.as_deref().unwrap_or("none"));
    }
    println!("recall@10 of the scan against int8: {:.4}", report.recall_at_10);
}
