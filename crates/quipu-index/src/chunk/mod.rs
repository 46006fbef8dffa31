//! A document's text into chunks that the model can read whole.
//!
//! Three steps, one file each: `units` cuts the text into the smallest parts that are never torn (a line,
//! a sentence of a long line) and tokenises each of them once; `pack` joins neighbouring units into chunks
//! along the document's structure, by prefix sums of their token counts; this file turns the result into
//! `Piece`s with their place in the document. Extraction and embedding are others' business.
//!
//! What holds, and is tested: a chunk never exceeds the model; chunks do not overlap; every character that
//! is not white space lies in exactly one chunk; ranges fall on character boundaries.

mod pack;
mod units;

use std::ops::Range;

use quipu_embed::{TokenIds, Tokenizer};
use quipu_extract::Extracted;

/// Part of the configuration hash: raise it whenever the same text would be cut or hashed otherwise.
pub const CHUNKER_VERSION: u32 = 1;

/// At most this many tokens of a document's title go in front of each of its chunks.
const TITLE_TOKENS_MAX: usize = 32;

/// A chunk's text has at most this many bytes, however few tokens the model sees in it.
pub(crate) const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// A chunk of a document before it has a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The chunk's place, in bytes of the document's extracted text.
    pub range: Range<usize>,
    /// First and last line in the file, counted from 1; only where the text is the file's own.
    pub lines: Option<(u32, u32)>,
    /// The page on which the chunk begins, counted from 1; only for formats that have pages.
    pub page: Option<u32>,
    /// The headings above the chunk, outermost first, joined by ` > `.
    pub heading: Option<String>,
    /// What the vector depends on: the BLAKE3 hash of the token ids.
    pub hash: [u8; 32],
    /// `[CLS] title . body [SEP]`, never longer than the model allows.
    pub tokens: TokenIds,
}

/// Cuts `document` into chunks for the model that `tokenizer` belongs to and whose texts begin with `prompt`
/// (empty for most models).
///
/// Prompt and title lead each chunk's tokens (the ranking was tuned on vectors of "title. body") and leave the
/// rest of the model's length to the body.
pub fn chunk(document: &Extracted, tokenizer: &Tokenizer, prompt: &str) -> Vec<Piece> {
    let mut title = tokenizer.pieces(prompt);
    title.extend(title_tokens(document, tokenizer));
    let budget = tokenizer.tokens_max().saturating_sub(tokenizer.specials() + title.len()).max(1);
    let mut lines = Lines::of(document);
    let mut headings = HeadingPath::new(document);
    let mut pieces = Vec::new();
    for window in units::windows(&document.text) {
        let units = units::cut(document, window, tokenizer, budget);
        for group in pack::pack(&units, budget) {
            let units = &units[group];
            let range = units[0].range.start..units[units.len() - 1].range.end;
            let body: Vec<u32> = units.iter().flat_map(|unit| unit.tokens.iter().copied()).collect();
            let tokens = tokenizer.sequence(&[&title, &body]);
            pieces.push(Piece {
                lines: lines.as_mut().map(|lines| lines.of_range(&range)),
                page: page_of(&document.pages, range.start),
                heading: headings.at(range.start),
                hash: hash_tokens(&tokens),
                range,
                tokens,
            });
        }
    }
    pieces
}

/// The title and a full stop, as the model reads them; empty where the document has no title.
fn title_tokens(document: &Extracted, tokenizer: &Tokenizer) -> Vec<u32> {
    let Some(title) = document.title.as_deref().map(str::trim).filter(|title| !title.is_empty()) else {
        return Vec::new();
    };
    let mut tokens = tokenizer.pieces(title);
    tokens.truncate(title_tokens_max(tokenizer));
    tokens.extend(tokenizer.pieces("."));
    tokens
}

/// The text of what leads each chunk's tokens: prompt, title and a full stop. The model's tokenizer makes of it, and of
/// a chunk's text behind it, the chunk's tokens again.
pub(crate) fn lead(title: Option<&str>, tokenizer: &Tokenizer, prompt: &str) -> String {
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("{prompt}{}. ", first_tokens(title, tokenizer, title_tokens_max(tokenizer))),
        None => prompt.to_owned(),
    }
}

/// The part of `text` that its first `count` tokens were made of; all of it, where it has no more.
pub(crate) fn first_tokens<'a>(text: &'a str, tokenizer: &Tokenizer, count: usize) -> &'a str {
    let pieces = tokenizer.pieces_with_offsets(text);
    match pieces.get(count) {
        Some(_) => &text[..pieces[..count].last().map_or(0, |(_, range)| range.end)],
        None => text,
    }
}

/// The title's cap must leave room for a body even in a model with very short sequences.
fn title_tokens_max(tokenizer: &Tokenizer) -> usize {
    TITLE_TOKENS_MAX.min(tokenizer.tokens_max() / 4)
}

fn hash_tokens(tokens: &TokenIds) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for id in tokens.as_slice() {
        hasher.update(&id.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn page_of(page_starts: &[usize], offset: usize) -> Option<u32> {
    let page = page_starts.partition_point(|&start| start <= offset);
    u32::try_from(page).ok().filter(|&page| page > 0)
}

/// Counts lines; asked in ascending order, so each is counted once.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    fn of(document: &'a Extracted) -> Option<Self> {
        document.text_is_file.then_some(Self { text: &document.text, at: 0, line: 1 })
    }

    /// First and last line of a chunk.
    fn of_range(&mut self, range: &Range<usize>) -> (u32, u32) {
        (self.up_to(range.start), self.up_to(range.end))
    }

    fn up_to(&mut self, offset: usize) -> u32 {
        let passed = self.text.as_bytes()[self.at..offset].iter().filter(|&&byte| byte == b'\n').count();
        (self.at, self.line) = (offset, self.line.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX)));
        self.line
    }
}

/// The stack of headings above an offset; asked in ascending order, so each heading is passed once.
struct HeadingPath<'a> {
    document: &'a Extracted,
    next: usize,
    open: Vec<(u8, &'a str)>,
}

impl<'a> HeadingPath<'a> {
    fn new(document: &'a Extracted) -> Self {
        Self { document, next: 0, open: Vec::new() }
    }

    fn at(&mut self, offset: usize) -> Option<String> {
        while let Some(heading) = self.document.headings.get(self.next).filter(|h| h.offset <= offset) {
            self.open.retain(|&(level, _)| level < heading.level);
            self.open.push((heading.level, heading.text.trim()));
            self.next += 1;
        }
        let path: Vec<&str> =
            self.open.iter().map(|&(_, text)| text).filter(|text| !text.is_empty()).collect();
        (!path.is_empty()).then(|| path.join(" > "))
    }
}

#[cfg(test)]
mod tests;
