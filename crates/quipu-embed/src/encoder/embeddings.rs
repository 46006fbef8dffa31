//! The first step: a token's vector is the sum of its word's, its position's and its segment's, normalised.

use crate::EmbedError;
use crate::kernel::lines::Lines;
use crate::kernel::rows::Norm;
use crate::model::folder::BertConfig;

use super::Shape;
use super::weights::Weights;

/// The lookup tables.
pub(super) struct Embeddings {
    words: Vec<f32>,
    /// A lone text is all one segment, the first, so its vector is a part of each position's.
    positions: Vec<f32>,
    pub(super) norm: Norm,
}

impl Embeddings {
    /// Whether the tables are there and as large as the configuration says, before any memory is asked for.
    pub(super) fn check(weights: &Weights, prefix: &str, bert: &BertConfig) -> Result<(), EmbedError> {
        for (table, rows) in [
            ("word", bert.vocab_size),
            ("position", bert.max_position_embeddings),
            ("token_type", bert.type_vocab_size),
        ] {
            let name = format!("{prefix}embeddings.{table}_embeddings.weight");
            weights.check(&name, &[rows, bert.hidden_size])?;
        }
        Ok(())
    }

    pub(super) fn read(
        weights: &Weights,
        prefix: &str,
        bert: &BertConfig,
        shape: &Shape,
    ) -> Result<Self, EmbedError> {
        let hidden = bert.hidden_size;
        let read = |name: &str, shape: &[usize]| weights.read(&format!("{prefix}embeddings.{name}"), shape);
        let words = read("word_embeddings.weight", &[bert.vocab_size, hidden])?;
        let mut positions = read("position_embeddings.weight", &[bert.max_position_embeddings, hidden])?;
        let segments = read("token_type_embeddings.weight", &[bert.type_vocab_size, hidden])?;
        for position in positions.chunks_exact_mut(hidden) {
            for (sum, segment) in position.iter_mut().zip(&segments) {
                *sum += segment;
            }
        }
        let norm = shape.norm(read("LayerNorm.weight", &[hidden])?, read("LayerNorm.bias", &[hidden])?);
        Ok(Self { words, positions, norm })
    }

    /// Writes the sums, row after row.
    pub(super) fn write<'a>(
        &self,
        shape: &Shape,
        sequences: impl Iterator<Item = &'a [u32]>,
        hidden: &mut Lines,
    ) {
        let mut rows = hidden.floats_mut().chunks_exact_mut(shape.width);
        for sequence in sequences {
            let positions = self.positions.chunks_exact(shape.hidden);
            for ((id, position), row) in sequence.iter().zip(positions).zip(&mut rows) {
                let word = &self.words[*id as usize * shape.hidden..][..shape.hidden];
                for ((sum, word), position) in row.iter_mut().zip(word).zip(position) {
                    *sum = word + position;
                }
                row[shape.hidden..].fill(0.0);
            }
        }
    }
}

impl std::fmt::Debug for Embeddings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Embeddings")
    }
}
