//! What is embedded: two profiles of length, texts of mixed lengths, and the reference.
//!
//! All cut from one text that never changes, so that runs of different commits compare. Speed depends on lengths alone;
//! how near the vectors are is measured on the reference's texts.

use quipu_embed::verify::cosine;
use quipu_embed::{TokenIds, Tokenizer};
use serde::{Deserialize, Serialize};

const SOURCE: &str = include_str!("../../../LICENSE-APACHE");
const REFERENCE: &str = include_str!("../../../crates/quipu-embed/tests/reference/texts.json");
const VECTORS: &[u8] = include_bytes!("../../../crates/quipu-embed/tests/reference/vectors.f32");

/// Ten words, as someone may ask them.
pub(crate) const QUERY: &str = "how do two stages of a pipeline share the cores";

/// How long texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// About 33 tokens: titles, sentences, queries.
    Short,
    /// About 241 tokens: chunks as the chunker packs them.
    Long,
}

impl Profile {
    pub(crate) const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// The mean length, and how far from it texts are at most, in tokens.
    pub(crate) fn lengths(self) -> (usize, usize) {
        match self {
            Self::Short => (33, 13),
            Self::Long => (241, 15),
        }
    }

    /// Sequences of this profile, `tokens` in all or a little more. A shorter list is the longer one's start.
    pub(crate) fn sequences(self, tokenizer: &Tokenizer, tokens: usize) -> Vec<TokenIds> {
        let (mean, spread) = self.lengths();
        let pieces = tokenizer.pieces(SOURCE);
        let (mut sequences, mut total) = (Vec::new(), 0);
        while total < tokens {
            let index = sequences.len();
            // Steps that meet each length once, in no order, with the mean in the middle.
            let length = mean - spread + index * 11 % (2 * spread + 1) - tokenizer.specials();
            let start = index * 131 % (pieces.len() - length);
            sequences.push(tokenizer.sequence(&[&pieces[start..start + length]]));
            total += length + tokenizer.specials();
        }
        sequences
    }
}

/// Texts of 8 to 250 tokens in no order, more short ones than long: what a folder of notes and papers gives.
pub(crate) fn mixed(tokenizer: &Tokenizer, count: usize) -> Vec<String> {
    let pieces = tokenizer.pieces_with_offsets(SOURCE);
    let text = |index: usize| {
        let share = (index * 37 % 101) as f64 / 100.0;
        let length = 6 + (242.0 * share * share) as usize;
        let start = index * 131 % (pieces.len() - length);
        SOURCE[pieces[start].1.start..pieces[start + length - 1].1.end].to_owned()
    };
    (0..count).map(text).collect()
}

/// Texts and the vectors that sentence-transformers made of them.
#[derive(Deserialize)]
pub(crate) struct Reference {
    dimensions: usize,
    texts: Vec<ReferenceText>,
    #[serde(skip)]
    vectors: Vec<f32>,
}

#[derive(Deserialize)]
struct ReferenceText {
    text: String,
}

impl Reference {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut reference: Self = serde_json::from_str(REFERENCE)?;
        let words = VECTORS.as_chunks::<4>().0;
        reference.vectors = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
        Ok(reference)
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.texts.iter().map(|text| text.text.clone()).collect()
    }

    /// Cosines of `vectors`, one after another in the texts' order, to the reference's: mean and least.
    pub(crate) fn cosines(&self, vectors: &[f32]) -> (f64, f64) {
        let pairs = vectors.chunks_exact(self.dimensions).zip(self.vectors.chunks_exact(self.dimensions));
        let cosines: Vec<f64> = pairs.map(|(ours, theirs)| cosine(ours, theirs)).collect();
        let least = cosines.iter().copied().fold(f64::INFINITY, f64::min);
        (cosines.iter().sum::<f64>() / cosines.len() as f64, least)
    }
}
