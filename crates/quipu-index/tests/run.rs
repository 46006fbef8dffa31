//! Runs against real stores with the real model: what becomes of files when workers misbehave, when our own code
//! does, and how a run is stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quipu_embed::{EmbedError, Embedder, Encoder, ModelInfo, TokenIds, Tokenizer, model};
use quipu_index::run::{Run, RunEnded, RunOptions, RunReport};
use quipu_index::store::{Configuration, FailureKind, LedgerEntry, Reader, State, Store};

/// Smallest pdf that is taken for one; the workers of these tests never look inside.
const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";

fn encoder() -> Arc<Encoder> {
    static ENCODER: OnceLock<Arc<Encoder>> = OnceLock::new();
    let load = || {
        let located =
            model::locate(&model::Settings::from_environment(), None).expect("the model is found or fetched");
        Arc::new(Encoder::load(&located.folder).expect("the model loads"))
    };
    Arc::clone(ENCODER.get_or_init(load))
}

/// Documents and an index beside them.
struct Place(tempfile::TempDir);

impl Place {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(place.files()).expect("a folder");
        for (name, bytes) in files {
            fs::write(place.files().join(name), bytes).expect("a file");
        }
        place
    }

    fn files(&self) -> PathBuf {
        self.0.path().canonicalize().expect("it was made").join("files")
    }

    fn db(&self) -> PathBuf {
        self.0.path().join("db")
    }

    /// Options of a run whose worker processes are `program` with `arguments`.
    fn options(&self, program: &str, arguments: &[&str]) -> RunOptions {
        RunOptions {
            roots: vec![self.files()],
            memory_bytes: 256 << 20,
            file_bytes_max: 64 << 20,
            file_time_max: Duration::from_millis(300),
            retry_failed: false,
            prune: false,
            worker_program: PathBuf::from(program),
            worker_arguments: arguments.iter().map(Into::into).collect(),
        }
    }

    fn run(&self, embedder: Arc<dyn Embedder>, options: &RunOptions) -> RunReport {
        let store = Store::open_or_create(&self.db(), &configuration()).expect("a store");
        runtime()
            .block_on(async { Run::start(store, embedder, options).expect("it starts").join().await })
            .expect("it ends")
    }

    fn entry(&self, name: &str) -> LedgerEntry {
        let path = self.files().join(name);
        let reader = Reader::open(&self.db()).expect("a reader");
        reader
            .entry(path.to_str().expect("UTF-8"))
            .expect("a look")
            .unwrap_or_else(|| panic!("{name} has no state"))
    }
}

fn configuration() -> Configuration {
    quipu_index::configuration(encoder().info())
}

