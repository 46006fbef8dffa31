//! The model's own tokenizer, wrapped so that its traps cannot bite: truncation and padding are off, offsets are bytes,
//! and only single texts are encoded (the library's batch calls would bring a second thread pool).
//!
//! Splitting text into chunks is not done here; the chunker packs by [`Tokenizer::pieces_with_offsets`].

use std::ops::Range;
use std::path::Path;

use crate::EmbedError;

/// Turns text into the pieces of a model's vocabulary.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
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
    /// Reads a `tokenizer.json`. Its own truncation and padding are switched off: they describe how the model was
    /// trained or exported, not what it can take, which is `tokens_max`.
    ///
    /// # Errors
    /// [`EmbedError::Read`] and [`EmbedError::Configuration`], naming the file.
    pub fn load(file: &Path, tokens_max: usize) -> Result<Self, EmbedError> {
        let bytes = std::fs::read(file).map_err(|source| EmbedError::Read { file: file.into(), source })?;
        Self::parse(&bytes, tokens_max)
            .map_err(|problem| EmbedError::Configuration { file: file.into(), problem })
    }

    fn parse(bytes: &[u8], tokens_max: usize) -> Result<Self, String> {
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        inner.with_padding(None);
        let (prefix, suffix) = surroundings(&inner)?;
        if prefix.len() + suffix.len() >= tokens_max {
            return Err(format!("a limit of {tokens_max} tokens leaves no room beside the special tokens"));
        }
        Ok(Self { inner, prefix, suffix, tokens_max })
    }

    /// The pieces of a text, without special tokens and without any limit.
    ///
    /// A text that the library refuses (none is known for WordPiece) yields no pieces.
    pub fn pieces(&self, text: &str) -> Vec<u32> {
        let encoding = self.inner.encode_fast(text, false);
        encoding.map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
    }

    /// The pieces of a text, each with the bytes of `text` that it came from.
    ///
    /// Ranges ascend and lie on character boundaries. What the normaliser drops (white space, control characters)
    /// belongs to no piece.
    pub fn pieces_with_offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let Ok(encoding) = self.inner.encode(text, false) else { return Vec::new() };
        let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end);
        encoding.get_ids().iter().copied().zip(offsets).collect()
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
        self.pieces("Quipu") == self.pieces("quipu")
    }

    /// How many ids the tokenizer can produce. Counted, not listed: listing copies the vocabulary at each start.
    pub(crate) fn ids(&self) -> usize {
        self.inner.get_vocab_size(true)
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

    /// Whether there is no token at all, which no tokenizer produces.
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

/// The special tokens before and after a sequence, found by asking rather than by knowing BERT's names.
fn surroundings(inner: &tokenizers::Tokenizer) -> Result<(Vec<u32>, Vec<u32>), String> {
    const PROBE: &str = "a";
    let ids = |special| inner.encode_fast(PROBE, special).map_err(|error| error.to_string());
    let (bare, full) = (ids(false)?, ids(true)?);
    let (bare, full) = (bare.get_ids(), full.get_ids());
    if bare.is_empty() {
        return Err("it produces nothing for a letter".into());
    }
    let start = full.windows(bare.len()).position(|window| window == bare);
    let start = start.ok_or("its special tokens do not surround a text")?;
    Ok((full[..start].to_vec(), full[start + bare.len()..].to_vec()))
}
