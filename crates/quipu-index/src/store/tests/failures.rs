//! What was indexed before is never lost: crashes between commits, full disks, broken text folders, other
//! configurations, readers during writes.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;

use super::*;

#[test]
fn a_crash_between_the_two_commits_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved");
    let text = folder.path().join("text");
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron"]), indexed("/b", None, &["ibis"])]).unwrap();
    copy_folder(&text, &saved);
    store.write(&[indexed("/a", None, &["stork"]), indexed("/c", None, &["crane"])]).unwrap();
    store.close().unwrap();
    // As if the process had died after SQLite's commit and before the text index's.
    copy_folder(&saved, &text);
    let reader = Reader::open(folder.path()).unwrap();
    for (word, expected) in
        [("heron", vec![]), ("ibis", vec!["/b"]), ("stork", vec!["/a"]), ("crane", vec!["/c"])]
    {
        assert_eq!(paths_with(&reader, word), expected, "{word}");
    }
    verify(&reader);
}

#[test]
fn a_reader_between_the_two_commits_finds_the_new_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (text, saved) = (folder.path().join("text"), folder.path().join("saved"));
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let before = ["heron stork", "heron heron 7", "ibis in a long row of other birds"];
    store.write(&before.map(|text| indexed(&format!("/{}", text.len()), Some("Birds"), &[text]))).unwrap();
    copy_folder(&text, &saved);
    store
        .write(&[indexed("/11", Some("Birds"), &["heron 7 cranes"]), indexed("/new", None, &["heron"])])
        .unwrap();
    let query = [("heron", 1.0), ("bird", 0.5), ("7", 2.0)];
    let expected = store.reader().unwrap().snapshot().unwrap().text_candidates(&query, None, 10).unwrap();
    store.close().unwrap();
    // The lock is held while the text index is behind, as by a writer between its two commits.
    let lock = fs::OpenOptions::new().write(true).open(folder.path().join("lock")).unwrap();
    lock.try_lock().unwrap();
    copy_folder(&saved, &text);
    let reader = Reader::open(folder.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    assert!(!snapshot.is_in_step());
    let found = snapshot.text_candidates(&query, None, 10).unwrap();
    assert_eq!(found.len(), 4);
    for ((chunk, score), (expected_chunk, expected_score)) in found.iter().zip(&expected) {
        assert_eq!(chunk, expected_chunk);
        assert!((score - expected_score).abs() < 1e-4, "{score} {expected_score}");
    }
    let phrase = |text: &str| {
        let terms: Vec<_> = analyse(text).collect();
        snapshot.phrase(&terms).unwrap().iter().collect::<Vec<_>>()
    };
    assert_eq!(
        (phrase("heron 7"), phrase("heron stork"), phrase("birds")),
        (vec![1, 3], vec![], vec![1, 2, 3])
    );
}

#[test]
fn a_text_index_that_is_missing_or_garbage_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    let other = tempfile::tempdir().unwrap();
    let write = |folder: &Path, word: &str| {
        let mut store = Store::open_or_create(folder, &configuration()).unwrap();
        store.write(&[indexed("/a", None, &[word])]).unwrap();
        store.close().unwrap();
    };
    write(folder.path(), "heron");
    write(other.path(), "goose");
    type Breakage<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let breakages: [Breakage<'_>; 5] = [
        ("missing", Box::new(|| fs::remove_dir_all(&text).unwrap())),
        (
            "empty",
            Box::new(|| {
                fs::read_dir(&text).unwrap().for_each(|f| fs::remove_file(f.unwrap().path()).unwrap())
            }),
        ),
        ("garbage", Box::new(|| fs::write(text.join("meta.json"), "{]").unwrap())),
        (
            "truncated",
            Box::new(|| {
                for file in fs::read_dir(&text).unwrap() {
                    let path = file.unwrap().path();
                    if path.extension().is_some_and(|extension| extension != "json") {
                        fs::write(path, "x").unwrap();
                    }
                }
            }),
        ),
        ("of another index", Box::new(|| copy_folder(&other.path().join("text"), &text))),
    ];
    for (what, break_it) in breakages {
        break_it();
        let reader = Reader::open(folder.path()).unwrap();
        assert_eq!(paths_with(&reader, "heron"), ["/a"], "{what}");
        assert_eq!(paths_with(&reader, "goose"), [] as [&str; 0], "{what}");
        verify(&reader);
    }
}

#[test]
fn a_text_index_far_behind_the_log_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (text, saved) = (folder.path().join("text"), folder.path().join("saved"));
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron"])]).unwrap();
    copy_folder(&text, &saved);
    for word in ["ibis", "stork", "crane"] {
        store.write(&[indexed(&format!("/{word}"), None, &[word])]).unwrap();
    }
    store.close().unwrap();
    copy_folder(&saved, &text);
    let store = Store::open(folder.path()).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(paths_with(&reader, "ibis"), ["/ibis"]);
    assert_eq!(verify(&reader).chunks, 4);
}

