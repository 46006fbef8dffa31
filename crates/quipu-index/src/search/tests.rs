//! The search against a real store: what a query finds, compared with formulas run over everything.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::store::{Chunk, Configuration, Document, FileRecord, Outcome, Store, Vector, analyse};

const DIMENSIONS: usize = 32;
const DOCUMENTS: usize = 300;

/// An index in a folder of its own.
struct Index {
    reader: Reader,
    _store: Store,
    _folder: TempDir,
}

impl Index {
    fn of(documents: &[Made]) -> Self {
        let folder = TempDir::new().unwrap();
        let configuration = Configuration { model: "made".into(), dimensions: DIMENSIONS, hash: [7; 32] };
        let mut store = Store::create(&folder.path().join("index"), &configuration).unwrap();
        for batch in documents.chunks(64) {
            store.write(&batch.iter().map(Made::record).collect::<Vec<_>>()).unwrap();
        }
        Self { reader: store.reader().unwrap(), _store: store, _folder: folder }
    }

    fn ask(&self, query: &Query, vector: &[f32]) -> Vec<Hit> {
        search_with_vector(&self.reader, Some(vector), query).unwrap().hits
    }

    fn paths(&self, query: &Query, vector: &[f32]) -> Vec<String> {
        self.ask(query, vector).into_iter().map(|hit| hit.path).collect()
    }
}

/// A document of chunks, each a text and the seed of a vector.
#[derive(Clone)]
struct Made {
    path: String,
    title: Option<String>,
    chunks: Vec<(String, Option<u64>)>,
}

impl Made {
    fn new(path: &str, text: &str, seed: u64) -> Self {
        Self { path: path.into(), title: None, chunks: vec![(text.into(), Some(seed))] }
    }

    fn record(&self) -> FileRecord {
        let mut start = 0;
        let chunks = self.chunks.iter().zip(1_u32..).map(|((text, seed), page)| {
            let range = start..start + text.len() as u64;
            start = range.end + 1;
            Chunk {
                text: text.clone(),
                range,
                lines: None,
                page: Some(page),
                heading: Some("A > B".into()),
                hash: *blake3::hash(format!("{text} {seed:?}").as_bytes()).as_bytes(),
                vector: seed.map(|seed| Vector::quantise(&embedding(seed))),
            }
        });
        let document = Document {
            title: self.title.clone(),
            mime: "text/plain".into(),
            format: "text".into(),
            metadata: BTreeMap::from([("project".into(), "quipu".into())]),
            chunks: chunks.collect(),
            ..Document::default()
        };
        let outcome = Outcome::Indexed(Box::new(document));
        FileRecord { path: self.path.clone(), size: 1, modified_ns: 1, content_hash: None, outcome }
    }
}

/// A unit vector, the same for the same seed.
fn embedding(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f32> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    })
    .take(DIMENSIONS)
    .collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

fn query(text: &str, mode: Mode) -> Query {
    Query { mode, limit: 10, ..Query::new(text) }
}

/// Documents over a small vocabulary, a few words common and most rare.
fn corpus() -> Vec<Made> {
    let words = ["ice", "rock", "lava", "river", "delta", "glacier", "sediment", "basalt", "1999", "quartz"];
    let made = |number: usize| {
        let text: Vec<&str> = (0..5 + number % 11)
            .map(|place| words[(number * 7 + place * place * (1 + number % 3)) % (2 + (number + place) % 9)])
            .collect();
        let folder = ["notes", "papers", "old"][number % 3];
        let title = (number.is_multiple_of(4)).then(|| words[number % words.len()].to_owned());
        Made { title, ..Made::new(&format!("/{folder}/{number:03}.md"), &text.join(" "), number as u64) }
    };
    (0..DOCUMENTS).map(made).collect()
}

