//! The first half of a layer: each token gathers from the other tokens of its own sequence.
//!
//! Projections run over all tokens of the batch at once; scores per sequence and head, so that no sequence sees
//! another and none is padded.

use crate::EmbedError;
use crate::kernel::gemm::{View, ViewMut, multiply};
use crate::kernel::{Input, rows};

use super::layer::{Linear, Residual};
use super::scratch::Scratch;
use super::weights::Weights;
use super::{Network, Shape};

#[derive(Debug)]
pub(super) struct Attention {
    /// Query, key, value.
    projections: [Linear; 3],
    output: Residual,
}

impl Attention {
    pub(super) fn find(weights: &Weights, prefix: &str, shape: Shape) -> Result<Self, EmbedError> {
        let square = (shape.hidden, shape.hidden);
        let linear =
            |name: &str| Linear::find(weights, &format!("{prefix}.self.{name}"), square, shape.kernel);
        Ok(Self {
            projections: [linear("query")?, linear("key")?, linear("value")?],
            output: Residual::find(weights, &format!("{prefix}.output"), square, shape.kernel)?,
        })
    }

    /// `scratch.hidden` in, `scratch.hidden` out.
    pub(super) fn apply(&self, network: &Network, sequences: &[&[u32]], scratch: &mut Scratch) {
        let hidden =
            network.shape.kernel.prepare(&scratch.hidden, network.shape.hidden, &mut scratch.quantised);
        self.project(network, hidden, &mut scratch.projected);
        let mut first_token = 0;
        for sequence in sequences {
            for head in 0..network.shape.heads {
                gather(network, first_token, sequence.len(), head, scratch);
            }
            first_token += sequence.len();
        }
        self.output.apply(network, &scratch.context, &mut scratch.quantised, &mut scratch.hidden);
    }

    /// Queries, keys and values of all tokens, side by side.
    fn project(&self, network: &Network, hidden: Input<'_>, projected: &mut [f32]) {
        let (width, row) = (network.shape.hidden, 3 * network.shape.hidden);
        for tokens in projected.chunks_exact_mut(row) {
            for (part, linear) in tokens.chunks_exact_mut(width).zip(&self.projections) {
                part.copy_from_slice(linear.bias(&network.weights));
            }
        }
        for (part, linear) in self.projections.iter().enumerate() {
            linear.product(network, hidden, true, &mut projected[part * width..], row);
        }
    }
}

/// One head over one sequence: softmax(Q·Kᵀ/√d)·V into the head's columns of `scratch.context`.
fn gather(network: &Network, first_token: usize, length: usize, head: usize, scratch: &mut Scratch) {
    let hidden = network.shape.hidden;
    let width = hidden / network.shape.heads;
    let row = 3 * hidden;
    let part = |number: usize| {
        let start = first_token * row + number * hidden + head * width;
        View::new(&scratch.projected[start..], length, width, row)
    };
    let scores = &mut scratch.scores[..length * length];
    let inverses = &mut scratch.inverses[..length];
    let scale = 1.0 / (width as f32).sqrt();
    multiply(scale, part(0), part(1).transposed(), 0.0, ViewMut::new(scores, length, length, length));
    rows::softmax_numerators(network.shape.kernel, scores, length, inverses);
    let weights = View::new(scores, length, length, length);
    let context = &mut scratch.context[first_token * hidden + head * width..];
    multiply(1.0, weights, part(2), 0.0, ViewMut::new(context, length, width, hidden));
    rows::scale_rows(network.shape.kernel, context, width, hidden, inverses);
}
