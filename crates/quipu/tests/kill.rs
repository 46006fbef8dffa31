//! `quipu index` killed at twenty random moments: what is in the index afterwards is what a clean run makes.

#![cfg(unix)]

mod support;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use quipu_index::store::{Document, LedgerEntry, Reader, State, Vector};
use support::Place;

/// How often the run is killed.
const KILLS: u32 = 20;

/// How long a killed run's workers may take to notice that their parent is gone.
const WORKERS_GONE_WITHIN: Duration = Duration::from_secs(10);

/// Least cosine between a vector of the killed index and the clean one's.
const COSINE_MIN: f64 = 0.999_999;

#[test]
fn an_index_killed_twenty_times_equals_a_clean_one() {
    let place = Place::new();
    let clean = Place::new();
    for number in 0..60 {
        write_both(&place, &clean, &format!("{number:02}.md"), number);
    }
    let documents = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/documents");
    for entry in fs::read_dir(documents).expect("the examples are there").flatten() {
        let (name, bytes) = (entry.file_name(), fs::read(entry.path()).expect("an example"));
        for at in [&place, &clean] {
            at.write(name.to_str().expect("UTF-8"), &bytes);
        }
    }
    let started = Instant::now();
    place.index(0);
    let whole_run = started.elapsed();
    let mut moment = Moments::new();
    let manual = fs::read(format!("{documents}/heat-pump.pdf")).expect("an example");
    let mut workers_seen = 0;
    for kill in 0..KILLS {
        // Something to do in every round: edited, new and deleted files.
        for number in (kill..60).step_by(7).chain([100 + kill]) {
            write_both(&place, &clean, &format!("{number:02}.md"), 1_000 * (kill + 1) + number);
        }
        for at in [&place, &clean] {
            let _may_be_gone = fs::remove_file(at.files().join(format!("{:02}.md", 100 + kill / 2)));
        }
        // A changed pdf, so that a worker is there to be orphaned.
        let changed = [manual.as_slice(), format!("\n% round {kill}\n").as_bytes()].concat();
        for at in [&place, &clean] {
            at.write("heat-pump.pdf", &changed);
        }
        workers_seen += kill_after(&place, moment.within(whole_run));
    }
    assert!(workers_seen > 0, "no kill met a worker");
    place.index(0);
    clean.index(0);
    assert_eq!(place.json(0, &["verify"])["discrepancies_total"], 0);
    check_equal(&place, &clean);
}

/// The same document in both places; `seed` decides its text.
fn write_both(place: &Place, clean: &Place, name: &str, seed: u32) {
    let words =
        ["granite", "river", "lantern", "orchard", "compass", "meadow", "anvil", "harbour", "thistle"];
    let word = |at: u32| words[(seed.wrapping_mul(31) + at * at) as usize % words.len()];
    let sentences: String =
        (0..12).map(|at| format!("The {} {seed} meets the {}. ", word(at), word(at + 5))).collect();
    for at in [place, clean] {
        at.write(name, format!("# Note {seed}\n\n{sentences}\n\n## Second part\n\n{sentences}\n"));
    }
}

/// Starts a run, kills it after `delay`, and waits until its workers are gone; returns how many there were.
fn kill_after(place: &Place, delay: Duration) -> usize {
    let files = place.files();
    let mut run = place
        .command(&["index", files.to_str().expect("UTF-8")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    thread::sleep(delay);
    let children = children_of(run.id());
    run.kill().expect("it can be killed");
    run.wait().expect("it ends");
    let deadline = Instant::now() + WORKERS_GONE_WITHIN;
    while children.iter().any(|&pid| is_alive(pid)) {
        assert!(Instant::now() < deadline, "a worker outlived its parent");
        thread::sleep(Duration::from_millis(10));
    }
    children.len()
}

fn children_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended; whoever adopted it has not looked yet.
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

/// Both indexes hold the same: ledger entries, documents, chunks, vectors, answers.
fn check_equal(place: &Place, clean: &Place) {
    let (found, expected) = (contents(place), contents(clean));
    let names = |contents: &[(LedgerEntry, Option<Document>)]| -> Vec<String> {
        contents.iter().map(|(entry, _)| entry.path.clone()).collect()
    };
    assert_eq!(names(&found), names(&expected));
    for ((entry, document), (clean_entry, clean_document)) in found.into_iter().zip(expected) {
        assert_eq!((entry.state, &entry.message, entry.size, entry.content_hash), {
            (clean_entry.state, &clean_entry.message, clean_entry.size, clean_entry.content_hash)
        });
        match (document, clean_document) {
            (Some(document), Some(clean_document)) => check_documents(document, clean_document),
            (None, None) => {}
            _ => panic!("{} has rows in one index only", entry.path),
        }
    }
    for question in ["granite and a river", "how do I feed a starter", "\"meets the anvil\""] {
        assert_eq!(place.search(&[question]), clean.search(&[question]), "{question}");
    }
}

fn check_documents(mut document: Document, mut clean: Document) {
    for (chunk, clean_chunk) in document.chunks.iter_mut().zip(&mut clean.chunks) {
        let (vector, clean_vector) =
            (chunk.vector.take().expect("embedded"), clean_chunk.vector.take().expect("embedded"));
        assert!(cosine(&vector, &clean_vector) >= COSINE_MIN);
    }
    assert_eq!(document, clean);
}

/// Every ledger entry, with its path below the folder of documents, and the document that it has rows of.
fn contents(place: &Place) -> Vec<(LedgerEntry, Option<Document>)> {
    let reader = Reader::open(&place.db()).expect("the index opens");
    let entries = reader.ledger(None, None, 10_000).expect("the ledger reads");
    entries
        .into_iter()
        .map(|mut entry| {
            let hash = entry.content_hash.filter(|_| entry.state == State::Indexed);
            let document =
                hash.map(|hash| reader.document_by_content(&hash).expect("reads").expect("is there"));
            entry.path = entry.path.replace(place.files().to_str().expect("UTF-8"), "");
            (entry, document)
        })
        .collect()
}

fn cosine(a: &Vector, b: &Vector) -> f64 {
    let (a, b) = (a.dequantise(), b.dequantise());
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

/// Random moments; where a failure needs to be seen again, the index it leaves behind is what to look at.
struct Moments(RandomState, u64);

impl Moments {
    fn new() -> Self {
        Self(RandomState::new(), 0)
    }

    fn within(&mut self, span: Duration) -> Duration {
        self.1 += 1;
        let mut hasher = self.0.build_hasher();
        hasher.write_u64(self.1);
        span.mul_f64((hasher.finish() % 10_000) as f64 / 10_000.0)
    }
}