/// BM25 of every document by counting words, nothing of the store's involved but the analyser.
fn bm25_by_hand(documents: &[Made], query: &str) -> Vec<(String, f64)> {
    let bags: Vec<(String, BTreeMap<String, f64>, f64)> = documents
        .iter()
        .map(|document| {
            let mut bag: BTreeMap<String, f64> = BTreeMap::new();
            let mut length = 0.0;
            let title = document.title.clone().unwrap_or_default();
            for term in analyse(&title).chain(analyse(&document.chunks[0].0)) {
                *bag.entry(term.text.to_string()).or_default() += 1.0;
                length += if term.is_number { 0.0 } else { 1.0 };
            }
            (document.path.clone(), bag, length)
        })
        .collect();
    let count = bags.len() as f64;
    let average = bags.iter().map(|bag| bag.2).sum::<f64>() / count;
    let score = |bag: &BTreeMap<String, f64>, length: f64| {
        analyse(query)
            .map(|term| {
                let term = term.text.as_ref();
                let holders = bags.iter().filter(|other| other.1.contains_key(term)).count() as f64;
                let idf = ((count - holders + 0.5) / (holders + 0.5) + 1.0).ln();
                let frequency = bag.get(term).copied().unwrap_or(0.0);
                idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * length / average))
            })
            .sum::<f64>()
    };
    let mut scores: Vec<(String, f64)> =
        bags.iter().map(|(path, bag, length)| (path.clone(), score(bag, *length))).collect();
    scores.retain(|(_, score)| *score > 0.0);
    scores.sort_by(|a, b| if (a.1 - b.1).abs() < 1e-9 { a.0.cmp(&b.0) } else { b.1.total_cmp(&a.1) });
    scores
}

#[test]
fn text_mode_is_bm25_over_everything() {
    let documents = corpus();
    let index = Index::of(&documents);
    for text in ["glacier", "lava river", "basalt basalt ice", "sediment 1999", "quartz unknownword"] {
        let expected = bm25_by_hand(&documents, text);
        let found = index.ask(&Query { limit: 40, ..query(text, Mode::Text) }, &embedding(1));
        assert_eq!(found.len(), expected.len().min(40), "{text}");
        for (hit, (path, score)) in found.iter().zip(&expected) {
            assert!((hit.score - score).abs() < 1e-6, "{text}: {} {} {path} {score}", hit.path, hit.score);
            assert_eq!(&hit.path, path, "{text}");
        }
    }
}

#[test]
fn vector_mode_is_the_cosine_over_everything() {
    let documents = corpus();
    let index = Index::of(&documents);
    let vector = embedding(5_000);
    let mut expected: Vec<(String, f32)> = documents
        .iter()
        .zip(0..)
        .map(|(document, seed)| (document.path.clone(), Vector::quantise(&embedding(seed)).dot(&vector)))
        .collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let paths: Vec<String> = expected[..10].iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(index.paths(&query("anything", Mode::Vector), &vector), paths);
}

#[test]
fn a_filter_leaves_the_ranking_of_what_it_leaves() {
    let documents = corpus();
    let index = Index::of(&documents);
    let kept = |path: &String| path.starts_with("/old/");
    let filter = Some("path LIKE '/old/%'".to_owned());
    for mode in [Mode::Text, Mode::Vector] {
        let all = Query { limit: DOCUMENTS, ..query("lava river", mode) };
        let mut expected = index.paths(&all, &embedding(9));
        expected.retain(kept);
        let found = index.paths(&Query { filter: filter.clone(), ..all }, &embedding(9));
        assert_eq!(found, expected, "{mode:?}");
    }
    let hybrid = Query { filter, ..query("lava river", Mode::Hybrid) };
    let found = index.paths(&hybrid, &embedding(9));
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(kept));
}

/// The bug of the peers: the best k are taken first and then filtered, and nothing is left.
#[test]
fn a_filter_never_empties_an_answer_that_exists() {
    let mut documents: Vec<Made> =
        (0..800).map(|n| Made::new(&format!("/many/{n:04}.md"), "lava lava lava", 1)).collect();
    let long = format!("lava {}", "something else entirely ".repeat(40));
    documents.push(Made::new("/one/far.md", &long, 12_345));
    let index = Index::of(&documents);
    for (mode, rank) in [(Mode::Text, Rank::Fast), (Mode::Vector, Rank::Fast), (Mode::Hybrid, Rank::Default)]
    {
        let filter = Some("path LIKE '/one/%'".to_owned());
        let asked = Query { filter, rank, ..query("lava", mode) };
        assert_eq!(index.paths(&asked, &embedding(1)), ["/one/far.md"], "{mode:?}");
    }
}

