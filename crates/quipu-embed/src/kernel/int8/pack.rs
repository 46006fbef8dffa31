//! Weights in eight bits, laid out as the products read them: once, from front to back.

/// Inputs that one instruction multiplies and adds up for an output.
pub(super) const LANES: usize = 4;

/// Outputs side by side: four registers of sixteen.
pub(super) const PANEL: usize = 64;

/// A weight matrix, outputs × inputs, quantised: one scale for each output, values in −127…127.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Panels of [`PANEL`] outputs, in each for every [`LANES`] inputs those of every output; zero where there is none.
    pub(super) values: Vec<i8>,
    /// By output, and on to the end of the last panel.
    pub(super) scales: Vec<f32>,
    /// The sum of each output's values: what a row's zero point must be taken away by.
    pub(super) sums: Vec<i32>,
    pub(super) outputs: usize,
    /// Inputs, rounded up to whole [`LANES`].
    pub(super) stride: usize,
}

impl Packed {
    /// Quantises weights stored outputs × inputs.
    pub(crate) fn new(weights: &[f32], inputs: usize) -> Self {
        let (outputs, stride) = (weights.len() / inputs, inputs.next_multiple_of(LANES));
        let room = outputs.next_multiple_of(PANEL);
        let (mut values, mut scales, mut sums) = (vec![0; room * stride], vec![0.0; room], vec![0; room]);
        for (output, weights) in weights.chunks_exact(inputs).enumerate() {
            let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
            let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
            scales[output] = scale;
            let column = output / PANEL * PANEL * stride + output % PANEL * LANES;
            for (input, weight) in weights.iter().enumerate() {
                let value = (weight / scale).round() as i8;
                values[column + input / LANES * PANEL * LANES + input % LANES] = value;
                sums[output] += i32::from(value);
            }
        }
        Self { values, scales, sums, outputs, stride }
    }
}
