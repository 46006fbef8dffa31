//! The analyser: text to the terms that are indexed and searched. There is only this one, so a query and
//! a document can never disagree about what a word is. It decides nothing about weights or fields.
//!
//! Lower case; a word is a maximal run of letters and digits (`[a-z0-9]+` in ASCII, Unicode's
//! alphanumerics elsewhere); function words are stopped; the rest is stemmed by Snowball's English rules.
//! Scripts that write without spaces (Chinese, Japanese) give one term per character: a dictionary would
//! be needed for words, and unlike bigrams single characters lose no query, while positions still make
//! phrases exact.

use std::borrow::Cow;
use std::ops::Range;

use rust_stemmers::{Algorithm, Stemmer};

/// A longer run is no word but data (base64, hex dumps): it would only swell the term table.
pub const WORD_BYTES_MAX: usize = 128;

/// One term of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term<'a> {
    /// Lower case, stemmed.
    pub text: Cow<'a, str>,
    /// The word's number in the text, stop words counted, so that phrases keep their gaps.
    pub position: u32,
    /// Purely numeric: indexed, but not counted in a length.
    pub is_number: bool,
    /// Bytes of the text that it was made from.
    pub range: Range<usize>,
}

/// The terms of a text in order, stop words left out.
///
/// ```
/// use quipu_index::store::analyse;
/// let terms: Vec<String> = analyse("The cores of 2 machines").map(|term| term.text.into()).collect();
/// assert_eq!(terms, ["core", "2", "machin"]);
/// ```
pub fn analyse(text: &str) -> impl Iterator<Item = Term<'_>> {
    let stemmer = Stemmer::create(Algorithm::English);
    let words = Words { text, offset: 0 };
    words.zip(0u32..).filter_map(move |(range, position)| {
        let word = &text[range.clone()];
        if word.len() > WORD_BYTES_MAX {
            return None;
        }
        let lower = lower_case(word);
        if is_stop_word(&lower) {
            return None;
        }
        let is_number = is_number(&lower);
        let text = if is_number { lower } else { stem(&stemmer, lower) };
        Some(Term { text, position, is_number, range })
    })
}

/// Whether a term is purely numeric, and so kept apart from words.
pub fn is_number(term: &str) -> bool {
    term.bytes().all(|byte| byte.is_ascii_digit()) || (!term.is_ascii() && term.chars().all(char::is_numeric))
}

/// Whether a word, in lower case, is one of the function words that are not indexed.
pub fn is_stop_word(word: &str) -> bool {
    word.len() <= STOP_WORD_BYTES_MAX && STOP_WORDS.binary_search(&word).is_ok()
}

fn lower_case(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(word.to_ascii_lowercase())
        } else {
            Cow::Borrowed(word)
        }
    } else {
        Cow::Owned(word.to_lowercase())
    }
}

fn stem<'a>(stemmer: &Stemmer, word: Cow<'a, str>) -> Cow<'a, str> {
    // The rules take English apart; a script without Latin letters has nothing for them.
    if !word.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return word;
    }
    match word {
        Cow::Borrowed(word) => stemmer.stem(word),
        Cow::Owned(word) => Cow::Owned(stemmer.stem(&word).into_owned()),
    }
}

/// The ranges of a text's words.
struct Words<'a> {
    text: &'a str,
    offset: usize,
}

impl Words<'_> {
    /// The character at the offset and its length in bytes, ASCII without decoding.
    fn character(&self) -> Option<(char, usize)> {
        let byte = *self.text.as_bytes().get(self.offset)?;
        if byte.is_ascii() {
            return Some((char::from(byte), 1));
        }
        let character = self.text[self.offset..].chars().next()?;
        Some((character, character.len_utf8()))
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = loop {
            let (character, length) = self.character()?;
            let start = self.offset;
            if character.is_alphanumeric() {
                if stands_alone(character) {
                    self.offset += length;
                    return Some(start..self.offset);
                }
                break start;
            }
            self.offset += length;
        };
        while let Some((character, length)) = self.character()
            && character.is_alphanumeric()
            && !stands_alone(character)
        {
            self.offset += length;
        }
        Some(start..self.offset)
    }
}

