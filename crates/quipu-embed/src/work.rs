//! What a model's forward pass costs: the one place that says so, for whoever holds a speed against a peak.

use std::path::Path;

use crate::EmbedError;
use crate::model::folder::ModelFolder;

/// What decides how much a model computes for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    hidden: usize,
    intermediate: usize,
    layers: usize,
}

impl Work {
    /// The work of the model in a folder as sentence-transformers writes it. Its weights are not read.
    ///
    /// # Errors
    /// As [`Encoder::load`](crate::Encoder::load), for the configuration files.
    pub fn of(folder: &Path) -> Result<Self, EmbedError> {
        let bert = ModelFolder::read(folder)?.bert;
        Ok(Self {
            hidden: bert.hidden_size,
            intermediate: bert.intermediate_size,
            layers: bert.num_hidden_layers,
        })
    }

    /// Multiplications and additions in the products for `tokens` tokens, whose sequences' lengths have squares that add
    /// up to `squares`. In each layer a token is multiplied by four matrices of hidden × hidden and two of hidden ×
    /// intermediate, and compared with every token of its sequence, twice. What stands between the products is left out.
    pub fn operations(self, tokens: u64, squares: u64) -> f64 {
        let (hidden, intermediate) = (self.hidden as f64, self.intermediate as f64);
        let of_token = 8.0 * hidden * hidden + 4.0 * hidden * intermediate;
        self.layers as f64 * (tokens as f64 * of_token + squares as f64 * 4.0 * hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_the_small_model_costs_what_was_counted_by_hand() {
        let work = Work { hidden: 384, intermediate: 1_536, layers: 6 };
        let length = 241;
        let of_token = work.operations(length, length * length) / length as f64;
        assert!((of_token - (21.23e6 + 9_216.0 * length as f64)).abs() < 0.01e6, "{of_token}");
    }
}
