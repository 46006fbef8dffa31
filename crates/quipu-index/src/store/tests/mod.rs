//! The store as a whole, on real files: against a naive model in memory (`model`), when things break
//! (`failures`), and `--where` against predicates evaluated in Rust (`filters`).

mod failures;
mod filters;
mod model;

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

pub(super) const DIMENSIONS: usize = 16;

pub(super) fn configuration() -> Configuration {
    Configuration { model: "test-model".into(), dimensions: DIMENSIONS, hash: [3; 32] }
}

/// A vector that follows from a text, so that equal texts have equal vectors.
pub(super) fn vector(text: &str) -> Vector {
    let hash = blake3::hash(text.as_bytes());
    let values: Vec<f32> =
        hash.as_bytes()[..DIMENSIONS].iter().map(|byte| f32::from(*byte) / 128.0 - 1.0).collect();
    Vector::quantise(&values)
}

pub(super) fn chunk(text: &str, start: u64, with_vector: bool) -> Chunk {
    Chunk {
        text: text.into(),
        range: start..start + text.len() as u64,
        lines: Some((1, 2)),
        page: None,
        heading: None,
        hash: *blake3::hash(text.as_bytes()).as_bytes(),
        vector: with_vector.then(|| vector(text)),
    }
}

pub(super) fn document(title: Option<&str>, texts: &[&str]) -> Document {
    let chunks = texts.iter().enumerate().map(|(index, text)| chunk(text, index as u64 * 100, true));
    Document {
        title: title.map(str::to_owned),
        mime: "text/plain".into(),
        format: "text".into(),
        metadata: BTreeMap::new(),
        chunks: chunks.collect(),
        ..Document::default()
    }
}

pub(super) fn record(path: &str, outcome: Outcome) -> FileRecord {
    let content_hash = Some(*blake3::hash(path.as_bytes()).as_bytes());
    FileRecord { path: path.into(), size: 10, modified_ns: 1_000_000_000, content_hash, outcome }
}

pub(super) fn indexed(path: &str, title: Option<&str>, texts: &[&str]) -> FileRecord {
    record(path, Outcome::Indexed(Box::new(document(title, texts))))
}

pub(super) fn failed(path: &str, kind: FailureKind) -> FileRecord {
    record(path, Outcome::Failed(Failure { kind, message: "it did not work".into() }))
}

/// The paths of the chunks that hold a word, by the text index.
pub(super) fn paths_with(reader: &Reader, word: &str) -> Vec<String> {
    let snapshot = reader.snapshot().unwrap();
    let terms: Vec<String> = analyse(word).map(|term| term.text.into_owned()).collect();
    let terms: Vec<(&str, f32)> = terms.iter().map(|term| (term.as_str(), 1.0)).collect();
    let found = snapshot.text_candidates(&terms, None, 1000).unwrap();
    let mut paths: Vec<String> =
        found.into_iter().map(|(chunk, _)| snapshot.hit(chunk).unwrap().unwrap().path).collect();
    paths.sort();
    paths
}

