//! One transformer layer: attention, then feed-forward, each added to its input and normalised.

use crate::EmbedError;
use crate::Kernel;
use crate::kernel::int8::{self, Packed, Rows};
use crate::kernel::linear::{Weight, linear};
use crate::kernel::{Input, rows};

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
    weight: Matrix,
    bias: Tensor,
    inputs: usize,
    outputs: usize,
}

/// A weight matrix as the kernel takes it.
enum Matrix {
    /// As it is in the file.
    F32(Tensor),
    Int8(Packed),
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
        (inputs, outputs): (usize, usize),
        kernel: Kernel,
    ) -> Result<Self, EmbedError> {
        let stored = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let weight = if kernel.is_in_eight_bits() {
            Matrix::Int8(Packed::new(weights.floats(&stored), inputs))
        } else {
            Matrix::F32(stored)
        };
        Ok(Self { weight, bias: weights.tensor(&format!("{name}.bias"), &[outputs])?, inputs, outputs })
    }

    pub(super) fn bias<'a>(&'a self, weights: &'a Weights) -> &'a [f32] {
        weights.floats(&self.bias)
    }

    /// `out ← input·Wᵀ`, or `out ← out + input·Wᵀ` if `add`, without the bias. `out`'s rows start `row_stride` apart.
    pub(super) fn product(
        &self,
        network: &Network,
        input: Input<'_>,
        add: bool,
        out: &mut [f32],
        row_stride: usize,
    ) {
        let kernel = network.shape.kernel;
        match (&self.weight, input) {
            (Matrix::F32(tensor), Input::F32(input)) => {
                let numbers = network.weights.floats(tensor);
                let weight = Weight { numbers, inputs: self.inputs, outputs: self.outputs };
                linear(kernel, input, weight, add, out, row_stride);
            }
            (Matrix::Int8(weight), Input::Int8(rows)) => {
                int8::linear(kernel, rows, weight, add, out, row_stride)
            }
            _ => unreachable!("inputs are prepared by the kernel that the weights were made for"),
        }
    }
}

impl Residual {
    pub(super) fn find(
        weights: &Weights,
        name: &str,
        (inputs, outputs): (usize, usize),
        kernel: Kernel,
    ) -> Result<Self, EmbedError> {
        Ok(Self {
            linear: Linear::find(weights, &format!("{name}.dense"), (inputs, outputs), kernel)?,
            gamma: weights.tensor(&format!("{name}.LayerNorm.weight"), &[outputs])?,
            beta: weights.tensor(&format!("{name}.LayerNorm.bias"), &[outputs])?,
        })
    }

    /// `hidden ← norm(hidden + input·Wᵀ + b)`; the product adds onto `hidden` itself, which saves a pass over memory.
    pub(super) fn apply(&self, network: &Network, input: &[f32], quantised: &mut Rows, hidden: &mut [f32]) {
        let weights = &network.weights;
        let input = network.shape.kernel.prepare(input, self.linear.inputs, quantised);
        self.linear.product(network, input, true, hidden, network.shape.hidden);
        let (gamma, beta) = (weights.floats(&self.gamma), weights.floats(&self.beta));
        rows::layer_norm(
            network.shape.kernel,
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
