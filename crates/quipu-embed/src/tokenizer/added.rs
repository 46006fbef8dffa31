//! Added tokens: pieces such as `[CLS]` that are found in the text itself, before or after it is normalised, and keep
//! it from being cut into words there. Which parts of a text they are, by the flags of each, is decided here exactly as
//! in the `tokenizers` library; what happens to the rest is not.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use super::vocabulary::Vocabulary;

/// An entry of `added_tokens` in a `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    /// It is found only where no letter, digit or the like stands beside it.
    single_word: bool,
    /// White space before it is part of it.
    lstrip: bool,
    /// White space after it is part of it.
    rstrip: bool,
    /// It is looked for in normalised text, in its own normalised form.
    pub(super) normalized: bool,
    /// Which nothing depends on here: it says what decoding may leave out.
    special: bool,
}

/// Added tokens that are all looked for in the same text.
pub(super) struct Matcher {
    automaton: AhoCorasick,
    tokens: Vec<AddedToken>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Range<usize>),
    Token(u32, Range<usize>),
}

/// Gives each added token its id: that of the vocabulary, or else the next one after it, in the order of the file. The
/// ids that the file itself states must be these.
///
/// # Errors
/// An id that is another, two tokens of one id, or more ids than there are numbers.
pub(super) fn with_ids(listed: Vec<AddedToken>, vocabulary: &Vocabulary) -> Result<Vec<AddedToken>, String> {
    let mut next = u32::try_from(vocabulary.len()).ok();
    let mut ids: HashMap<String, u32> = HashMap::new();
    let mut tokens: BTreeMap<u32, AddedToken> = BTreeMap::new();
    for token in listed.into_iter().filter(|token| !token.content.is_empty()) {
        let known = ids.get(&token.content).copied().or_else(|| vocabulary.id(&token.content));
        let id = match known {
            Some(id) => id,
            None => next.ok_or("its added tokens have more ids than there are")?,
        };
        if known.is_none() {
            next = id.checked_add(1);
        }
        if id != token.id {
            return Err(format!(
                "its added token {:?} has the id {}, and by its place in the vocabulary it has {id}",
                token.content, token.id
            ));
        }
        ids.insert(token.content.clone(), id);
        let content = token.content.clone();
        let earlier = tokens.insert(id, token);
        if let Some(earlier) = earlier.filter(|earlier| earlier.content != content) {
            return Err(format!("its added tokens {:?} and {content:?} have one id, {id}", earlier.content));
        }
    }
    Ok(tokens.into_values().collect())
}

impl Matcher {
    /// A matcher for tokens that are looked for by `patterns`; none where there are none.
    ///
    /// # Errors
    /// Two tokens of one pattern, or one without any.
    pub(super) fn new(tokens: Vec<AddedToken>, patterns: &[String]) -> Result<Option<Self>, String> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut seen = HashMap::new();
        for (pattern, token) in patterns.iter().zip(&tokens) {
            if pattern.is_empty() {
                return Err(format!(
                    "nothing is left of its added token {:?} when normalised",
                    token.content
                ));
            }
            if let Some(other) = seen.insert(pattern, &token.content) {
                return Err(format!(
                    "its added tokens {other:?} and {:?} are the same when normalised",
                    token.content
                ));
            }
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns);
        let automaton = automaton.map_err(|error| format!("its added tokens are too many: {error}"))?;
        Ok(Some(Self { automaton, tokens }))
    }

    /// Cuts `text` at the tokens in it and hands out all parts that are not empty.
    ///
    /// A token that takes white space in may reach over one that begins with white space; the library repeats that one
    /// then, and so does this.
    pub(super) fn split(&self, text: &str, mut part: impl FnMut(Part)) {
        let mut done = 0;
        // How far the white space goes that was looked at last: never looked at twice, however many tokens begin in it.
        let mut space_end = 0;
        for found in self.automaton.find_iter(text) {
            let token = &self.tokens[found.pattern()];
            let (mut start, mut end) = (found.start(), found.end());
            if token.single_word && !stands_alone(text, found.range()) {
                continue;
            }
            if token.lstrip {
                let before = text.get(done..start).unwrap_or_default();
                start = start.max(done) - (before.len() - before.trim_end().len());
            }
            if token.rstrip {
                if end > space_end {
                    space_end = text.len() - text[end..].trim_start().len();
                }
                end = end.max(space_end);
            }
            if done < start {
                part(Part::Text(done..start));
            }
            if start < end {
                part(Part::Token(token.id, start..end));
            }
            done = end;
        }
        if done < text.len() {
            part(Part::Text(done..text.len()));
        }
    }
}

/// Whether no word character is beside `range`, as `\w` of regular expressions has them.
fn stands_alone(text: &str, range: Range<usize>) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(regex_syntax::is_word_character);
    !is_word(text[..range.start].chars().next_back()) && !is_word(text[range.end..].chars().next())
}