/// Fails unless everything agrees.
pub(super) fn verify(reader: &Reader) -> Verified {
    let mut found = Vec::new();
    let verified = reader.verify(&mut |discrepancy| found.push(discrepancy)).unwrap();
    assert_eq!(found, []);
    verified
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn what_is_written_is_found_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let sequence = store
        .write(&[
            indexed("/a/one.txt", Some("Cores"), &["sharing cores between stages", "nothing of note 1990"]),
            indexed("/a/two.txt", None, &["another text about stages"]),
            record("/a/.git", Outcome::Skipped("hidden".into())),
        ])
        .unwrap();
    assert_eq!(sequence, 1);
    let reader = store.reader().unwrap();
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.sequence(), 1);
    assert_eq!(snapshot.statistics().chunks, 3);
    let hits = snapshot.text_candidates(&[("core", 1.0)], None, 10).unwrap();
    assert_eq!(hits.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), [0, 1], "the title counts");
    assert!(hits[0].1 > hits[1].1);
    let hit = snapshot.hit(0).unwrap().unwrap();
    assert_eq!((hit.path.as_str(), hit.range, hit.lines), ("/a/one.txt", 0..28, Some((1, 2))));
    let number = snapshot.term("1990").unwrap().unwrap();
    assert!(number.0.is_number() && number.1 == 1);
    assert_eq!(snapshot.text_candidates(&[("1990", 1.0)], None, 10).unwrap().len(), 1);
    let terms = snapshot.terms_of(1).unwrap().unwrap();
    assert_eq!((terms.length, terms.terms.len()), (3, 4), "note, noth, core; 1990 has no length");
    let nearest = snapshot.vector_candidates(&vector("another text about stages").dequantise(), None, 1);
    assert_eq!(nearest.unwrap()[0].0, 2);
    let counts = reader.counts().unwrap();
    assert_eq!((counts.indexed, counts.skipped, counts.chunks, counts.vectors), (2, 1, 3, 3));
    drop(snapshot);
    verify(&reader);
}

#[test]
fn phrases_are_exact_and_stay_within_body_or_title() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let texts =
        ["the state of the art", "art of state", "cores of 2 machines", "cores of 3 machines, 2 disks"];
    store.write(&[indexed("/a", Some("Machines rule"), &texts)]).unwrap();
    let snapshot = store.reader().unwrap().snapshot().unwrap();
    let phrase = |text: &str| {
        let terms: Vec<_> = analyse(text).collect();
        snapshot.phrase(&terms).unwrap().iter().collect::<Vec<_>>()
    };
    assert_eq!(phrase("state of the art"), [0]);
    assert_eq!(phrase("cores of 2 machines"), [2]);
    assert_eq!(phrase("machines rule"), [0, 1, 2, 3]);
    assert_eq!(phrase("machines machines rule"), [] as [u32; 0], "not from body into title");
    assert_eq!(phrase("2"), [2, 3]);
    assert_eq!(phrase("of the"), [0, 1, 2, 3], "without terms it says nothing");
}

#[test]
fn text_is_found_before_its_vectors_are_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let mut waiting = document(None, &["early bird", "second worm"]);
    waiting.chunks.iter_mut().for_each(|chunk| chunk.vector = None);
    store.write(&[record("/a", Outcome::Indexed(Box::new(waiting)))]).unwrap();
    let reader = store.reader().unwrap();
    let entry = |reader: &Reader| reader.entry("/a").unwrap().unwrap();
    assert_eq!((entry(&reader).state, entry(&reader).message.as_deref()), (State::Pending, Some("vectors")));
    assert_eq!(paths_with(&reader, "bird"), ["/a"]);
    verify(&reader);
    store.add_vectors(&[(0, vector("early bird"))]).unwrap();
    assert_eq!(entry(&reader).state, State::Pending);
    store.add_vectors(&[(1, vector("second worm")), (0, vector("ignored")), (9, vector("gone"))]).unwrap();
    assert_eq!((entry(&reader).state, entry(&reader).message), (State::Indexed, None));
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.vector_of(0).unwrap(), Some(vector("early bird")));
    drop(snapshot);
    assert_eq!(verify(&reader).vectors, 2);
}

#[test]
fn old_rows_stay_through_passing_failures_and_go_with_lasting_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["falcon"])]).unwrap();
    let reader = store.reader().unwrap();
    for (kind, kept) in [(FailureKind::Io, true), (FailureKind::Timeout, true), (FailureKind::Parse, false)] {
        store.write(&[failed("/a", kind)]).unwrap();
        assert_eq!(paths_with(&reader, "falcon").len(), usize::from(kept), "{kind:?}");
        verify(&reader);
    }
}

