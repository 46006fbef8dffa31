//! The first step: a token's vector is the sum of its word's, its position's and its segment's, normalised.

use crate::EmbedError;
use crate::kernel::rows;
use crate::model::folder::BertConfig;

use super::Network;
use super::scratch::Scratch;
use super::weights::{Tensor, Weights};

/// The lookup tables. Only the rows of words that occur are ever read from disk.
pub(super) struct Embeddings {
    words: Tensor,
    positions: Tensor,
    segments: Tensor,
    gamma: Tensor,
    beta: Tensor,
}

impl Embeddings {
    pub(super) fn find(weights: &Weights, prefix: &str, bert: &BertConfig) -> Result<Self, EmbedError> {
        let hidden = bert.hidden_size;
        let find = |name: &str, shape: &[usize]| weights.tensor(&format!("{prefix}embeddings.{name}"), shape);
        Ok(Self {
            words: find("word_embeddings.weight", &[bert.vocab_size, hidden])?,
            positions: find("position_embeddings.weight", &[bert.max_position_embeddings, hidden])?,
            segments: find("token_type_embeddings.weight", &[bert.type_vocab_size, hidden])?,
            gamma: find("LayerNorm.weight", &[hidden])?,
            beta: find("LayerNorm.bias", &[hidden])?,
        })
    }

    /// Fills `scratch.hidden`.
    pub(super) fn write(&self, network: &Network, sequences: &[&[u32]], scratch: &mut Scratch) {
        let (weights, hidden) = (&network.weights, network.shape.hidden);
        let (words, positions) = (weights.floats(&self.words), weights.floats(&self.positions));
        let mut rows_out = scratch.hidden.chunks_exact_mut(hidden);
        for sequence in sequences {
            for ((id, position), row) in
                sequence.iter().zip(positions.chunks_exact(hidden)).zip(&mut rows_out)
            {
                let word = &words[*id as usize * hidden..][..hidden];
                for ((sum, word), position) in row.iter_mut().zip(word).zip(position) {
                    *sum = word + position;
                }
            }
        }
        // A lone text is all one segment, the first, so its vector is a bias.
        let segment = &weights.floats(&self.segments)[..hidden];
        let (gamma, beta) = (weights.floats(&self.gamma), weights.floats(&self.beta));
        rows::layer_norm(
            network.shape.kernel,
            &mut scratch.hidden,
            segment,
            gamma,
            beta,
            network.shape.epsilon,
        );
    }
}

impl std::fmt::Debug for Embeddings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Embeddings")
    }
}
