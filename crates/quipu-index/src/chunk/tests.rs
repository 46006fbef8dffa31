//! What chunking promises, on made texts and on random ones.

use proptest::prelude::*;
use quipu_embed::{Embedder, Tokenizer};
use quipu_extract::{Extracted, Format, Limits, extract, identify};

use super::*;

fn tokenizer() -> &'static Tokenizer {
    crate::testing::encoder().tokenizer()
}

fn document(name: &str, text: &str) -> Extracted {
    let format = identify(name, text.as_bytes());
    extract(&format, text.as_bytes(), &Limits::default()).expect("text extracts")
}

/// Chunks `document` and checks every promise that the module's door makes.
fn check(document: &Extracted) -> Vec<Piece> {
    let pieces = chunk(document, tokenizer(), "");
    let mut covered = 0;
    for piece in &pieces {
        assert!(piece.tokens.len() <= tokenizer().tokens_max(), "{} tokens", piece.tokens.len());
        assert!(piece.range.len() <= CHUNK_BYTES_MAX);
        assert!(piece.range.start >= covered, "overlaps");
        assert!(document.text[covered..piece.range.start].trim().is_empty(), "text between chunks is lost");
        assert!(!document.text[piece.range.clone()].trim().is_empty());
        covered = piece.range.end;
    }
    assert!(document.text[covered..].trim().is_empty(), "the end is lost");
    pieces
}

#[test]
fn short_text_is_one_chunk_with_lines() {
    let document = document("a.txt", "\n\nThe first line.\nThe second line.\n");
    let pieces = check(&document);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].lines, Some((3, 4)));
    assert_eq!(&document.text[pieces[0].range.clone()], "The first line.\nThe second line.");
    assert_eq!((pieces[0].page, pieces[0].heading.as_deref()), (None, None));
}

#[test]
fn sections_begin_chunks_and_carry_their_heading_path() {
    let body = "Plain words about the subject at hand, again and again. ".repeat(20);
    let text = format!("# Bread\n\n{body}\n\n## Rye\n\n{body}\n\n## Wheat\n\n{body}\n");
    let pieces = check(&document("bread.md", &text));
    let headings: Vec<_> = pieces.iter().filter_map(|piece| piece.heading.as_deref()).collect();
    assert!(headings.contains(&"Bread") && headings.contains(&"Bread > Rye"), "{headings:?}");
    assert!(headings.contains(&"Bread > Wheat"), "{headings:?}");
    let rye =
        pieces.iter().find(|piece| piece.heading.as_deref() == Some("Bread > Rye")).expect("a rye chunk");
    assert!(text[rye.range.clone()].starts_with("## Rye"));
}

#[test]
fn tokens_of_a_chunk_are_those_of_its_text() {
    let text = "A first sentence with several words. ".repeat(60);
    let document = document("a.txt", &text);
    let pieces = check(&document);
    assert!(pieces.len() >= 2);
    for piece in &pieces {
        let whole = tokenizer().sequence(&[&tokenizer().pieces(&document.text[piece.range.clone()])]);
        assert_eq!(whole.as_slice(), piece.tokens.as_slice());
    }
}

#[test]
fn parts_of_a_long_section_are_nearly_equal() {
    let text = "One more sentence of eight or nine words. ".repeat(40);
    let lengths: Vec<usize> =
        check(&document("a.txt", &text)).iter().map(|piece| piece.tokens.len()).collect();
    let (least, most) = (lengths.iter().min().expect("some"), lengths.iter().max().expect("some"));
    assert!(least * 3 >= most * 2, "{lengths:?}");
}

#[test]
fn one_endless_word_is_cut() {
    check(&document("a.txt", &"x".repeat(100_000)));
    check(&document("a.js", &"a=b;c(d)[e]".repeat(10_000)));
}

#[test]
fn a_text_of_several_windows_loses_nothing_and_counts_its_lines() {
    let text: String =
        (0..150_000).map(|n| if n % 50 == 0 { "\n".to_owned() } else { format!("line {n}\n") }).collect();
    let document = document("long.txt", &text);
    let pieces = check(&document);
    let last = pieces.last().expect("a chunk");
    assert_eq!(last.lines.map(|(_, last)| last), Some(150_000));
    for piece in pieces.iter().step_by(97) {
        let before = text[..piece.range.start].matches('\n').count() as u32 + 1;
        assert_eq!(piece.lines.map(|(first, _)| first), Some(before));
    }
}

#[test]
fn title_leads_the_tokens_but_not_the_range() {
    let document = document("a.md", "# Sourdough\n\nFlour and water.\n");
    let pieces = check(&document);
    let title = tokenizer().pieces("Sourdough");
    assert_eq!(document.title.as_deref(), Some("Sourdough"));
    assert_eq!(&pieces[0].tokens.as_slice()[1..=title.len()], title.as_slice());
    assert_eq!(pieces[0].range.start, 0);
}

#[test]
fn lead_and_text_of_a_chunk_make_its_tokens_again() {
    let sections = "## One\n\nSome words, and others.\n\n".repeat(40);
    let wordy = "An unforgettably longwinded title-page of prestidigitations, ".repeat(5);
    for text in [format!("# Sourdough\n\n{sections}"), format!("# {wordy}\n\n{sections}"), sections.clone()] {
        let document = document("a.md", &text);
        for prompt in ["", "passage: "] {
            let lead = lead(document.title.as_deref(), tokenizer(), prompt);
            for piece in chunk(&document, tokenizer(), prompt) {
                let sent = format!("{lead}{}", &document.text[piece.range]);
                assert_eq!(tokenizer().encode(&sent).as_slice(), piece.tokens.as_slice(), "{sent}");
            }
        }
    }
}

#[test]
fn the_first_tokens_of_a_text_are_whole_ones() {
    assert_eq!(first_tokens("one two three", tokenizer(), 2), "one two");
    assert_eq!(first_tokens("one two three", tokenizer(), 3), "one two three");
    assert_eq!(first_tokens("one", tokenizer(), 0), "");
    assert_eq!(first_tokens("  ", tokenizer(), 0), "  ");
}

#[test]
fn code_is_cut_between_items() {
    let function =
        |n: usize| format!("fn number_{n}(x: u32) -> u32 {{\n    let y = x + {n};\n\n    y * 2\n}}\n\n");
    let text: String = (0..40).map(function).collect();
    let document = document("a.rs", &text);
    assert!(matches!(document.format, Format::Code(_)));
    for piece in check(&document) {
        assert!(document.text[piece.range.clone()].starts_with("fn number_"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_keeps_the_promises(text in "(\\PC{0,40}[ \n]{0,3}|#{1,3} \\PC{1,12}\n|。|[.!?] ){0,80}") {
        check(&document("any.md", &text));
        check(&document("any.txt", &text));
    }
}
