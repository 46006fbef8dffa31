//! `--where` against predicates evaluated in Rust over the same rows, and against those who try to get out.

use proptest::prelude::*;

use super::*;

/// What the oracle knows of a chunk.
#[derive(Debug, Clone)]
struct Row {
    path: String,
    ext: &'static str,
    size: u64,
    author: Option<&'static str>,
    tag: Option<&'static str>,
    page: Option<u32>,
    text: String,
}

/// A predicate that can be said in SQL and decided in Rust. `None` is SQL's NULL.
#[derive(Debug, Clone)]
enum Predicate {
    Ext(&'static str),
    SizeAbove(u64),
    Author(&'static str),
    AuthorMissing,
    Tag(&'static str),
    PageAtLeast(u32),
    TextLike(&'static str),
    NameLike(&'static str),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

impl Predicate {
    fn sql(&self) -> String {
        match self {
            Self::Ext(ext) => format!("ext = '{ext}'"),
            Self::SizeAbove(size) => format!("size > {size}"),
            Self::Author(author) => format!("author = '{author}'"),
            Self::AuthorMissing => "author IS NULL".into(),
            Self::Tag(tag) => format!("metadata ->> 'tag' = '{tag}'"),
            Self::PageAtLeast(page) => format!("page >= {page}"),
            Self::TextLike(word) => format!("text LIKE '%{word}%'"),
            Self::NameLike(part) => format!("name LIKE '{part}%'"),
            Self::Not(inner) => format!("NOT ({})", inner.sql()),
            Self::And(a, b) => format!("({} AND {})", a.sql(), b.sql()),
            Self::Or(a, b) => format!("({} OR {})", a.sql(), b.sql()),
        }
    }

    fn holds(&self, row: &Row) -> Option<bool> {
        match self {
            Self::Ext(ext) => Some(row.ext == *ext),
            Self::SizeAbove(size) => Some(row.size > *size),
            Self::Author(author) => row.author.map(|a| a == *author),
            Self::AuthorMissing => Some(row.author.is_none()),
            Self::Tag(tag) => row.tag.map(|t| t == *tag),
            Self::PageAtLeast(page) => row.page.map(|p| p >= *page),
            Self::TextLike(word) => Some(row.text.contains(word)),
            Self::NameLike(part) => Some(row.path.rsplit('/').next().unwrap().starts_with(part)),
            Self::Not(inner) => inner.holds(row).map(|holds| !holds),
            Self::And(a, b) => match (a.holds(row), b.holds(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.holds(row), b.holds(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let leaf = prop_oneof![
        prop_oneof![Just("pdf"), Just("md"), Just("zip")].prop_map(Predicate::Ext),
        (0..5_u64).prop_map(Predicate::SizeAbove),
        prop_oneof![Just("ada"), Just("bob")].prop_map(Predicate::Author),
        Just(Predicate::AuthorMissing),
        prop_oneof![Just("red"), Just("blue")].prop_map(Predicate::Tag),
        (0..5_u32).prop_map(Predicate::PageAtLeast),
        prop_oneof![Just("heron"), Just("ibis")].prop_map(Predicate::TextLike),
        prop_oneof![Just("f1"), Just("f")].prop_map(Predicate::NameLike),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|p| Predicate::Not(Box::new(p))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Predicate::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Predicate::Or(Box::new(a), Box::new(b))),
        ]
    })
}

type Made = (&'static str, u64, Option<&'static str>, Option<&'static str>, Vec<(Option<u32>, &'static str)>);

fn file() -> impl Strategy<Value = Made> {
    let chunk = (proptest::option::of(0..5_u32), prop_oneof![Just("heron"), Just("ibis"), Just("stork")]);
    (
        prop_oneof![Just("pdf"), Just("md")],
        0..6_u64,
        proptest::option::of(prop_oneof![Just("ada"), Just("bob")]),
        proptest::option::of(prop_oneof![Just("red"), Just("blue")]),
        proptest::collection::vec(chunk, 0..4),
    )
}

fn fill(store: &mut Store, files: &[Made]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut records = Vec::new();
    for (number, (ext, size, author, tag, chunks)) in files.iter().enumerate() {
        let texts: Vec<&str> = chunks.iter().map(|(_, text)| *text).collect();
        let mut made = document(None, &texts);
        made.author = author.map(str::to_owned);
        made.metadata = tag.iter().map(|tag| ("tag".to_owned(), (*tag).to_owned())).collect();
        for (chunk, (page, _)) in made.chunks.iter_mut().zip(chunks) {
            chunk.page = *page;
        }
        let path = format!("/d/f{number}.{ext}");
        for (page, text) in chunks {
            let (path, text) = (path.clone(), (*text).to_owned());
            rows.push(Row { path, ext, size: *size, author: *author, tag: *tag, page: *page, text });
        }
        records.push(FileRecord { size: *size, ..record(&path, Outcome::Indexed(Box::new(made))) });
    }
    store.write(&records).unwrap();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn filters_equal_the_oracle(
        files in proptest::collection::vec(file(), 1..8),
        predicates in proptest::collection::vec(predicate(), 12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::create(folder.path(), &configuration()).unwrap();
        let rows = fill(&mut store, &files);
        let snapshot = store.reader().unwrap().snapshot().unwrap();
        for predicate in predicates {
            let found: Vec<u32> = snapshot.filter(&predicate.sql()).unwrap().iter().collect();
            // Chunks are numbered in the order in which they were written.
            let expected: Vec<u32> =
                (0..).zip(&rows).filter(|(_, row)| predicate.holds(row) == Some(true)).map(|(id, _)| id).collect();
            prop_assert_eq!(found, expected, "{}", predicate.sql());
        }
    }
}

fn filled() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let mut titled = indexed("/d/Größe.TXT", Some("Birds"), &["heron", "ibis"]);
    titled.modified_ns = 1_795_255_440_000_000_000;
    store.write(&[titled, indexed("/d/b.md", None, &["stork"])]).unwrap();
    (folder, store)
}

fn filtered(store: &Store, expression: &str) -> Result<Vec<u32>, FilterError> {
    store.reader().unwrap().snapshot().unwrap().filter(expression).map(|found| found.iter().collect())
}

#[test]
fn what_people_write() {
    let (_folder, store) = filled();
    for (expression, expected) in [
        ("ext = 'txt'", vec![0, 1]),
        ("modified >= '2026-11-21' AND modified < '2026-11-22'", vec![0, 1]),
        ("title LIKE 'bird%' or lower(name) = 'b.md'", vec![0, 1, 2]),
        ("path glob '/d/*.md'", vec![2]),
        ("ext IN ('md', 'pdf') AND state = 'indexed'", vec![2]),
        ("line = 1 AND text = 'ibis'", vec![1]),
        ("size BETWEEN 1 AND 100 AND NOT (ext = 'md')", vec![0, 1]),
        ("heading IS NULL", vec![0, 1, 2]),
        ("name = 'a;b--c' OR ext = 'md'", vec![2]),
        ("1", vec![0, 1, 2]),
        ("name LIKE 'Größe%'", vec![0, 1]),
    ] {
        assert_eq!(filtered(&store, expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    let (_folder, store) = filled();
    for (expression, at) in [
        ("extt = 'pdf'", Some("extt")),
        ("ext = \"pdf\"", Some("\"pdf\"")),
        ("ext = 'pdf", Some("'pdf")),
        ("ext = = 'pdf'", Some("= 'pdf'")),
        ("(ext = 'pdf'", Some("(ext")),
        ("größer = 1", Some("größer")),
        ("ext = 'ä' AND extt = 1", Some("extt")),
        ("", Some("")),
        ("page > 3 AND nothing = 1", Some("nothing")),
        ("ext = 'pdf' AND", None),
        ("nosuch(ext)", None),
    ] {
        let error = filtered(&store, expression).unwrap_err();
        if let Some(at) = at {
            assert_eq!(
                error.offset().map(|offset| &expression[offset..]).map(|rest| rest.starts_with(at)),
                Some(true),
                "{error}"
            );
        }
        let shown = error.to_string();
        assert!(FilterError::COLUMNS.iter().all(|column| shown.contains(column)), "{shown}");
    }
    let shown = filtered(&store, "ext = 'ä' AND extt = 1").unwrap_err().to_string();
    assert!(shown.contains("\n  ext = 'ä' AND extt = 1\n                ^\n"), "{shown}");
}

#[test]
fn nobody_gets_out() {
    let (folder, store) = filled();
    for expression in [
        "1); DROP TABLE file; --",
        "1) UNION SELECT 0, 1000000 --",
        "1) OR (1",
        "ext IN (SELECT ext FROM file)",
        "EXISTS (SELECT 1 FROM meta)",
        "ext IN root",
        "ext IN sqlite_master",
        "path IN pragma_table_info('file')",
        "ext IN json_each('[1]')",
        "load_extension('x')",
        "randomblob(1000000000) IS NULL",
        "zeroblob(1000000000) IS NULL",
        "printf('%1000000000d', 1) IS NULL",
        "writefile('/tmp/x', 'y')",
        "fts3_tokenizer('x')",
        "count(*) > 0",
        "hash = 1",
        "configuration_hash = 1",
        "document.content_hash IS NULL",
        "rowid = 1",
        "ext = ?1",
        "ext = :name",
        "ext = @name",
        "ext = $name",
        "1 /* ) */",
        "ATTACH 'x' AS y",
        "PRAGMA user_version",
        "sum(size) OVER () > 0",
        "ext = 'pdf'; SELECT 1",
    ] {
        assert!(filtered(&store, expression).is_err(), "{expression}");
    }
    let deep = format!("{}1{}", "(1 + ".repeat(200), ")".repeat(200));
    assert!(filtered(&store, &deep).is_err());
    verify(&Reader::open(folder.path()).unwrap());
}

#[test]
fn a_connection_is_free_again_after_a_filter() {
    let (_folder, store) = filled();
    let snapshot = store.reader().unwrap().snapshot().unwrap();
    assert!(snapshot.filter("nonsense(").is_err());
    assert_eq!(snapshot.filter("ext = 'md'").unwrap().count(), 1);
    assert_eq!(snapshot.term("heron").unwrap().map(|(_, df)| df), Some(1));
    assert!(snapshot.live().unwrap().contains(2));
}

#[test]
fn an_expression_that_takes_too_long_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let many: Vec<FileRecord> = (0..300).map(|n| indexed(&format!("/f{n}.txt"), None, &["heron"])).collect();
    store.write(&many).unwrap();
    let snapshot = store.reader().unwrap().snapshot().unwrap();
    let long = vec!["path LIKE '%nowhere%'"; 80].join(" OR ");
    let stopped = filter::evaluate_within(&mut snapshot.lease(), &long, std::time::Duration::ZERO);
    assert_eq!(stopped.unwrap_err().message(), "it takes too long");
    assert_eq!(snapshot.filter(&long).unwrap().count(), 0);
}

#[test]
fn filters_come_before_the_best_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(folder.path(), &configuration()).unwrap();
    let many: Vec<FileRecord> = (0..300).map(|n| indexed(&format!("/f{n}.txt"), None, &["heron"])).collect();
    store.write(&many).unwrap();
    store
        .write(&[indexed("/last.md", None, &["one heron among very many other words that make it long"])])
        .unwrap();
    let snapshot = store.reader().unwrap().snapshot().unwrap();
    let filter = snapshot.filter("ext = 'md'").unwrap();
    let by_words = snapshot.text_candidates(&[("heron", 1.0)], Some(&filter), 5).unwrap();
    assert_eq!(by_words.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), [300]);
    let query = vector("heron").dequantise();
    let by_meaning = snapshot.vector_candidates(&query, Some(&filter), 5).unwrap();
    assert_eq!(by_meaning.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), [300]);
}
