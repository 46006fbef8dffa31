//! Runs whose vectors come from a server: what an index made so has in it, and what becomes of files, and of the run,
//! when the server misbehaves.

mod support;

use std::sync::Arc;
use std::time::Duration;

use quipu_index::IndexError;
use quipu_index::endpoint::{Endpoint, EndpointSettings, Trouble};
use quipu_index::run::{Embedding, RunOptions, RunReport};
use quipu_index::search::embed_query;
use quipu_index::store::{FailureKind, Reader, State};

use support::server::{Manner, Server};
use support::{Place, check_agrees, encoder, runtime, vectors};

/// Settings in a hurry.
fn settings(url: &str) -> EndpointSettings {
    EndpointSettings {
        backoff: Duration::from_millis(2),
        call_time_max: Duration::from_secs(120),
        ..EndpointSettings::new(url)
    }
}

fn endpoint(settings: EndpointSettings) -> Arc<Endpoint> {
    Arc::new(Endpoint::new(settings, encoder()).expect("settings that can be"))
}

fn embedding(url: &str) -> Embedding {
    Embedding::Endpoint(endpoint(settings(url)))
}

/// Files of all sizes: titles, several chunks, one of many, and some that are not embedded at all.
fn documents() -> Place {
    let mut files: Vec<(String, String)> = (0..60)
        .map(|n| (format!("{n:02}.txt"), format!("Text {n} tells of knots. ").repeat(1 + n % 7)))
        .collect();
    let section =
        |name: &str| format!("## {name}\n\n{}\n\n", "Cords of many colours hang side by side. ".repeat(25));
    files.push((
        "titled.md".into(),
        format!("# A title, in front of each\n\n{}{}", section("One"), section("Two")),
    ));
    let title = "an extraordinarily longwinded and unforgettably uninformative title ".repeat(6);
    files.push(("wordy.md".into(), format!("# {title}\n\nShort.\n")));
    files.push(("long.txt".into(), (0..500).map(|n| format!("Line {n} of a long text.\n")).collect()));
    files.push(("empty.txt".into(), String::new()));
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    Place::with(&files)
}

fn close(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| (one - other).abs() < 2e-3)
}

#[test]
fn an_index_made_through_an_endpoint_equals_one_made_here() {
    let (here, there) = (documents(), documents());
    let local = here.run(&here.plain());
    let server = Server::start(encoder(), Vec::new());
    let by_eights = endpoint(EndpointSettings { texts_max: 8, ..settings(&server.url) });
    runtime().block_on(by_eights.check()).expect("it is well");
    let report = there.run_on(Embedding::Endpoint(by_eights), &there.plain());
    assert!(report.is_well(), "{report:?}");
    assert_eq!((report.files, report.chunks), (local.files, local.chunks));
    assert_eq!((report.run.embedded, report.run.tokens), (local.run.embedded, local.run.tokens));
    let (mine, theirs) = (vectors(&here.db()), vectors(&there.db()));
    assert_eq!(mine.len(), theirs.len());
    for (mine, theirs) in mine.iter().zip(&theirs) {
        assert_eq!((&mine.0, mine.1), (&theirs.0, theirs.1));
        assert!(close(&mine.2, &theirs.2), "{} at {}", mine.0, mine.1);
    }
    check_agrees(&there.db(), 63);
    // Full calls where there is enough to fill them, and never more texts than asked for.
    let calls = server.calls();
    assert!(calls.iter().all(|call| call.texts.len() <= 8 && call.model == "all-MiniLM-L6-v2"));
    assert!(calls.iter().filter(|call| call.texts.len() == 8).count() >= 4, "{}", calls.len());
    let texts: usize = calls.iter().map(|call| call.texts.len()).sum();
    assert_eq!(texts as u64, report.run.embedded + 1, "each chunk once, and the known text");
}

