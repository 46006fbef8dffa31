//! Random histories of writing, forgetting, reopening and crashing, against a naive model in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const WORDS: [&str; 8] = ["heron", "stork", "ibis", "crane", "1990", "the", "egrets", "42"];

#[derive(Debug, Clone)]
enum Step {
    /// Paths and their texts, as indices of words, with a title or without.
    Write(Vec<(u8, bool, Vec<Vec<u8>>)>),
    Skip(u8),
    Fail(u8, bool),
    Forget(u8),
    Reopen,
    /// The next step's text commit is lost, and then the store is opened again.
    CrashAfter(Box<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let texts = proptest::collection::vec(proptest::collection::vec(0..WORDS.len() as u8, 0..6), 0..4);
    let write = proptest::collection::vec((0..6_u8, any::<bool>(), texts), 1..4).prop_map(Step::Write);
    let change = prop_oneof![
        4 => write,
        1 => (0..6_u8).prop_map(Step::Skip),
        1 => (0..6_u8, any::<bool>()).prop_map(|(path, lasting)| Step::Fail(path, lasting)),
        2 => (0..6_u8).prop_map(Step::Forget),
    ];
    prop_oneof![
        6 => change.clone(),
        1 => Just(Step::Reopen),
        2 => change.prop_map(|step| Step::CrashAfter(Box::new(step))),
    ]
}

/// Path → state and rows.
#[derive(Default)]
struct Model {
    states: BTreeMap<String, State>,
    rows: BTreeMap<String, (Option<&'static str>, Vec<String>)>,
}

fn path(number: u8) -> String {
    format!("/f{number}.txt")
}

fn text(words: &[u8]) -> String {
    words.iter().map(|word| WORDS[usize::from(*word)]).collect::<Vec<_>>().join(" ")
}

impl Model {
    fn apply(&mut self, step: &Step, store: &mut Store) {
        match step {
            Step::Write(files) => {
                let mut records = Vec::new();
                for (number, titled, texts) in files {
                    let title = titled.then_some("stork heaven");
                    let texts: Vec<String> = texts.iter().map(|words| text(words)).collect();
                    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
                    records.push(indexed(&path(*number), title, &borrowed));
                    self.states.insert(path(*number), State::Indexed);
                    self.rows.insert(path(*number), (title, texts));
                }
                store.write(&records).unwrap();
            }
            Step::Skip(number) => {
                store.write(&[record(&path(*number), Outcome::Skipped("so".into()))]).unwrap();
                self.states.insert(path(*number), State::Skipped);
                self.rows.remove(&path(*number));
            }
            Step::Fail(number, lasting) => {
                let kind = if *lasting { FailureKind::Parse } else { FailureKind::Io };
                store.write(&[failed(&path(*number), kind)]).unwrap();
                self.states.insert(path(*number), State::Failed);
                if *lasting {
                    self.rows.remove(&path(*number));
                }
            }
            Step::Forget(number) => {
                let known = self.states.remove(&path(*number)).is_some();
                assert_eq!(store.forget(&[&path(*number)]).unwrap(), u64::from(known));
                self.rows.remove(&path(*number));
            }
            Step::Reopen | Step::CrashAfter(_) => unreachable!("handled where the store is owned"),
        }
    }

    /// Every chunk's terms.
    fn chunks(&self) -> Vec<(String, BTreeMap<String, u32>, u32)> {
        let mut chunks = Vec::new();
        for (path, (title, texts)) in &self.rows {
            for text in texts {
                let (mut terms, mut length) = (BTreeMap::new(), 0);
                for term in analyse(text).chain(analyse(title.unwrap_or_default())) {
                    *terms.entry(term.text.clone().into_owned()).or_default() += 1;
                    length += u32::from(!term.is_number);
                }
                chunks.push((path.clone(), terms, length));
            }
        }
        chunks
    }

    fn check(&self, reader: &Reader) {
        let chunks = self.chunks();
        let entries = reader.ledger(None, None, 100).unwrap();
        let states: BTreeMap<_, _> = entries.into_iter().map(|entry| (entry.path, entry.state)).collect();
        assert_eq!(states, self.states);
        let snapshot = reader.snapshot().unwrap();
        let statistics = snapshot.statistics();
        assert_eq!((statistics.documents, statistics.chunks), (self.rows.len() as u64, chunks.len() as u64));
        let words: u32 = chunks.iter().map(|(_, _, length)| length).sum();
        if words > 0 {
            assert_eq!(statistics.average_length, f64::from(words) / chunks.len() as f64);
        }
        let terms: BTreeSet<String> =
            WORDS.iter().flat_map(|word| analyse(word).map(|term| term.text.into_owned())).collect();
        for term in &terms {
            let mut holders: Vec<&str> = chunks
                .iter()
                .filter(|(_, terms, _)| terms.contains_key(term))
                .map(|(path, ..)| path.as_str())
                .collect();
            let df = snapshot.term(term).unwrap().map_or(0, |(_, df)| df);
            assert_eq!(df, holders.len() as u64, "{term}");
            let mut found: Vec<String> = snapshot
                .text_candidates(&[(term, 1.0)], None, 100)
                .unwrap()
                .into_iter()
                .map(|(chunk, _)| snapshot.place_of(chunk).unwrap().unwrap().0)
                .collect();
            found.sort();
            holders.sort_unstable();
            assert_eq!(found, holders, "{term}");
        }
        self.check_rows(&snapshot);
        drop(snapshot);
        verify(reader);
    }

    fn check_rows(&self, snapshot: &Snapshot) {
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for chunk in snapshot.live().unwrap().iter() {
            let hit = snapshot.hit(chunk).unwrap().unwrap();
            assert_eq!(snapshot.vector_of(chunk).unwrap(), Some(vector(&hit.text)));
            rows.entry(hit.path).or_default().push(hit.text);
        }
        let expected: BTreeMap<String, Vec<String>> = self
            .rows
            .iter()
            .filter(|(_, (_, texts))| !texts.is_empty())
            .map(|(path, (_, texts))| (path.clone(), texts.clone()))
            .collect();
        assert_eq!(rows, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_history_equals_the_model(steps in proptest::collection::vec(step(), 1..10)) {
        let folder = tempfile::tempdir().unwrap();
        let (text, saved) = (folder.path().join("text"), folder.path().join("saved"));
        let mut store = Store::create(folder.path(), &configuration()).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Reopen => {
                    store.close().unwrap();
                    store = Store::open(folder.path()).unwrap();
                }
                Step::CrashAfter(step) => {
                    // Merges change the folder while it is copied; a closed store has none.
                    store.close().unwrap();
                    copy_folder(&text, &saved);
                    store = Store::open(folder.path()).unwrap();
                    model.apply(&step, &mut store);
                    drop(store);
                    copy_folder(&saved, &text);
                    store = Store::open(folder.path()).unwrap();
                }
                step => model.apply(&step, &mut store),
            }
            model.check(&store.reader().unwrap());
        }
    }
}
