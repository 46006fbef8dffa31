//! A collection as an index, kept under `target/eval` so that the next run finds it.
//!
//! By the real way: each document a file with its title, through extraction, chunker and store as `quipu index`
//! goes. Or one chunk a document, cut by the model where it is longer, as the published figures were made: what
//! lies between the two is the chunker's doing, not the ranking's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use quipu_embed::{BATCH_TOKENS, Embedder, Encoder, TokenIds, plan_batches};
use quipu_index::configuration;
use quipu_index::run::{Embedding, Run, RunOptions};
use quipu_index::store::{Chunk, Document as Stored, FileRecord, Outcome, Store, Vector};

use super::collection::{Collection, Document};

/// Raised when what is built changes without the index's configuration changing.
const LAYOUT: u32 = 2;
/// Documents in one transaction.
const BATCH_DOCUMENTS: usize = 500;
const MEMORY_BYTES: u64 = 1 << 30;
const FILE_BYTES_MAX: u64 = 1 << 20;
const FILE_TIME_MAX: Duration = Duration::from_secs(30);

/// The folder of the collection's index, built if there is none or `fresh` asks for it.
pub(super) fn index(
    collection: &Collection,
    encoder: &Arc<Encoder>,
    whole: bool,
    fresh: bool,
) -> anyhow::Result<PathBuf> {
    let hash: String =
        configuration(encoder.info()).hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let way = if whole { "-whole" } else { "" };
    let folder = kept().join("eval").join(format!(
        "{}{way}-{}-{hash}-{LAYOUT}",
        collection.name,
        encoder.kernel().name()
    ));
    if folder.exists() && !fresh {
        eprintln!("index: {} (kept; --fresh builds it anew)", folder.display());
        return Ok(folder);
    }
    make(&folder, |half_done| {
        if whole {
            write_whole(half_done, collection, encoder.as_ref())
        } else {
            run(half_done, collection, encoder)
        }
    })?;
    Ok(folder)
}

/// Makes a folder under another name and moves it into place, so that half a folder is never taken for one.
pub(crate) fn make(folder: &Path, build: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    eprintln!("building {}", folder.display());
    let half_done = folder.with_extension("building");
    for old in [folder, &half_done] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
        }
    }
    build(&half_done)?;
    fs::rename(&half_done, folder).with_context(|| format!("moving {} into place", half_done.display()))
}

/// Writes the documents as files and indexes their folder.
fn run(folder: &Path, collection: &Collection, encoder: &Arc<Encoder>) -> anyhow::Result<()> {
    let files = tempfile::tempdir()?;
    for document in &collection.documents {
        fs::write(files.path().join(format!("{}.html", document.id)), html(document))?;
    }
    let options = RunOptions {
        roots: vec![files.path().to_owned()],
        all_roots: false,
        memory_bytes: MEMORY_BYTES,
        file_bytes_max: FILE_BYTES_MAX,
        file_time_max: FILE_TIME_MAX,
        retry_failed: false,
        prune: false,
        // HTML is read in this process: no worker is ever started.
        worker_program: std::env::current_exe()?,
        worker_arguments: Vec::new(),
    };
    let store = Store::create(folder, &configuration(encoder.info()))?;
    let embedding = Embedding::cores(Arc::<Encoder>::clone(encoder));
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async { Run::start(store, embedding, &options)?.join().await })?;
    if !report.failures.is_empty() {
        bail!("{} documents could not be indexed", report.failures.len());
    }
    Ok(())
}

fn html(document: &Document) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<html><head><title>{}</title></head><body><pre>\n{}\n</pre></body></html>\n",
        escaped(&document.title),
        escaped(&document.text)
    )
}

fn write_whole(folder: &Path, collection: &Collection, embedder: &dyn Embedder) -> anyhow::Result<()> {
    let vectors = embed(&collection.documents, embedder)?;
    let numbered = (0..).zip(&collection.documents).zip(vectors);
    let records: Vec<FileRecord> = numbered.map(|((number, d), v)| record(number, d, &v)).collect();
    let mut store = Store::create(folder, &configuration(embedder.info()))?;
    for batch in records.chunks(BATCH_DOCUMENTS) {
        store.write(batch)?;
    }
    store.close()?;
    Ok(())
}

/// Where built things are kept between runs.
pub(crate) fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target")
}

/// The judgements' name of an indexed document.
pub(super) fn document_id(path: &str) -> String {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path).to_owned()
}

/// The vectors of all documents, batch by batch in the order that pads least.
pub(crate) fn embed(documents: &[Document], embedder: &dyn Embedder) -> anyhow::Result<Vec<Vec<f32>>> {
    let tokenizer = embedder.tokenizer();
    let texts = documents.iter().map(|document| tokenizer.encode(&embedded_text(document)));
    let tokens: Vec<TokenIds> = texts.collect();
    let lengths: Vec<usize> = tokens.iter().map(TokenIds::len).collect();
    let dimensions = embedder.info().dimensions;
    let mut vectors = vec![Vec::new(); tokens.len()];
    for batch in plan_batches(&lengths, BATCH_TOKENS) {
        let chunks: Vec<TokenIds> = batch.iter().map(|&index| tokens[index].clone()).collect();
        let mut out = vec![0.0; chunks.len() * dimensions];
        embedder.embed_into(&chunks, &mut out)?;
        for (&index, vector) in batch.iter().zip(out.chunks(dimensions)) {
            vectors[index] = vector.to_vec();
        }
    }
    Ok(vectors)
}

/// "title. body", the title once.
fn embedded_text(document: &Document) -> String {
    format!("{}. {}", document.title, document.text)
}

/// Not of the text: chunks only have to be told apart here.
pub(crate) fn chunk_hash(number: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    hash
}

fn record(number: u64, document: &Document, vector: &[f32]) -> FileRecord {
    let size = document.text.len() as u64;
    let chunk = Chunk {
        text: document.text.clone(),
        range: 0..size,
        lines: None,
        page: None,
        heading: None,
        hash: chunk_hash(number),
        vector: Some(Vector::quantise(vector)),
    };
    let stored = Stored {
        title: Some(document.title.clone()),
        mime: "text/plain".to_owned(),
        format: "text".to_owned(),
        chunks: if document.text.is_empty() { Vec::new() } else { vec![chunk] },
        ..Stored::default()
    };
    FileRecord {
        path: format!("/collection/{}", document.id),
        size,
        modified_ns: 0,
        content_hash: None,
        outcome: Outcome::Indexed(Box::new(stored)),
    }
}
