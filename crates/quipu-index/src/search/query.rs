//! What is asked: the words, the phrases in quotes, the filter, the way of ranking. Pure data and a small
//! parser; nothing here looks at an index.

/// The most documents that one query may ask for.
pub const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: usize = 10;

/// By what a chunk is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// By its words: BM25.
    Text,
    /// By its meaning: cosine. Chunks that wait for their vector are not found.
    Vector,
    /// By both; see [`Rank`].
    #[default]
    Hybrid,
}

/// How a hybrid query is ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rank {
    /// Words and meaning once: S₁.
    Fast,
    /// S₁, then the best re-scored with what the best have in common: S₂.
    #[default]
    Default,
}

/// One question to an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is asked. A part in double quotes must occur as it stands.
    pub text: String,
    /// By what a chunk is found.
    pub mode: Mode,
    /// How a hybrid query is ranked.
    pub rank: Rank,
    /// SQL over the metadata; only what it holds for is searched.
    pub filter: Option<String>,
    /// How many documents are wanted, [`LIMIT_MAX`] at most.
    pub limit: usize,
}

impl Query {
    /// A hybrid query for ten documents.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            mode: Mode::default(),
            rank: Rank::default(),
            filter: None,
            limit: LIMIT_DEFAULT,
        }
    }
}

/// A query's text taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    /// All of the text without its quotation marks: words in a phrase count as words too.
    pub(super) words: String,
    /// The parts in quotes.
    pub(super) phrases: Vec<String>,
}

/// Takes quotes, straight or typographic, off the text. One that never closes is just a character.
pub(super) fn parse(text: &str) -> Parsed {
    let parts: Vec<&str> = text.split(['"', '“', '”']).collect();
    let phrases_end = (parts.len() - 1) / 2 * 2;
    let inside = |(index, part): (usize, &&str)| {
        (index % 2 == 1 && index < phrases_end).then(|| part.trim().to_owned())
    };
    let phrases = parts.iter().enumerate().filter_map(inside).filter(|phrase| !phrase.is_empty()).collect();
    let words =
        parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    Parsed { words, phrases }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, words: &str, phrases: &[&str]) {
        let phrases = phrases.iter().map(|&phrase| phrase.to_owned()).collect();
        assert_eq!(parse(text), Parsed { words: words.to_owned(), phrases }, "{text}");
    }

    #[test]
    fn quotes_make_phrases() {
        check("plain words", "plain words", &[]);
        check("a \"b c\" d", "a b c d", &["b c"]);
        check("\"a b\" and \"c\"", "a b and c", &["a b", "c"]);
        check("“a b” c", "a b c", &["a b"]);
    }

    #[test]
    fn a_quote_that_never_closes_is_no_phrase() {
        check("five \" wide", "five wide", &[]);
        check("\"a b\" 5\"", "a b 5", &["a b"]);
        check("\"\"", "", &[]);
        check("", "", &[]);
    }
}
