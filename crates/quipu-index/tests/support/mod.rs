//! What the tests of whole runs share: documents with an index beside them, and the model.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quipu_embed::{Embedder, Encoder, model};
use quipu_index::IndexError;
use quipu_index::run::{Embedding, Run, RunOptions, RunReport};
use quipu_index::store::{Configuration, LedgerEntry, Reader, Store};

pub fn encoder() -> Arc<Encoder> {
    static ENCODER: OnceLock<Arc<Encoder>> = OnceLock::new();
    let load = || {
        let located =
            model::locate(&model::Settings::from_environment(), None).expect("the model is found or fetched");
        Arc::new(Encoder::load(&located.folder).expect("the model loads"))
    };
    Arc::clone(ENCODER.get_or_init(load))
}

/// Documents and an index beside them.
pub struct Place(pub tempfile::TempDir);

impl Place {
    pub fn with(files: &[(&str, &[u8])]) -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(place.files()).expect("a folder");
        for (name, bytes) in files {
            fs::write(place.files().join(name), bytes).expect("a file");
        }
        place
    }

    pub fn files(&self) -> PathBuf {
        self.0.path().canonicalize().expect("it was made").join("files")
    }

    pub fn db(&self) -> PathBuf {
        self.0.path().join("db")
    }

    /// Options of a run whose worker processes are `program` with `arguments`.
    pub fn options(&self, program: &str, arguments: &[&str]) -> RunOptions {
        RunOptions {
            roots: vec![self.files()],
            all_roots: false,
            memory_bytes: 256 << 20,
            file_bytes_max: 64 << 20,
            file_time_max: Duration::from_millis(300),
            retry_failed: false,
            prune: false,
            worker_program: PathBuf::from(program),
            worker_arguments: arguments.iter().map(Into::into).collect(),
        }
    }

    /// A run on every core.
    pub fn run(&self, options: &RunOptions) -> RunReport {
        self.run_on(Embedding::cores(encoder()), options)
    }

    pub fn run_on(&self, embedding: Embedding, options: &RunOptions) -> RunReport {
        self.try_run(embedding, options).expect("it ends")
    }

    pub fn try_run(&self, embedding: Embedding, options: &RunOptions) -> Result<RunReport, IndexError> {
        let store = Store::open_or_create(&self.db(), &embedding.configuration()).expect("a store");
        runtime().block_on(async { Run::start(store, embedding, options).expect("it starts").join().await })
    }

    /// Options of a run that needs no worker processes.
    pub fn plain(&self) -> RunOptions {
        self.options("/nowhere/at/all", &[])
    }

    pub fn entry(&self, name: &str) -> LedgerEntry {
        let path = self.files().join(name);
        let reader = Reader::open(&self.db()).expect("a reader");
        reader
            .entry(path.to_str().expect("UTF-8"))
            .expect("a look")
            .unwrap_or_else(|| panic!("{name} has no state"))
    }
}

pub fn configuration() -> Configuration {
    quipu_index::configuration(encoder().info())
}

/// One waiting thread: every run must get through with it.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// The index agrees with itself and has so many documents.
pub fn check_agrees(db: &Path, documents: u64) {
    let mut wrong = Vec::new();
    let verified =
        Reader::open(db).expect("a reader").verify(&mut |found| wrong.push(found.what)).expect("verified");
    assert_eq!((verified.documents, wrong), (documents, Vec::<String>::new()));
}

/// Every chunk's text with its vector, by document and place.
pub fn vectors(db: &Path) -> Vec<(String, u64, Vec<f32>)> {
    let snapshot = Reader::open(db).expect("a reader").snapshot().expect("a snapshot");
    let live = snapshot.live().expect("chunks");
    let mut vectors: Vec<_> = live
        .iter()
        .map(|chunk| {
            let (path, offset) = snapshot.place_of(chunk).expect("a look").expect("a place");
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            (name, offset, snapshot.vector_of(chunk).expect("a look").expect("a vector").dequantise())
        })
        .collect();
    vectors.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    vectors
}