#[test]
fn passing_failures_are_due_three_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let reader = store.reader().unwrap();
    let hash = configuration().hash;
    for attempt in 1..=ATTEMPTS_MAX {
        store.write(&[failed("/a", FailureKind::Timeout), failed("/b", FailureKind::Parse)]).unwrap();
        let entry = reader.entry("/a").unwrap().unwrap();
        assert_eq!(entry.attempts, attempt);
        assert_eq!(entry.is_due(10, 1_000_000_000, &hash), attempt < ATTEMPTS_MAX);
        assert!(entry.is_due(11, 1_000_000_000, &hash), "another size is another file");
        assert!(entry.is_due(10, 1_000_000_000, &[0; 32]), "so is another configuration");
        assert!(!reader.entry("/b").unwrap().unwrap().is_due(10, 1_000_000_000, &hash));
    }
    assert_eq!(reader.failures(10).unwrap().len(), 2);
    assert_eq!(store.retry_failed().unwrap(), 2);
    assert!(reader.entry("/b").unwrap().unwrap().is_due(10, 1_000_000_000, &hash));
}

#[test]
fn the_same_content_and_the_same_chunks_are_known_under_any_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let original = indexed("/a", Some("T"), &["alpha", "beta"]);
    store.write(std::slice::from_ref(&original)).unwrap();
    let reader = store.reader().unwrap();
    let found = reader.document_by_content(&original.content_hash.unwrap()).unwrap().unwrap();
    assert_eq!(Outcome::Indexed(Box::new(found)), original.outcome);
    assert_eq!(reader.document_by_content(&[0; 32]).unwrap(), None);
    let hashes = [*blake3::hash(b"beta").as_bytes(), [0; 32]];
    assert_eq!(reader.vectors_by_hash(&hashes).unwrap(), [Some(vector("beta")), None]);
}

#[test]
fn a_sweep_takes_what_is_gone_and_spares_what_could_not_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let paths = ["/r/gone", "/r/kept", "/r/locked/file", "/r-other/file", "/x/file"];
    store.write(&paths.map(|path| indexed(path, None, &[path]))).unwrap();
    let mut seen = SeenSet::new().unwrap();
    seen.insert(&["/r/kept"]).unwrap();
    assert_eq!(store.sweep(&seen, &["/r"], &["/r/locked"]).unwrap(), 1);
    let reader = store.reader().unwrap();
    let left: Vec<_> = reader.ledger(None, None, 10).unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(left, ["/r-other/file", "/r/kept", "/r/locked/file", "/x/file"]);
    assert_eq!(store.forget_below("/r").unwrap(), 2);
    assert_eq!(store.forget(&["/x/file", "/never/there"]).unwrap(), 1);
    assert_eq!(verify(&reader).documents, 1);
}

#[test]
fn roots_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.remember_root("/b").unwrap();
    store.remember_root("/a").unwrap();
    store.remember_root("/a").unwrap();
    assert!(store.forget_root("/b").unwrap() && !store.forget_root("/c").unwrap());
    assert_eq!(store.reader().unwrap().roots().unwrap(), ["/a"]);
}

#[test]
fn documents_without_chunks_disturb_no_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/empty", None, &[]), indexed("/full", None, &["gecko"])]).unwrap();
    store.forget(&["/empty"]).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(paths_with(&reader, "gecko"), ["/full"]);
    verify(&reader);
}

#[test]
fn a_path_twice_in_a_batch_counts_with_its_last_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron"]), indexed("/a", None, &["ibis"])]).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!((paths_with(&reader, "heron").len(), paths_with(&reader, "ibis").len()), (0, 1));
    verify(&reader);
}

#[test]
fn readers_and_store_can_be_shared_as_they_must() {
    fn check<T: Send>() {}
    fn check_shared<T: Send + Sync>() {}
    check::<Store>();
    check::<SeenSet>();
    check_shared::<Reader>();
    check_shared::<Snapshot>();
}
