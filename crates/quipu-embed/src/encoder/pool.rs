//! The last step: one vector per sequence out of its tokens' vectors.

use crate::kernel::rows::Mean;
use crate::model::folder::Pooling;

use super::{Network, Shape};

/// The bound that the reference implementation uses, so that zeros stay zeros.
const LENGTH_MIN: f32 = 1e-12;

impl Network {
    /// Writes a sequence's vector to `vector`, normalised if the model says so. `tokens` are its rows, and `pooled` has
    /// their width.
    pub(super) fn pool(&self, shape: &Shape, tokens: &[f32], pooled: &mut [f32], vector: &mut [f32]) {
        match self.pooling {
            Pooling::Mean => shape.kernel.run(Mean { rows: tokens, mean: &mut *pooled }),
            Pooling::FirstToken => pooled.copy_from_slice(&tokens[..shape.width]),
        }
        vector.copy_from_slice(&pooled[..shape.hidden]);
        if self.normalised {
            let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32;
            let factor = 1.0 / length.max(LENGTH_MIN);
            vector.iter_mut().for_each(|x| *x *= factor);
        }
    }
}