#[test]
fn a_full_database_stores_nothing_of_the_batch_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron"])]).unwrap();
    let pages = store.limit_pages(2);
    let long: Vec<String> = (0..300).map(|n| format!("word{n} {}", "filler ".repeat(200))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let refused = store.write(&[indexed("/a", None, &["stork"]), indexed("/long", None, &long)]);
    assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "{refused:?}");
    let reader = store.reader().unwrap();
    assert_eq!(paths_with(&reader, "heron"), ["/a"]);
    assert_eq!(paths_with(&reader, "stork"), [] as [&str; 0]);
    assert_eq!(store.sequence(), 1);
    verify(&reader);
    store.limit_pages(pages);
    store.write(&[indexed("/a", None, &["stork"]), indexed("/long", None, &long)]).unwrap();
    assert_eq!(paths_with(&reader, "stork"), ["/a"]);
    verify(&reader);
}

#[test]
fn a_text_folder_that_cannot_be_written_stores_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron"])]).unwrap();
    // A file in place of the folder: permissions would not stop a test that runs as root.
    let away = folder.path().join("away");
    fs::rename(&text, &away).unwrap();
    fs::write(&text, "in the way").unwrap();
    let refused = store.write(&[indexed("/b", None, &["stork"])]);
    assert!(matches!(refused, Err(StoreError::Text { .. } | StoreError::Io { .. })), "{refused:?}");
    fs::remove_file(&text).unwrap();
    fs::rename(&away, &text).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(paths_with(&reader, "heron"), ["/a"]);
    assert_eq!(reader.entry("/b").unwrap(), None);
    store.write(&[indexed("/b", None, &["stork"])]).unwrap();
    assert_eq!(paths_with(&reader, "stork"), ["/b"]);
    verify(&reader);
}

#[test]
fn another_configuration_is_refused_and_the_fix_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron"])]).unwrap();
    store.remember_root("/root").unwrap();
    drop(store);
    let other = Configuration { hash: [4; 32], ..configuration() };
    let refused = Store::open_or_create(folder.path(), &other).err().unwrap();
    assert!(matches!(refused, StoreError::Configuration { .. }));
    assert!(refused.to_string().contains("--rebuild"), "{refused}");
    let reader = Reader::open(folder.path()).unwrap();
    assert!(reader.expect(&other).is_err() && reader.expect(&configuration()).is_ok());
    let store = Store::rebuild(folder.path(), &other).unwrap();
    assert_eq!(store.configuration(), &other);
    assert_eq!(reader.counts().unwrap(), Counts::default());
    assert_eq!(reader.roots().unwrap(), ["/root"]);
    assert_eq!(paths_with(&reader, "heron"), [] as [&str; 0]);
    verify(&reader);
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &configuration()).unwrap();
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    Reader::open(folder.path()).unwrap().snapshot().unwrap();
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_vector_of_other_dimensions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let mut wrong = document(None, &["heron"]);
    wrong.chunks[0].vector = Some(Vector::quantise(&[1.0; DIMENSIONS + 1]));
    let refused = store.write(&[record("/a", Outcome::Indexed(Box::new(wrong)))]);
    assert!(matches!(refused, Err(StoreError::Record { .. })));
    assert_eq!(store.reader().unwrap().counts().unwrap(), Counts::default());
}

#[test]
fn readers_see_one_version_while_batches_come_in() {
    const BATCHES: usize = 30;
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let paths = ["/a", "/b", "/c"];
    let batch = |n: usize| paths.map(|path| indexed(path, None, &[&format!("common version{n}x")]));
    store.write(&batch(0)).unwrap();
    let (reader, done) = (store.reader().unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let snapshot = reader.snapshot().unwrap();
                    let found = snapshot.text_candidates(&[("common", 1.0)], None, 10).unwrap();
                    let mut texts: Vec<String> =
                        found.iter().map(|(chunk, _)| snapshot.hit(*chunk).unwrap().unwrap().text).collect();
                    assert_eq!(texts.len(), 3, "each document is found, old or new");
                    texts.dedup();
                    assert_eq!(texts.len(), 1, "all of one batch");
                    assert_eq!(snapshot.live().unwrap().count(), 3);
                    assert_eq!(snapshot.statistics().chunks, 3);
                }
            });
        }
        for n in 1..BATCHES {
            store.write(&batch(n)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    verify(&reader);
}

#[test]
fn verification_notices_what_was_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    store.write(&[indexed("/a", None, &["heron stork"]), indexed("/b", None, &["ibis"])]).unwrap();
    let reader = store.reader().unwrap();
    let tampering = [
        (
            "UPDATE term SET df = df + 1 WHERE text = 'heron'",
            "UPDATE term SET df = df - 1 WHERE text = 'heron'",
            "heron",
        ),
        ("UPDATE meta SET words = words + 1", "UPDATE meta SET words = words - 1", "words"),
        (
            "UPDATE file SET state = 'skipped' WHERE path = '/a'",
            "UPDATE file SET state = 'indexed' WHERE path = '/a'",
            "/a",
        ),
        (
            "UPDATE document SET missing = 1 WHERE id = 1",
            "UPDATE document SET missing = 0 WHERE id = 1",
            "vectors",
        ),
        ("UPDATE vector_block SET codes = zeroblob(length(codes))", "SELECT 1", "block"),
    ];
    let connection = Connection::open(folder.path().join("index.db")).unwrap();
    for (sql, back, expected) in tampering {
        connection.execute_batch(sql).unwrap();
        let mut found = Vec::new();
        let verified = reader.verify(&mut |discrepancy| found.push(discrepancy.what)).unwrap();
        assert!(
            verified.discrepancies > 0 && found.iter().any(|what| what.contains(expected)),
            "{sql}: {found:?}"
        );
        connection.execute_batch(back).unwrap();
    }
}