/// One long document must not push the others out: the limit counts documents.
#[test]
fn a_document_comes_once_by_its_best_chunk() {
    let mut long = Made::new("/long.md", "lava", 1);
    long.chunks = (0..900).map(|n| (format!("lava lava lava number {n}"), Some(1))).collect();
    long.chunks[500].0 = "lava lava lava lava lava".to_owned();
    let others =
        (0..3).map(|n| Made::new(&format!("/other{n}.md"), "some lava far below the rest here", 50 + n));
    let index = Index::of(&[vec![long], others.collect()].concat());
    for mode in [Mode::Text, Mode::Vector, Mode::Hybrid] {
        let found = index.ask(&query("lava", mode), &embedding(1));
        let mut paths: Vec<&str> = found.iter().map(|hit| hit.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/long.md", "/other0.md", "/other1.md", "/other2.md"], "{mode:?}");
        assert_eq!(found[0].path, "/long.md", "{mode:?}");
    }
    assert_eq!(index.ask(&query("lava", Mode::Text), &embedding(1))[0].page, Some(501));
}

#[test]
fn equal_scores_are_ordered_by_place() {
    let made = |path: &str| Made::new(path, "equal words", 3);
    let index = Index::of(&[made("/c.md"), made("/a.md"), made("/b.md")]);
    for mode in [Mode::Text, Mode::Vector, Mode::Hybrid] {
        let found = index.paths(&Query { limit: 2, ..query("equal", mode) }, &embedding(1));
        assert_eq!(found, ["/a.md", "/b.md"], "{mode:?}");
    }
}

#[test]
fn a_quoted_phrase_must_occur() {
    let documents = [
        Made::new("/whole.md", "the delta of the river is wide", 1),
        Made::new("/apart.md", "river river river: a delta is not near", 2),
        Made::new("/turned.md", "wide is the river delta", 3),
    ];
    let index = Index::of(&documents);
    for mode in [Mode::Text, Mode::Vector, Mode::Hybrid] {
        assert_eq!(index.paths(&query("\"river delta\"", mode), &embedding(2)), ["/turned.md"], "{mode:?}");
        assert_eq!(index.paths(&query("\"no such words\" river", mode), &embedding(2)), [""; 0], "{mode:?}");
    }
}

#[test]
fn chunks_that_wait_for_their_vector_are_found_by_words() {
    let mut documents = corpus();
    documents.push(Made { chunks: vec![("obsidian shines".into(), None)], ..Made::new("/new.md", "", 0) });
    let index = Index::of(&documents);
    assert_eq!(index.paths(&query("obsidian", Mode::Hybrid), &embedding(1))[0], "/new.md");
    assert_eq!(index.paths(&query("obsidian", Mode::Text), &embedding(1)), ["/new.md"]);
    assert!(!index.paths(&query("obsidian", Mode::Vector), &embedding(1)).contains(&"/new.md".to_owned()));
}

/// Who types words of a document is to find it, whatever its vector says.
#[test]
fn a_known_item_comes_first() {
    let mut documents = corpus();
    documents.push(Made::new("/wanted.md", "seven quite unusual words written exactly here", 77));
    let index = Index::of(&documents);
    for rank in [Rank::Fast, Rank::Default] {
        let asked = Query { rank, ..query("seven quite unusual words written exactly", Mode::Hybrid) };
        assert_eq!(index.paths(&asked, &embedding(4_711))[0], "/wanted.md");
    }
}

#[test]
fn feedback_finds_what_shares_words_with_the_best() {
    // All but the asked have one vector: only words can tell the related one from the filler.
    let mut documents: Vec<Made> = (0..100)
        .map(|n| Made::new(&format!("/filler/{n:03}.md"), &format!("filler{n} padding{n} stuffing{n}"), 2))
        .collect();
    for n in 0..6 {
        documents.push(Made::new(&format!("/asked/{n}.md"), &format!("tephra eruption plume{n}"), 1));
    }
    documents.push(Made::new("/related.md", "eruption eruption eruption", 2));
    let index = Index::of(&documents);
    let place = |rank| {
        let asked = Query { rank, limit: 107, ..query("tephra", Mode::Hybrid) };
        index.paths(&asked, &embedding(1)).iter().position(|path| path == "/related.md").unwrap()
    };
    assert_eq!((place(Rank::Fast), place(Rank::Default)), (106, 6));
}

#[test]
fn scores_never_rise_along_an_answer() {
    let index = Index::of(&corpus());
    for (mode, rank) in [(Mode::Text, Rank::Fast), (Mode::Hybrid, Rank::Fast), (Mode::Hybrid, Rank::Default)]
    {
        let asked = Query { rank, limit: DOCUMENTS, ..query("lava river ice", mode) };
        let found = index.ask(&asked, &embedding(3));
        assert!(found.len() > 200, "{}", found.len());
        assert!(found.is_sorted_by(|a, b| a.score >= b.score), "{mode:?} {rank:?}");
    }
}

#[test]
fn a_hit_says_where_it_is_and_why() {
    let mut made = Made::new("/guide.md", "first chunk", 1);
    made.title = Some("Guide".into());
    made.chunks.push(("Glaciers carve valleys.".into(), Some(2)));
    let index = Index::of(&[made]);
    let hits = index.ask(&query("glacier", Mode::Text), &embedding(1));
    let shown = serde_json::to_value(&hits[0]).unwrap();
    assert_eq!(shown["path"], "/guide.md");
    assert_eq!(shown["title"], "Guide");
    assert_eq!(shown["snippet"], "**Glaciers** carve valleys.");
    assert_eq!(shown["range"], serde_json::json!([12, 35]));
    assert_eq!(shown["page"], 2);
    assert_eq!(shown["heading"], "A > B");
    assert_eq!(shown["lines"], serde_json::Value::Null);
    assert_eq!(shown["metadata"]["project"], "quipu");
    assert_eq!(shown["metadata"]["format"], "text");
}

#[test]
fn questions_that_cannot_be_answered() {
    let index = Index::of(&corpus()[..3]);
    let ask = |query: &Query, vector: Option<&[f32]>| search_with_vector(&index.reader, vector, query);
    let right = embedding(1);
    assert!(matches!(ask(&query("  \"\" ", Mode::Text), None), Err(SearchError::Empty)));
    assert!(matches!(ask(&query("ice", Mode::Hybrid), None), Err(SearchError::NoEmbedder)));
    assert!(matches!(search(&index.reader, None, &query("ice", Mode::Vector)), Err(SearchError::NoEmbedder)));
    assert!(matches!(ask(&query("ice", Mode::Vector), Some(&[1.0])), Err(SearchError::Dimensions { .. })));
    let none = Query { limit: 0, ..query("ice", Mode::Text) };
    assert!(matches!(ask(&none, None), Err(SearchError::Limit { .. })));
    let broken = Query { filter: Some("paht = 'x'".into()), ..query("ice", Mode::Text) };
    assert!(matches!(ask(&broken, None), Err(SearchError::Filter(_))));
    assert!(ask(&query("the of and", Mode::Text), None).unwrap().hits.is_empty());
    assert!(!ask(&query("the of and", Mode::Hybrid), Some(&right)).unwrap().hits.is_empty());
}

#[test]
fn an_empty_index_answers_with_nothing() {
    let index = Index::of(&[]);
    for mode in [Mode::Text, Mode::Vector, Mode::Hybrid] {
        assert_eq!(index.paths(&query("anything", mode), &embedding(1)), [""; 0], "{mode:?}");
    }
}
