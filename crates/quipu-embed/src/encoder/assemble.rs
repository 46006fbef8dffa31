//! Makes a layer of a model's tensors: three projections become one, heads are given whole registers, and what belongs to
//! every product anyway (softmax's scale, the smoothing of what attention gathers) is put into the weights.

use crate::EmbedError;
use crate::kernel::pack::{Matrix, Packed};
use crate::kernel::rows::Norm;

use super::Shape;
use super::layer::Layer;
use super::smoothing::{Input, Maxima};
use super::weights::Weights;

/// The exponent α with which rows and weights share the range. Over Cranfield and CACM anything from 0.5 to 0.6 is as good
/// on every kernel; 0.4 and 0.7 are worse.
const SMOOTHING: f32 = 0.55;

/// A weight matrix and its bias.
struct Linear {
    matrix: Matrix,
    bias: Vec<f32>,
}

impl Layer {
    /// Whether the largest matrices of the layer `number` are there, so that what is asked for of memory on the
    /// configuration's word is never much more than the file has.
    pub(super) fn check(
        weights: &Weights,
        prefix: &str,
        number: usize,
        shape: &Shape,
    ) -> Result<(), EmbedError> {
        let prefix = format!("{prefix}encoder.layer.{number}");
        weights.check(&format!("{prefix}.attention.self.query.weight"), &[shape.hidden, shape.hidden])?;
        weights.check(&format!("{prefix}.intermediate.dense.weight"), &[shape.intermediate, shape.hidden])
    }

    /// The layer `number` of the model, its weights packed for the shape's kernel.
    pub(super) fn assemble(
        weights: &Weights,
        prefix: &str,
        number: usize,
        shape: &Shape,
        maxima: Option<&Maxima>,
    ) -> Result<Self, EmbedError> {
        let prefix = format!("{prefix}encoder.layer.{number}");
        let words = shape.kernel.words();
        let linear =
            |name: &str, inputs, outputs| Linear::read(weights, &format!("{prefix}.{name}"), inputs, outputs);
        let norm = |name: &str| {
            let read = |part: &str| weights.read(&format!("{prefix}.{name}.{part}"), &[shape.hidden]);
            Ok::<Norm, EmbedError>(shape.norm(read("weight")?, read("bias")?))
        };
        let mut project = Linear::of_heads(weights, &format!("{prefix}.attention.self"), shape)?;
        let mut output = linear("attention.output.dense", shape.hidden, shape.hidden)?.with_wide_heads(shape);
        let widen = linear("intermediate.dense", shape.hidden, shape.intermediate)?;
        let narrow = linear("output.dense", shape.intermediate, shape.hidden)?;
        let factors =
            |input, matrix: &Matrix| maxima.map(|maxima| maxima.factors(number, input, matrix, SMOOTHING));
        if let Some(factors) = factors(Input::Context, &output.matrix) {
            output.take_over(&mut project, &factors);
        }
        let pack = |linear: &Linear, factors: Option<Vec<f32>>| {
            Packed::new(words, &linear.matrix, &linear.bias, factors.as_deref())
        };
        Ok(Self {
            project: pack(&project, factors(Input::Hidden, &project.matrix)),
            output: pack(&output, None),
            output_norm: norm("attention.output.LayerNorm")?,
            widen: pack(&widen, factors(Input::Attended, &widen.matrix)),
            narrow: pack(&narrow, factors(Input::Wide, &narrow.matrix)),
            narrow_norm: norm("output.LayerNorm")?,
        })
    }
}

impl Linear {
    fn read(weights: &Weights, name: &str, inputs: usize, outputs: usize) -> Result<Self, EmbedError> {
        let numbers = weights.read(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = weights.read(&format!("{name}.bias"), &[outputs])?;
        Ok(Self { matrix: Matrix { numbers, inputs }, bias })
    }

    /// Queries, keys and values one after another, each head as wide as attention has it. Queries are scaled by
    /// log2 e / √width, so that attention's weights are powers of two.
    fn of_heads(weights: &Weights, name: &str, shape: &Shape) -> Result<Self, EmbedError> {
        let (hidden, head) = (shape.hidden, shape.hidden / shape.heads);
        let outputs = 3 * shape.heads * shape.head;
        let mut all = Self {
            matrix: Matrix { numbers: vec![0.0; outputs * hidden], inputs: hidden },
            bias: vec![0.0; outputs],
        };
        for (part, kind) in ["query", "key", "value"].into_iter().enumerate() {
            let mut linear = Self::read(weights, &format!("{name}.{kind}"), hidden, hidden)?;
            if part == 0 {
                let scale = std::f32::consts::LOG2_E / (head as f32).sqrt();
                linear.matrix.numbers.iter_mut().chain(&mut linear.bias).for_each(|x| *x *= scale);
            }
            for number in 0..shape.heads {
                let (from, to) = (number * head, (part * shape.heads + number) * shape.head);
                let rows = &linear.matrix.numbers[from * hidden..][..head * hidden];
                all.matrix.numbers[to * hidden..][..head * hidden].copy_from_slice(rows);
                all.bias[to..][..head].copy_from_slice(&linear.bias[from..][..head]);
            }
        }
        Ok(all)
    }

    /// The same with inputs in heads as wide as attention has them.
    fn with_wide_heads(self, shape: &Shape) -> Self {
        let head = shape.hidden / shape.heads;
        if head == shape.head {
            return self;
        }
        let inputs = shape.heads * shape.head;
        let mut numbers = vec![0.0; shape.hidden * inputs];
        let heads = self.matrix.numbers.chunks_exact(head);
        for (from, to) in heads.zip(numbers.chunks_exact_mut(shape.head)) {
            to[..head].copy_from_slice(from);
        }
        Self { matrix: Matrix { numbers, inputs }, bias: self.bias }
    }

    /// Divides the weights by factors that the values are multiplied by instead, in the projection that makes them.
    fn take_over(&mut self, project: &mut Self, factors: &[f32]) {
        for row in self.matrix.numbers.chunks_exact_mut(self.matrix.inputs) {
            for (weight, factor) in row.iter_mut().zip(factors) {
                *weight /= factor;
            }
        }
        let (inputs, values) = (project.matrix.inputs, project.matrix.outputs() / 3 * 2);
        let rows = project.matrix.numbers.chunks_exact_mut(inputs).skip(values);
        for ((row, bias), factor) in rows.zip(&mut project.bias[values..]).zip(factors) {
            row.iter_mut().for_each(|weight| *weight *= factor);
            *bias *= factor;
        }
    }
}
