//! The part of a chunk that shows why it was found, with the query's words marked.
//!
//! Words are compared as the analyser sees them, so `running` is marked for `runs`. A chunk found by its
//! meaning alone is shown from its beginning.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::store::analyse;

/// About two lines of a terminal.
const SNIPPET_BYTES_MAX: usize = 240;
/// What is shown in front of the first match, where there is room.
const LEAD_BYTES: usize = 40;
const ELLIPSIS: &str = "…";

/// A piece of text on one line, and where in it the query's words are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snippet {
    /// White space is single spaces; `…` where something was cut off.
    pub text: String,
    /// Bytes of `text`, ascending, apart from one another.
    pub marks: Vec<Range<usize>>,
}

impl Snippet {
    /// The text with `open` and `close` around each mark.
    #[must_use]
    pub fn marked(&self, open: &str, close: &str) -> String {
        let mut marked =
            String::with_capacity(self.text.len() + self.marks.len() * (open.len() + close.len()));
        let mut end = 0;
        for mark in &self.marks {
            marked.extend([&self.text[end..mark.start], open, &self.text[mark.clone()], close]);
            end = mark.end;
        }
        marked.push_str(&self.text[end..]);
        marked
    }
}

/// A match in the chunk: its bytes and which of the query's terms it is.
struct Match {
    range: Range<usize>,
    term: usize,
}

/// Cuts the window of `text` with the most different terms of the query.
pub(super) fn cut(text: &str, asked: &[(String, f32)]) -> Snippet {
    let index: HashMap<&str, usize> =
        asked.iter().enumerate().map(|(index, (term, _))| (term.as_str(), index)).collect();
    let matches: Vec<Match> = analyse(text)
        .filter_map(|term| Some(Match { term: *index.get(term.text.as_ref())?, range: term.range }))
        .collect();
    let window = window(text, &matches);
    on_one_line(text, window.clone(), matches.iter().map(|found| &found.range))
}

/// Bytes to show: the earliest window with the most different terms, widened to whole words.
fn window(text: &str, matches: &[Match]) -> Range<usize> {
    let terms_from = |first: usize| {
        let end = matches[first].range.start + SNIPPET_BYTES_MAX - LEAD_BYTES;
        let inside = matches[first..].iter().take_while(|found| found.range.end <= end);
        inside.map(|found| found.term).collect::<HashSet<_>>().len()
    };
    let best = (0..matches.len()).max_by_key(|&first| (terms_from(first), usize::MAX - first));
    let start = best.map_or(0, |first| matches[first].range.start.saturating_sub(LEAD_BYTES));
    // A window that would run past the end moves back: the room is there to be used.
    let start = start.min(text.len().saturating_sub(SNIPPET_BYTES_MAX));
    let start = word_start(text, start);
    let end = word_end(text, (start + SNIPPET_BYTES_MAX).min(text.len()), start);
    start..end
}

/// The first start of a word at or after `offset`, unless the word there is too long to skip.
fn word_start(text: &str, offset: usize) -> usize {
    let offset = text.ceil_char_boundary(offset);
    if offset == 0 || text[..offset].ends_with(char::is_whitespace) {
        return offset;
    }
    let skipped = text[offset..].find(char::is_whitespace);
    skipped.filter(|&bytes| bytes < LEAD_BYTES).map_or(offset, |bytes| offset + bytes)
}

/// The last end of a word at or before `offset`, unless that leaves next to nothing.
fn word_end(text: &str, offset: usize, start: usize) -> usize {
    let offset = text.floor_char_boundary(offset);
    if offset == text.len() || text[offset..].starts_with(char::is_whitespace) {
        return offset;
    }
    let kept = text[start..offset].rfind(char::is_whitespace);
    kept.filter(|&bytes| bytes > (offset - start) / 2).map_or(offset, |bytes| start + bytes)
}

fn on_one_line<'a>(
    text: &str,
    window: Range<usize>,
    matches: impl Iterator<Item = &'a Range<usize>>,
) -> Snippet {
    let mut snippet = Snippet::default();
    if !text[..window.start].trim().is_empty() {
        snippet.text.push_str(ELLIPSIS);
    }
    let mut written = window.start;
    for found in matches.filter(|found| found.start >= window.start && found.end <= window.end) {
        push_words(&mut snippet.text, &text[written..found.start]);
        let start = snippet.text.len();
        snippet.text.push_str(&text[found.clone()]);
        snippet.marks.push(start..snippet.text.len());
        written = found.end;
    }
    push_words(&mut snippet.text, &text[written..window.end]);
    snippet.text.truncate(snippet.text.trim_end().len());
    if !text[window.end..].trim().is_empty() {
        snippet.text.push_str(ELLIPSIS);
    }
    snippet
}

/// Adds text with each run of white space as one space, none at the beginning.
fn push_words(out: &mut String, text: &str) {
    for character in text.chars() {
        if !character.is_whitespace() {
            out.push(character);
        } else if !out.is_empty() && !out.ends_with([' ', '…']) {
            out.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(text: &str) -> Vec<(String, f32)> {
        analyse(text).map(|term| (term.text.into_owned(), 1.0)).collect()
    }

    fn check(text: &str, query: &str, expected: &str) {
        assert_eq!(cut(text, &asked(query)).marked("[", "]"), expected);
    }

    #[test]
    fn words_are_marked_as_the_analyser_sees_them() {
        check("Stages share the cores.", "how do stages share cores", "[Stages] [share] the [cores].");
        check("He was running;\n\n  runs on.", "run", "He was [running]; [runs] on.");
        check("nothing here", "else", "nothing here");
        check("", "a", "");
    }

    #[test]
    fn a_long_text_is_cut_where_most_words_meet() {
        let text =
            format!("alpha {} alpha beta gamma {}", "filler words ".repeat(60), "more text ".repeat(60));
        let snippet = cut(&text, &asked("alpha beta gamma"));
        assert!(snippet.marked("[", "]").contains("[alpha] [beta] [gamma]"), "{}", snippet.text);
        assert!(snippet.text.starts_with('…') && snippet.text.ends_with('…'));
        assert!(snippet.text.len() <= SNIPPET_BYTES_MAX + 2 * ELLIPSIS.len());
    }

    proptest! {
        #[test]
        fn marks_are_inside_the_text_and_in_order(text in "[ a-c\u{e9}\u{4e2d}\n]{0,600}", query in "[a-c ]{0,9}") {
            let snippet = cut(&text, &asked(&query));
            let mut end = 0;
            for mark in &snippet.marks {
                prop_assert!(mark.start >= end && mark.end > mark.start);
                prop_assert!(snippet.text.get(mark.clone()).is_some());
                end = mark.end;
            }
            prop_assert!(!snippet.text.contains(['\n', '\r']) && !snippet.text.contains("  "));
            prop_assert!(snippet.text.len() <= SNIPPET_BYTES_MAX + 8);
        }
    }
}