#[test]
fn the_second_run_asks_for_nothing_that_is_known() {
    let place = Place::with(&[("a.txt", b"some words"), ("b.txt", b"other words")]);
    let server = Server::start(encoder(), Vec::new());
    place.run_on(embedding(&server.url), &place.plain());
    let before = server.calls().len();
    std::fs::write(place.files().join("c.txt"), "some words").expect("a file");
    let report = place.run_on(embedding(&server.url), &place.plain());
    assert_eq!((report.files.indexed, server.calls().len()), (3, before), "{report:?}");
}

#[test]
fn a_question_is_embedded_by_the_endpoint_in_one_call() {
    let server = Server::start(encoder(), vec![Manner::Status(500, "")]);
    let with_key = EndpointSettings {
        key: Some("open-sesame".to_owned()),
        model: Some("served-name".to_owned()),
        ..settings(&server.url)
    };
    let vector = endpoint(with_key).embed_query("how are \"knots\" tied").expect("a vector");
    let local = embed_query(&*encoder(), "how are \"knots\" tied").expect("a vector");
    assert!(close(&vector, &local));
    let calls = server.calls();
    assert_eq!(calls.len(), 2, "the engine tried again");
    assert_eq!(calls[1].texts[1], "how are knots tied");
    assert_eq!(
        (calls[1].model.as_str(), calls[1].authorization.as_deref()),
        ("served-name", Some("Bearer open-sesame"))
    );
    // A question longer than the model reads is cut as the model would, not refused by a server that does not.
    let long = "many words ".repeat(1_000);
    let vector = endpoint(settings(&server.url)).embed_query(&long).expect("a vector");
    assert!(close(&vector, &embed_query(&*encoder(), &long).expect("a vector")));
    let asked = server.calls().pop().expect("a call").texts.pop().expect("a question");
    assert_eq!(encoder_tokens(&asked), 256);
}

#[test]
fn a_question_to_a_server_that_takes_one_text_is_two_calls() {
    let server = Server::start(encoder(), Vec::new());
    let one_by_one = EndpointSettings { texts_max: 1, ..settings(&server.url) };
    let vector = endpoint(one_by_one).embed_query("knots").expect("a vector");
    assert!(close(&vector, &embed_query(&*encoder(), "knots").expect("a vector")));
    assert!(server.calls().iter().all(|call| call.texts.len() == 1));
}

fn encoder_tokens(text: &str) -> usize {
    use quipu_embed::Embedder;
    encoder().tokenizer().pieces(text).len() + 2
}

/// Faults that pass cost nothing but another call.
fn check_passes(manners: Vec<Manner>) {
    let place = Place::with(&[("a.txt", b"some words"), ("b.txt", b"other words")]);
    let count = manners.len();
    let server = Server::start(encoder(), manners.clone());
    let slow = EndpointSettings { call_time_max: Duration::from_millis(1_500), ..settings(&server.url) };
    let report = place.run_on(Embedding::Endpoint(endpoint(slow)), &place.plain());
    assert!(report.is_well() && report.files.indexed == 2, "{manners:?} {report:?}");
    // The known text, asked for once or twice; the two chunks, in one call or two; and the faults.
    assert!((count + 1..=count + 3).contains(&server.calls().len()), "{manners:?}");
    check_agrees(&place.db(), 2);
}

