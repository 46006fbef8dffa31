//! One transformer layer: attention, then feed-forward, each added to its input and normalised.

use crate::EmbedError;
use crate::kernel::linear::{Weight, linear};
use crate::kernel::rows;

use super::attention::Attention;
use super::feed_forward::FeedForward;
use super::scratch::Scratch;
use super::weights::{Tensor, Weights};
use super::{Network, Shape};

/// The weights of one layer.
#[derive(Debug)]
pub(super) struct Layer {
    attention: Attention,
    feed_forward: FeedForward,
}

/// `y = x·Wᵀ + b`, W stored as outputs × inputs.
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
    inputs: usize,
    outputs: usize,
}

/// A projection whose result is added to what it started from, then normalised: the end of both half layers.
#[derive(Debug)]
pub(super) struct Residual {
    linear: Linear,
    gamma: Tensor,
    beta: Tensor,
}

impl Layer {
    pub(super) fn find(
        weights: &Weights,
        prefix: &str,
        number: usize,
        shape: Shape,
    ) -> Result<Self, EmbedError> {
        let prefix = format!("{prefix}encoder.layer.{number}");
        Ok(Self {
            attention: Attention::find(weights, &format!("{prefix}.attention"), shape)?,
            feed_forward: FeedForward::find(weights, &prefix, shape)?,
        })
    }

    /// `scratch.hidden` in, `scratch.hidden` out.
    pub(super) fn apply(&self, network: &Network, sequences: &[&[u32]], scratch: &mut Scratch) {
        self.attention.apply(network, sequences, scratch);
        self.feed_forward.apply(network, scratch);
    }
}

impl Linear {
    pub(super) fn find(
        weights: &Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, EmbedError> {
        Ok(Self {
            weight: weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: weights.tensor(&format!("{name}.bias"), &[outputs])?,
            inputs,
            outputs,
        })
    }

    pub(super) fn bias<'a>(&'a self, weights: &'a Weights) -> &'a [f32] {
        weights.floats(&self.bias)
    }

    /// `out ← input·Wᵀ`, or `out ← out + input·Wᵀ` if `add`, without the bias. `out`'s rows start `row_stride` apart.
    pub(super) fn product(
        &self,
        network: &Network,
        input: &[f32],
        add: bool,
        out: &mut [f32],
        row_stride: usize,
    ) {
        let numbers = network.weights.floats(&self.weight);
        let weight = Weight { numbers, inputs: self.inputs, outputs: self.outputs };
        linear(network.kernel, input, weight, add, out, row_stride);
    }
}

impl Residual {
    pub(super) fn find(
        weights: &Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, EmbedError> {
        Ok(Self {
            linear: Linear::find(weights, &format!("{name}.dense"), inputs, outputs)?,
            gamma: weights.tensor(&format!("{name}.LayerNorm.weight"), &[outputs])?,
            beta: weights.tensor(&format!("{name}.LayerNorm.bias"), &[outputs])?,
        })
    }

    /// `hidden ← norm(hidden + input·Wᵀ + b)`; the product adds onto `hidden` itself, which saves a pass over memory.
    pub(super) fn apply(&self, network: &Network, input: &[f32], hidden: &mut [f32]) {
        let weights = &network.weights;
        self.linear.product(network, input, true, hidden, network.shape.hidden);
        let (gamma, beta) = (weights.floats(&self.gamma), weights.floats(&self.beta));
        rows::layer_norm(
            network.kernel,
            hidden,
            self.linear.bias(weights),
            gamma,
            beta,
            network.shape.epsilon,
        );
    }
}

impl std::fmt::Debug for Linear {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Linear({} → {})", self.inputs, self.outputs)
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tensor")
    }
}