/// One waiting thread: every run must get through with it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A pdf that a worker (`program` with `arguments`) spoils fails with `kind`; the text beside it is indexed.
fn check_worker(program: &str, arguments: &[&str], kind: FailureKind) {
    let place =
        Place::with(&[("a.pdf", PDF), ("b.txt", b"plain words"), ("c.pdf", b"%PDF-1.4\n%another\n%%EOF\n")]);
    let report = place.run(encoder(), &place.options(program, arguments));
    assert_eq!((report.files.indexed, report.files.failed, report.files.pending), (1, 2, 0), "{report:?}");
    for name in ["a.pdf", "c.pdf"] {
        let entry = place.entry(name);
        assert_eq!((entry.state, entry.kind), (State::Failed, Some(kind)), "{entry:?}");
    }
    assert_eq!(place.entry("b.txt").state, State::Indexed);
    assert!(!report.is_well());
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_hangs_fails_its_file_by_timeout() {
    check_worker("sleep", &["1000"], FailureKind::Timeout);
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_eats_memory_fails_its_file() {
    // It keeps what it reads until a line ends, which zeros never do.
    let place = Place::with(&[("a.pdf", PDF), ("b.txt", b"plain words")]);
    let options = RunOptions {
        file_time_max: Duration::from_secs(60),
        ..place.options("sh", &["-c", "exec tail /dev/zero"])
    };
    let report = place.run(encoder(), &options);
    assert_eq!((report.files.indexed, report.files.failed), (1, 1), "{report:?}");
    assert_eq!(place.entry("a.pdf").kind, Some(FailureKind::Memory));
}

#[cfg(unix)]
#[test]
fn a_worker_that_dies_fails_its_file() {
    check_worker("sh", &["-c", "read line; kill -SEGV $$"], FailureKind::Crashed);
}

#[test]
fn a_worker_that_cannot_be_started_fails_its_file() {
    check_worker("/nowhere/at/all", &[], FailureKind::Io);
}

#[cfg(unix)]
#[test]
fn a_transient_failure_is_tried_three_times_and_then_on_demand() {
    let place = Place::with(&[("a.pdf", PDF)]);
    let options = place.options("sh", &["-c", "exit 1"]);
    for attempt in 1..=3 {
        let report = place.run(encoder(), &options);
        assert_eq!((report.run.failed, place.entry("a.pdf").attempts), (1, attempt), "{report:?}");
    }
    assert_eq!(place.run(encoder(), &options).run.failed, 0);
    let again = RunOptions { retry_failed: true, ..options };
    assert_eq!(place.run(encoder(), &again).run.failed, 1);
}

/// An embedder that panics on texts of a certain length.
struct Touchy(Arc<Encoder>);

impl Embedder for Touchy {
    fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.0.tokenizer()
    }

    fn embed_into(&self, chunks: &[TokenIds], out: &mut [f32]) -> Result<(), EmbedError> {
        assert!(chunks.iter().all(|chunk| chunk.len() != 3), "three tokens are too few for me");
        self.0.embed_into(chunks, out)
    }
}

#[test]
fn a_panic_of_our_own_is_a_failure_in_the_ledger() {
    let place = Place::with(&[("a.txt", b"word")]);
    let report = place.run(Arc::new(Touchy(encoder())), &place.options("sleep", &["1"]));
    assert_eq!((report.files.indexed, report.files.failed), (0, 1), "{report:?}");
    let entry = place.entry("a.txt");
    assert_eq!(entry.kind, Some(FailureKind::Panic));
    assert!(entry.message.as_deref().is_some_and(|message| message.contains("too few for me")), "{entry:?}");
}

#[test]
fn no_budget_at_all_still_finishes() {
    let texts: Vec<(String, String)> =
        (0..20).map(|n| (format!("{n}.txt"), format!("Text number {n}. ").repeat(200))).collect();
    let files: Vec<(&str, &[u8])> =
        texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let place = Place::with(&files);
    let report = place.run(encoder(), &RunOptions { memory_bytes: 0, ..place.options("sleep", &["1"]) });
    assert_eq!((report.files.indexed, report.ended), (20, RunEnded::Done), "{report:?}");
}

/// A stopped run says so, leaves each file in one state or none, and the next run does the rest.
fn check_stopped(stop: impl Fn(&quipu_index::run::RunControls), ended: RunEnded) {
    let texts: Vec<String> =
        (0..600).map(|n| format!("{n} is the number of this text. ").repeat(5)).collect();
    let names: Vec<String> = (0..600).map(|n| format!("{n:03}.txt")).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_bytes)).collect();
    let place = Place::with(&files);
    let options = place.options("sleep", &["1"]);
    let store = Store::create(&place.db(), &configuration()).expect("a store");
    let report = runtime().block_on(async {
        let run = Run::start(store, encoder(), &options).expect("it starts");
        let controls = run.controls();
        while controls.progress().counts.tokens == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop(&controls);
        run.join().await.expect("it ends")
    });
    assert_eq!(report.ended, ended, "{report:?}");
    assert!(report.files.indexed < 600 && report.files.failed == 0, "{report:?}");
    let report = place.run(encoder(), &options);
    assert_eq!((report.files.indexed, report.files.pending), (600, 0), "{report:?}");
    check_agrees(&place.db(), 600);
}

fn check_agrees(db: &Path, documents: u64) {
    let mut wrong = Vec::new();
    let verified =
        Reader::open(db).expect("a reader").verify(&mut |found| wrong.push(found.what)).expect("verified");
    assert_eq!((verified.documents, wrong), (documents, Vec::<String>::new()));
}

#[test]
fn a_drained_run_finishes_what_is_under_way() {
    check_stopped(quipu_index::run::RunControls::drain, RunEnded::Drained);
}

#[test]
fn a_cancelled_run_leaves_the_rest_for_the_next() {
    check_stopped(quipu_index::run::RunControls::cancel, RunEnded::Cancelled);
}