#[test]
fn what_passes_is_tried_again() {
    check_passes(vec![
        Manner::Well,
        Manner::Status(500, ""),
        Manner::Status(503, ""),
        Manner::Status(408, ""),
    ]);
    check_passes(vec![Manner::Well, Manner::Cuts, Manner::Closes]);
    check_passes(vec![Manner::Well, Manner::Says("<html>busy</html>"), Manner::LosesOne]);
    check_passes(vec![Manner::Well, Manner::Says(r#"{"data":[{"embedding":[NaN]}]}"#)]);
    check_passes(vec![Manner::Status(502, ""), Manner::Well]);
}

#[test]
fn a_silent_and_a_trickling_server_are_given_up_in_time() {
    check_passes(vec![Manner::Well, Manner::Silent]);
    check_passes(vec![Manner::Well, Manner::Trickles]);
}

#[test]
fn a_pause_that_is_asked_for_is_kept() {
    let place = Place::with(&[("a.txt", b"some words")]);
    let server = Server::start(encoder(), vec![Manner::Well, Manner::Status(429, "Retry-After: 1\r\n")]);
    assert!(place.run_on(embedding(&server.url), &place.plain()).is_well());
    let calls = server.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls[2].at.duration_since(calls[1].at) >= Duration::from_millis(900));
}

#[test]
fn no_more_calls_are_begun_than_the_rate_allows() {
    let files: Vec<(String, String)> = (0..12).map(|n| (format!("{n}.txt"), format!("text {n}"))).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let place = Place::with(&files);
    let server = Server::start(encoder(), Vec::new());
    let paced =
        endpoint(EndpointSettings { calls_per_second: Some(8.0), texts_max: 1, ..settings(&server.url) });
    runtime().block_on(paced.check()).expect("it is well");
    assert!(place.run_on(Embedding::Endpoint(paced), &place.plain()).is_well());
    let calls = server.calls();
    assert_eq!(calls.len(), 13);
    // From the first to the last of twelve there are eleven eighths of a second; a late first call takes from that.
    let took = calls[12].at.duration_since(calls[1].at);
    assert!(took >= Duration::from_millis(1_000), "{took:?}");
}

/// A text that the server will not take fails its document alone, and is tried again by the next run.
fn check_guilty(manner: Manner, part: &str) {
    let words: Vec<(String, String)> =
        (0..40).map(|n| (format!("{n:02}.txt"), format!("text {n}"))).collect();
    let mut files: Vec<(&str, &[u8])> =
        words.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    files.push(("guilty.txt", b"a poisonous word"));
    let place = Place::with(&files);
    let refuses = manner.clone();
    let is_guilty =
        move |texts: &[String]| texts.iter().any(|text| text.contains("poisonous")).then(|| refuses.clone());
    let server = Server::judging(encoder(), Vec::new(), is_guilty);
    let report = place.run_on(embedding(&server.url), &place.plain());
    assert_eq!((report.files.indexed, report.files.failed, report.files.pending), (40, 1, 0), "{report:?}");
    let entry = place.entry("guilty.txt");
    assert_eq!((entry.state, entry.kind, entry.attempts), (State::Failed, Some(FailureKind::Endpoint), 1));
    assert!(entry.message.as_deref().is_some_and(|why| why.contains(part)), "{manner:?} {entry:?}");
    let mended = Server::start(encoder(), Vec::new());
    let report = place.run_on(embedding(&mended.url), &place.plain());
    assert_eq!((report.files.indexed, report.files.failed), (41, 0), "{report:?}");
    check_agrees(&place.db(), 41);
}

#[test]
fn a_text_that_is_refused_fails_its_document_alone() {
    check_guilty(Manner::Status(413, ""), "--embed-batch");
    check_guilty(Manner::Status(422, ""), "the server says why");
}

#[test]
fn a_text_that_always_breaks_the_server_fails_its_document_alone() {
    check_guilty(Manner::Status(500, ""), "status 500");
    check_guilty(Manner::Says("[]"), "gave no vectors");
    check_guilty(Manner::Floods, "more than");
}

/// A run that the endpoint stops: what had been stored stays, no file is blamed, and the next run goes on.
fn check_stopped(url: &str, expected: impl Fn(&Trouble) -> bool) {
    let place = Place::with(&[("a.txt", b"some words")]);
    let server = Server::start(encoder(), Vec::new());
    place.run_on(embedding(&server.url), &place.plain());
    std::fs::write(place.files().join("b.txt"), "other words").expect("a file");
    let stopped = place.try_run(embedding(url), &place.plain()).expect_err("it cannot end well");
    let IndexError::Endpoint(error) = &stopped else { panic!("{stopped}") };
    assert!(expected(&error.trouble), "{error:?}");
    assert!(stopped.to_string().contains("goes on from here"), "{stopped}");
    let counts = Reader::open(&place.db()).expect("a reader").counts().expect("counts");
    assert_eq!((counts.indexed, counts.failed, counts.pending), (1, 0, 1), "{counts:?}");
    let report = place.run_on(embedding(&server.url), &place.plain());
    assert_eq!((report.files.indexed, report.files.pending), (2, 0), "{report:?}");
}

#[test]
fn an_endpoint_that_is_not_there_stops_the_run() {
    check_stopped(&Server::nobody(), |trouble| matches!(trouble, Trouble::Unreachable(_)));
}

/// What every call is answered with stops the run, as it would fail every file.
fn check_stopping(manner: Manner, expected: impl Fn(&Trouble) -> bool) {
    let server = Server::judging(encoder(), Vec::new(), move |_| Some(manner.clone()));
    check_stopped(&server.url, expected);
}

#[test]
fn what_would_fail_every_file_stops_the_run() {
    check_stopping(Manner::Status(401, ""), |trouble| trouble.to_string().contains("QUIPU_EMBED_KEY"));
    check_stopping(Manner::Status(404, ""), |trouble| trouble.to_string().contains("/v1/embeddings"));
    check_stopping(
        Manner::Status(307, "Location: http://elsewhere/\r\n"),
        |trouble| matches!(trouble, Trouble::Redirects { to } if to == "http://elsewhere/"),
    );
    check_stopping(Manner::Status(500, ""), |trouble| {
        matches!(trouble, Trouble::Failing { status: 500, .. })
    });
    check_stopping(Manner::Shortens, |trouble| *trouble == Trouble::Dimensions { expected: 384, found: 383 });
    check_stopping(Manner::OtherModel, |trouble| matches!(trouble, Trouble::OtherModel { .. }));
    check_stopping(Manner::Floods, |trouble| matches!(trouble, Trouble::TooLarge { .. }));
}

#[test]
fn an_endpoint_that_dies_under_way_stops_the_run_and_loses_nothing() {
    let place = documents();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::judging(encoder(), Vec::new(), move |_| {
        let number = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (number >= 3).then_some(Manner::Closes)
    });
    let stopped = place.try_run(embedding(&server.url), &place.plain()).expect_err("it cannot end well");
    assert!(matches!(&stopped, IndexError::Endpoint(_)), "{stopped}");
    let counts = Reader::open(&place.db()).expect("a reader").counts().expect("counts");
    assert_eq!(counts.failed, 0, "no file is blamed: {counts:?}");
    let server = Server::start(encoder(), Vec::new());
    let report: RunReport = place.run_on(embedding(&server.url), &place.plain());
    assert_eq!((report.files.indexed, report.files.failed, report.files.pending), (63, 0, 0), "{report:?}");
    check_agrees(&place.db(), 63);
}

/// Held to so much memory, all is indexed, and what is charged stays near the budget.
fn check_memory(memory_bytes: u64) {
    let place = documents();
    let server = Server::start(encoder(), Vec::new());
    let report = place.run_on(embedding(&server.url), &RunOptions { memory_bytes, ..place.plain() });
    assert_eq!((report.files.indexed, report.files.failed), (63, 0), "{report:?}");
    assert!(report.budget_peak_bytes <= report.budget_bytes + (4 << 20), "{report:?}");
}

#[test]
fn little_memory_still_finishes_by_an_endpoint() {
    check_memory(0);
    check_memory(130 << 20);
}

#[test]
fn vectors_of_an_endpoint_are_never_mixed_with_others_unknowingly() {
    let here = quipu_index::configuration(quipu_embed::Embedder::info(&*encoder()));
    let by = |url: &str, model: Option<&str>| {
        endpoint(EndpointSettings { model: model.map(str::to_owned), ..settings(url) }).configuration()
    };
    let there = by("http://one:1/v1/embeddings", None);
    assert_ne!(here.hash, there.hash);
    assert_eq!(there, by("https://two:2/embed", None), "a server may move");
    assert_ne!(there.hash, by("http://one:1/v1/embeddings", Some("another")).hash);
    assert!(there.model.contains("endpoint"), "{there:?}");
}