/// Characters of scripts without spaces: each is a word of its own.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{3040}'..='\u{30ff}'      // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}'    // Han, extension A
        | '\u{4e00}'..='\u{9fff}'    // Han
        | '\u{f900}'..='\u{faff}'    // Han, compatibility
        | '\u{20000}'..='\u{323af}') // Han, further extensions
}

const STOP_WORD_BYTES_MAX: usize = 10;

/// English function words: articles, pronouns, prepositions, conjunctions, auxiliaries, and the pieces
/// that an apostrophe leaves (`don't`, `it's`). Sorted.
const STOP_WORDS: [&str; 126] = [
    "a",
    "about",
    "above",
    "after",
    "again",
    "against",
    "all",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "did",
    "do",
    "does",
    "doing",
    "don",
    "down",
    "during",
    "each",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "me",
    "more",
    "most",
    "my",
    "myself",
    "no",
    "nor",
    "not",
    "now",
    "of",
    "off",
    "on",
    "once",
    "only",
    "or",
    "other",
    "our",
    "ours",
    "ourselves",
    "out",
    "over",
    "own",
    "s",
    "same",
    "she",
    "should",
    "so",
    "some",
    "such",
    "t",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "through",
    "to",
    "too",
    "under",
    "until",
    "up",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "you",
    "your",
    "yours",
    "yourself",
    "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, u32)]) {
        let terms: Vec<_> = analyse(text).map(|term| (term.text, term.position)).collect();
        let terms: Vec<_> = terms.iter().map(|(text, position)| (text.as_ref(), *position)).collect();
        assert_eq!(terms, expected, "{text}");
    }

    #[test]
    fn words_are_lowered_stopped_and_stemmed() {
        check("The Running of THE dogs", &[("run", 1), ("dog", 4)]);
        check("don't stop-words_here", &[("stop", 2), ("word", 3)]);
        check("", &[]);
        check("... -- !", &[]);
    }

    #[test]
    fn numbers_are_told_from_words() {
        let numbers: Vec<_> = analyse("1990 v2 3.14 ٣").map(|term| term.is_number).collect();
        assert_eq!(numbers, [true, false, true, true, true]);
    }

    #[test]
    fn scripts_other_than_ascii_keep_their_words() {
        check("naïve Größe", &[("naïv", 0), ("größe", 1)]);
        check("Война и мир", &[("война", 0), ("и", 1), ("мир", 2)]);
        check("索引rust検索", &[("索", 0), ("引", 1), ("rust", 2), ("検", 3), ("索", 4)]);
    }

    #[test]
    fn a_run_too_long_for_a_word_only_takes_its_place() {
        let text = format!("before {} after", "x".repeat(WORD_BYTES_MAX + 1));
        check(&text.replace("before", "red").replace("after", "blue"), &[("red", 0), ("blue", 2)]);
    }

    #[test]
    fn stop_words_are_sorted_and_lower_case() {
        assert!(STOP_WORDS.is_sorted());
        assert!(STOP_WORDS.iter().all(|word| word.len() <= STOP_WORD_BYTES_MAX));
        assert!(is_stop_word("ourselves") && !is_stop_word("core"));
    }

    proptest! {
        #[test]
        fn ranges_point_at_what_terms_were_made_from(text in "\\PC{0,80}") {
            let mut end = 0;
            for term in analyse(&text) {
                prop_assert!(term.range.start >= end);
                end = term.range.end;
                let again: Vec<_> = analyse(&text[term.range.clone()]).map(|t| t.text).collect();
                prop_assert_eq!(again, vec![term.text.clone()]);
            }
        }
    }
}
