//! Runs against real stores with the real model: what becomes of files when workers misbehave, when our own code
//! does, and how a run is stopped.

mod support;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use quipu_embed::{EmbedError, Embedder, Encoder, ModelInfo, TokenIds, Tokenizer};
use quipu_index::run::{Embedding, Run, RunEnded, RunOptions};
use quipu_index::store::{FailureKind, State, Store};

use support::{Place, check_agrees, configuration, encoder, runtime};

/// Smallest pdf that is taken for one; the workers of these tests never look inside.
const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";

/// A pdf that a worker (`program` with `arguments`) spoils fails with `kind`; the text beside it is indexed.
fn check_worker(program: &str, arguments: &[&str], kind: FailureKind) {
    let place =
        Place::with(&[("a.pdf", PDF), ("b.txt", b"plain words"), ("c.pdf", b"%PDF-1.4\n%another\n%%EOF\n")]);
    let report = place.run(&place.options(program, arguments));
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
    let report = place.run(&options);
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
        let report = place.run(&options);
        assert_eq!((report.run.failed, place.entry("a.pdf").attempts), (1, attempt), "{report:?}");
    }
    assert_eq!(place.run(&options).run.failed, 0);
    let again = RunOptions { retry_failed: true, ..options };
    assert_eq!(place.run(&again).run.failed, 1);
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
fn a_panic_while_embedding_fails_the_guilty_document_alone() {
    let place =
        Place::with(&[("a.txt", b"word"), ("b.txt", b"several words"), ("c.txt", b"and several more")]);
    let report = place.run_on(Embedding::cores(Arc::new(Touchy(encoder()))), &place.options("sleep", &["1"]));
    assert_eq!((report.files.indexed, report.files.failed), (2, 1), "{report:?}");
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
    let report = place.run(&RunOptions { memory_bytes: 0, ..place.options("sleep", &["1"]) });
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
        let run = Run::start(store, Embedding::cores(encoder()), &options).expect("it starts");
        let controls = run.controls();
        while controls.progress().counts.tokens == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop(&controls);
        run.join().await.expect("it ends")
    });
    assert_eq!(report.ended, ended, "{report:?}");
    let files = report.files;
    assert!(files.indexed < 600 && files.failed == 0, "{report:?}");
    assert_eq!(files.indexed + files.pending, report.run.shown, "each path seen is in one state: {report:?}");
    let report = place.run(&options);
    assert_eq!((report.files.indexed, report.files.pending), (600, 0), "{report:?}");
    check_agrees(&place.db(), 600);
}

#[test]
fn a_drained_run_finishes_what_is_under_way() {
    check_stopped(quipu_index::run::RunControls::drain, RunEnded::Drained);
}

#[test]
fn a_cancelled_run_leaves_the_rest_for_the_next() {
    check_stopped(quipu_index::run::RunControls::cancel, RunEnded::Cancelled);
}

#[test]
fn a_nested_root_that_is_unmounted_survives_the_run_over_its_parent() {
    let place = Place::with(&[("a.txt", b"of the parent")]);
    let (disk, away) = (place.files().join("disk"), place.files().with_file_name("away"));
    fs::create_dir(&disk).expect("a folder");
    fs::write(disk.join("b.txt"), "on the disk").expect("a file");
    let both = RunOptions { roots: vec![place.files(), disk.clone()], ..place.options("sleep", &["1"]) };
    assert_eq!(place.run(&both).files.indexed, 2);
    let refresh = RunOptions { roots: Vec::new(), ..both.clone() };
    fs::rename(&disk, &away).expect("unmounted");
    let report = place.run(&refresh);
    assert_eq!((report.files.indexed, report.run.removed, report.problems.len()), (2, 0, 1), "{report:?}");
    fs::create_dir(&disk).expect("an empty mount point");
    let report = place.run(&refresh);
    assert_eq!((report.files.indexed, report.run.removed, report.problems.len()), (2, 0, 1), "{report:?}");
    let report = place.run(&RunOptions { prune: true, ..refresh });
    assert_eq!((report.files.indexed, report.run.removed, report.problems.len()), (1, 1, 0), "{report:?}");
}

#[test]
fn a_root_that_holds_only_another_root_is_not_empty() {
    let place = Place::with(&[]);
    let work = place.files().join("work");
    fs::create_dir(&work).expect("a folder");
    fs::write(work.join("a.txt"), "words").expect("a file");
    let options =
        RunOptions { roots: vec![place.files(), work], prune: true, ..place.options("sleep", &["1"]) };
    let report = place.run(&options);
    assert_eq!((report.files.indexed, report.run.removed), (1, 0), "{report:?}");
    assert!(report.is_well(), "{report:?}");
}

#[test]
fn less_memory_than_before_lets_indexed_files_be() {
    let large = format!("{}\n", "x".repeat(150)).repeat(10_000);
    let place = Place::with(&[("large.txt", large.as_bytes()), ("small.txt", b"words")]);
    let options = place.options("sleep", &["1"]);
    let report = place.run(&options);
    assert_eq!(report.files.indexed, 2, "{report:?}");
    place.run(&options);
    let poor = RunOptions { memory_bytes: 0, ..options };
    let report = place.run(&poor);
    assert_eq!((report.files.indexed, report.run.unchanged), (2, 2), "{report:?}");
    fs::write(place.files().join("large.txt"), format!("{large}!")).expect("changed");
    let report = place.run(&poor);
    assert_eq!((report.files.indexed, report.files.skipped), (1, 1), "{report:?}");
    assert!(place.entry("large.txt").message.is_some_and(|why| why.contains("--memory")));
}

#[cfg(unix)]
#[test]
fn the_index_inside_a_root_is_not_indexed_by_whatever_name() {
    let place = Place::with(&[("a.txt", b"words")]);
    std::os::unix::fs::symlink(place.files(), place.files().with_file_name("alias")).expect("a link");
    let db = place.files().with_file_name("alias").join("db");
    let store = Store::create(&db, &configuration()).expect("a store");
    let options = place.options("sleep", &["1"]);
    let report = runtime()
        .block_on(async {
            Run::start(store, Embedding::cores(encoder()), &options).expect("it starts").join().await
        })
        .expect("it ends");
    assert_eq!((report.files.indexed, report.files.skipped), (1, 1), "{report:?}");
}
