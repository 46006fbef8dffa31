//! The second half of a layer: each token's vector through a wider one and back.

use crate::EmbedError;
use crate::kernel::rows;

use super::layer::{Linear, Residual};
use super::scratch::Scratch;
use super::weights::Weights;
use super::{Network, Shape};

#[derive(Debug)]
pub(super) struct FeedForward {
    widen: Linear,
    narrow: Residual,
}

impl FeedForward {
    pub(super) fn find(weights: &Weights, prefix: &str, shape: Shape) -> Result<Self, EmbedError> {
        Ok(Self {
            widen: Linear::find(
                weights,
                &format!("{prefix}.intermediate.dense"),
                (shape.hidden, shape.intermediate),
                shape.kernel,
            )?,
            narrow: Residual::find(
                weights,
                &format!("{prefix}.output"),
                (shape.intermediate, shape.hidden),
                shape.kernel,
            )?,
        })
    }

    /// `scratch.hidden` in, `scratch.hidden` out.
    pub(super) fn apply(&self, network: &Network, scratch: &mut Scratch) {
        let Scratch { hidden, intermediate, quantised, .. } = scratch;
        let (kernel, width) = (network.shape.kernel, network.shape.intermediate);
        let input = kernel.prepare(hidden, network.shape.hidden, quantised);
        self.widen.product(network, input, false, intermediate, width);
        rows::gelu_with_bias(kernel, intermediate, self.widen.bias(&network.weights));
        self.narrow.apply(network, intermediate, quantised, hidden);
    }
}
