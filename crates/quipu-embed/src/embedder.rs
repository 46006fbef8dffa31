//! The interface that the rest of the house embeds through, and what it says about a model. How vectors come to be is
//! the implementation's: here that is [`Encoder`](crate::Encoder).

use crate::{EmbedError, TokenIds, Tokenizer};

/// Texts to vectors. Object-safe, `Send + Sync`, shared by all workers.
///
/// It computes and never waits. Implementations promise that a sequence's vector is the same, bit for bit, whatever
/// other sequences are embedded beside it, in whatever order and from however many threads.
pub trait Embedder: Send + Sync {
    /// Name, dimensions, limits and the hash that an index is bound to.
    fn info(&self) -> &ModelInfo;

    /// The model's own tokenizer; the chunker packs by it.
    fn tokenizer(&self) -> &Tokenizer;

    /// Writes one vector per sequence into `out`: `chunks.len() × dimensions` f32, row-major, in the order of
    /// `chunks`, normalised if the model says so.
    ///
    /// # Errors
    /// [`EmbedError::OutputLength`] if `out` has another length; [`EmbedError::Input`] for a sequence that is empty,
    /// longer than `tokens_max`, or holds an id outside the vocabulary. Then `out` is left as it was. Also
    /// [`EmbedError::Input`], with `out` partly written, for a sequence whose vector is not finite, as weights near the
    /// end of f32's range make it.
    fn embed_into(&self, chunks: &[TokenIds], out: &mut [f32]) -> Result<(), EmbedError>;
}

/// What is known about a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The model's name: its folder's.
    pub name: String,
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Tokens in the longest sequence that the model takes, special tokens included.
    pub tokens_max: usize,
    /// A fingerprint of everything that decides a vector: equal for equal models wherever they lie. See
    /// `docs/decisions/0003-own-f32-encoder.md` for what goes into it.
    pub configuration: [u8; 32],
    /// The licence that the model's own README states, as it writes it.
    pub licence: Option<String>,
    /// What the model wants put before texts; empty for most.
    pub prompts: Prompts,
}

/// Prefixes of models that tell questions from documents (e5: `"query: "`, `"passage: "`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// Put before a question.
    pub query: String,
    /// Put before each stored text.
    pub document: String,
}
