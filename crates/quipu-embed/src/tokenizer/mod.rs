//! Text to the pieces of a BERT model's vocabulary: WordPiece, exactly as the `tokenizers` library has it, which models
//! were trained with, and many times faster. `tests/tokenizer` holds the two against each other.
//!
//! The way of a text through the rooms:
//!
//! 1. [`added`] cuts out tokens that are in the text as such, `[CLS]` for one.
//! 2. [`normalise`] says what becomes of each character of the rest, and [`marks`] where marks change places.
//!    [`normalised`] holds a text of which all is needed at once.
//! 3. [`words`] gathers words from them, and cuts each into pieces that [`vocabulary`] finds.
//!
//! [`file`] reads a `tokenizer.json`, which decides all of that. Splitting text into chunks is not done here; the
//! chunker packs by [`Tokenizer::pieces_with_offsets`].

mod added;
mod file;
mod marks;
mod normalise;
mod normalised;
#[cfg(test)]
mod tests;
mod vocabulary;
mod words;

use std::ops::Range;
use std::path::Path;

use crate::{EmbedError, files};
use added::{Matcher, Part};
pub(crate) use file::FILE_BYTES_MAX;
use file::TokenizerFile;
use normalise::{Ascii, Normal, Normaliser};
use normalised::NormalisedText;
use vocabulary::Vocabulary;
use words::Words;

/// What a file is called where only its bytes are known.
const FILE: &str = "tokenizer.json";

/// Bytes of text for one piece, at the least that is usual: what is first reserved for pieces seldom has to grow.
const PIECE_BYTES: usize = 4;

/// Turns text into the pieces of a model's vocabulary.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    normaliser: Normaliser,
    word_characters_max: usize,
    /// Added tokens that are looked for in the text as it is.
    raw: Option<Matcher>,
    /// Those that are looked for in normalised text.
    normalised: Option<Matcher>,
    /// One more than the largest id.
    ids: usize,
    /// What the model wants before each sequence, `[CLS]` for BERT.
    prefix: Vec<u32>,
    /// What it wants after each sequence, `[SEP]` for BERT.
    suffix: Vec<u32>,
    tokens_max: usize,
}

/// One sequence as a model takes it, special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenIds {
    ids: Vec<u32>,
    truncated: bool,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Its truncation and padding are passed over: they describe how the model was trained or
    /// exported, not what it can take, which is `tokens_max`.
    ///
    /// # Errors
    /// [`EmbedError::Read`] and [`EmbedError::Configuration`], naming the file. One that asks for anything but BERT's
    /// WordPiece is of the second kind.
    pub fn load(file: &Path, tokens_max: usize) -> Result<Self, EmbedError> {
        let bytes = files::read(file, FILE_BYTES_MAX)?;
        Self::build(&bytes, tokens_max)
            .map_err(|problem| EmbedError::Configuration { file: file.into(), problem })
    }

    /// [`Tokenizer::load`] for the bytes of such a file.
    ///
    /// # Errors
    /// [`EmbedError::Configuration`].
    pub fn parse(bytes: &[u8], tokens_max: usize) -> Result<Self, EmbedError> {
        Self::build(bytes, tokens_max)
            .map_err(|problem| EmbedError::Configuration { file: FILE.into(), problem })
    }

    fn build(bytes: &[u8], tokens_max: usize) -> Result<Self, String> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
        }
        let file = TokenizerFile::parse(bytes)?;
        let (prefix, suffix) = file.surroundings;
        if prefix.len() + suffix.len() >= tokens_max {
            return Err(format!("a limit of {tokens_max} tokens leaves no room beside the special tokens"));
        }
        let vocabulary = Vocabulary::new(file.words, &file.unknown, &file.continuing_prefix)?;
        let normaliser = Normaliser::new(file.settings);
        let tokens = added::with_ids(file.added_tokens, &vocabulary)?;
        let specials = prefix.iter().chain(&suffix).copied();
        let largest = specials.chain(tokens.iter().map(|token| token.id)).fold(vocabulary.id_max(), u32::max);
        let (normalised, raw): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|token| token.normalized);
        let patterns = raw.iter().map(|token| token.content.clone()).collect::<Vec<_>>();
        let raw = Matcher::new(raw, &patterns)?;
        let content = |token: &added::AddedToken| NormalisedText::new(&normaliser, &token.content).text;
        let patterns = normalised.iter().map(content).collect::<Vec<_>>();
        let normalised = Matcher::new(normalised, &patterns)?;
        Ok(Self {
            vocabulary,
            normaliser,
            word_characters_max: file.word_characters_max,
            raw,
            normalised,
            ids: largest as usize + 1,
            prefix,
            suffix,
            tokens_max,
        })
    }

    /// The pieces of a text, without special tokens and without any limit.
    pub fn pieces(&self, text: &str) -> Vec<u32> {
        let mut pieces = Vec::with_capacity(text.len() / PIECE_BYTES);
        self.tokenise(text, |id, _, _| pieces.push(id));
        pieces
    }

    /// The pieces of a text, each with the bytes of `text` that it came from.
    ///
    /// Ranges ascend and lie on character boundaries. What the normaliser drops (white space, control characters)
    /// belongs to no piece.
    pub fn pieces_with_offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut pieces = Vec::with_capacity(text.len() / PIECE_BYTES);
        self.tokenise(text, |id, start, end| pieces.push((id, start..end)));
        pieces
    }

    /// The parts, one after another, between the model's special tokens: what [`Embedder`](crate::Embedder) takes.
    ///
    /// Pieces past `tokens_max - specials()` are left out; [`TokenIds::is_truncated`] then says so.
    pub fn sequence(&self, parts: &[&[u32]]) -> TokenIds {
        let room = self.tokens_max - self.specials();
        let pieces: usize = parts.iter().map(|part| part.len()).sum();
        let mut ids = Vec::with_capacity(pieces.min(room) + self.specials());
        ids.extend_from_slice(&self.prefix);
        ids.extend(parts.iter().flat_map(|part| part.iter().copied()).take(room));
        ids.extend_from_slice(&self.suffix);
        TokenIds { ids, truncated: pieces > room }
    }

    /// A whole text as one sequence, cut at `tokens_max`: what a query needs.
    pub fn encode(&self, text: &str) -> TokenIds {
        self.sequence(&[&self.pieces(text)])
    }

    /// How many special tokens a sequence has: 2 for BERT.
    pub fn specials(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Tokens in the longest sequence that the model takes, special tokens included.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// Whether the tokenizer itself folds case.
    pub(crate) fn folds_case(&self) -> bool {
        self.normaliser.settings().lowercase
    }

    /// How many ids a model needs to know for all that the tokenizer can produce: one more than the largest.
    pub(crate) fn ids(&self) -> usize {
        self.ids
    }

    /// Hands out all pieces: `emit(id, start, end)`.
    fn tokenise(&self, text: &str, mut emit: impl FnMut(u32, usize, usize)) {
        let Some(matcher) = &self.raw else { return self.segment(text, 0..text.len(), &mut emit) };
        matcher.split(text, |part| match part {
            Part::Text(range) => self.segment(text, range, &mut emit),
            Part::Token(id, range) => emit(id, range.start, range.end),
        });
    }

    /// What lies between added tokens.
    fn segment(&self, text: &str, segment: Range<usize>, emit: &mut impl FnMut(u32, usize, usize)) {
        let Some(matcher) = &self.normalised else {
            let mut words = Words::new(&self.vocabulary, self.word_characters_max, emit);
            return self.words(text, segment, &mut words);
        };
        let normalised = NormalisedText::new(&self.normaliser, &text[segment.clone()]);
        matcher.split(&normalised.text, |part| match part {
            Part::Token(id, range) => {
                let characters = normalised.characters(range);
                let (first, last) = (characters.first(), characters.last());
                if let (Some(first), Some(last)) = (first, last) {
                    emit(id, segment.start + first.start, segment.start + last.end);
                }
            }
            Part::Text(range) => {
                let mut words = Words::new(&self.vocabulary, self.word_characters_max, &mut *emit);
                for placed in normalised.characters(range) {
                    words.push(placed.normal, segment.start + placed.start, segment.start + placed.end);
                }
                words.finish();
            }
        });
    }

    /// Normalises and gathers words in one pass: letters of ASCII by runs, all else by the character.
    fn words<E: FnMut(u32, usize, usize)>(
        &self,
        text: &str,
        segment: Range<usize>,
        words: &mut Words<'_, E>,
    ) {
        let bytes = &text.as_bytes()[..segment.end];
        let ascii = self.normaliser.ascii();
        let mut at = segment.start;
        while at < bytes.len() {
            let run = bytes[at..].iter().take_while(|&&byte| ascii.of(byte) < Ascii::LETTERS).count();
            if run > 0 {
                words.letters(bytes[at..at + run].iter().map(|&byte| ascii.of(byte)), at);
                at += run;
                continue;
            }
            match ascii.of(bytes[at]) {
                Ascii::SPACE => words.finish(),
                Ascii::PUNCTUATION => words.push(Normal::punctuation(bytes[at]), at, at + 1),
                Ascii::WIDE => {
                    at = self.normaliser.next(text, segment.clone(), at, &mut |normal, start, end| {
                        words.push(normal, start, end);
                    });
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        words.finish();
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokenizer").field("tokens_max", &self.tokens_max).finish_non_exhaustive()
    }
}

impl TokenIds {
    /// A sequence from ids that already hold the special tokens.
    pub fn new(ids: Vec<u32>) -> Self {
        Self { ids, truncated: false }
    }

    /// Tokens, special ones included.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token at all, which only a tokenizer without special tokens produces, of an empty text.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids.
    pub fn as_slice(&self) -> &[u32] {
        &self.ids
    }

    /// Whether pieces were left out because the model takes no more.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}
