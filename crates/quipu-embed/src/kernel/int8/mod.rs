//! Products in eight bits: `out ← x·Wᵀ (+ out)` with weights of one scale an output, and rows of one scale and one zero
//! point each.
//!
//! A row is quantised by itself, so a text's vector does not depend on what it is embedded beside. The sums are exact
//! integers, and what follows is rounded in one order on every path: all paths give the same bits.
#![allow(unsafe_code)]

mod pack;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(crate) use pack::Packed;

use super::{Kernel, Level, rows};
use pack::{LANES, PANEL};

/// Quantised rows: `x ≈ scale·(q − zero)`, with `q` in 0…255.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// rows × [`Rows::stride`]; what stands behind a row's inputs is multiplied by weights of zero.
    values: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
    stride: usize,
}

impl Rows {
    /// Quantises `rows` of `inputs` numbers each.
    pub(crate) fn quantise(&mut self, kernel: Kernel, rows: &[f32], inputs: usize) {
        let count = rows.len() / inputs;
        self.stride = inputs.next_multiple_of(LANES);
        self.values.resize(count * self.stride, 0);
        self.scales.resize(count, 0.0);
        self.zeros.resize(count, 0);
        rows::quantise(
            kernel,
            rows,
            inputs,
            &mut self.values,
            self.stride,
            &mut self.scales,
            &mut self.zeros,
        );
    }

    fn count(&self) -> usize {
        self.scales.len()
    }
}

/// `out ← rows·Wᵀ`, or `out ← out + rows·Wᵀ` if `add`. The rows of `out` start `row_stride` apart.
///
/// # Panics
/// If `out` is too short, or the rows have another number of inputs than the weights.
pub(crate) fn linear(
    kernel: Kernel,
    rows: &Rows,
    weight: &Packed,
    add: bool,
    out: &mut [f32],
    row_stride: usize,
) {
    let count = rows.count();
    if count == 0 {
        return;
    }
    assert_eq!(rows.stride, weight.stride, "inputs");
    assert!(out.len() >= (count - 1) * row_stride + weight.outputs, "the product's room");
    match kernel.level {
        // SAFETY: this level is only chosen where its features were detected, and the assertions hold what it reads and
        // writes.
        #[cfg(target_arch = "x86_64")]
        Level::Vnni => unsafe { vnni::product(rows, weight, add, out, row_stride) },
        _ => product(rows, weight, add, out, row_stride),
    }
}

/// The portable path.
fn product(rows: &Rows, weight: &Packed, add: bool, out: &mut [f32], row_stride: usize) {
    for (at, row) in rows.values.chunks_exact(rows.stride).enumerate() {
        let out = &mut out[at * row_stride..][..weight.outputs];
        let panels = weight.values.chunks_exact(PANEL * weight.stride);
        for ((panel, out), first) in panels.zip(out.chunks_mut(PANEL)).zip((0..).step_by(PANEL)) {
            let mut sums = [0_i32; PANEL];
            for (weights, inputs) in panel.chunks_exact(PANEL * LANES).zip(row.chunks_exact(LANES)) {
                // Sixteen bits hold each product, and compilers know what adds two of them up.
                let x: [i32; LANES] = std::array::from_fn(|lane| i32::from(i16::from(inputs[lane])));
                for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<LANES>().0) {
                    let w = weights.map(|weight| i32::from(i16::from(weight)));
                    *sum += (w[0] * x[0] + w[1] * x[1]) + (w[2] * x[2] + w[3] * x[3]);
                }
            }
            for (column, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
                let column = first + column;
                let exact = sum - rows.zeros[at] * weight.sums[column];
                let value = exact as f32 * (weight.scales[column] * rows.scales[at]);
                *out = if add { *out + value } else { value };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::sample::numbers;

    const PORTABLE: Kernel = Kernel { level: Level::Portable, in_eight_bits: true };

    fn fastest() -> Kernel {
        Kernel::available().into_iter().next_back().unwrap_or(PORTABLE)
    }

    const SHAPES: [(usize, usize, usize); 8] = [
        (0, 4, 4),
        (1, 1, 1),
        (5, 7, 3),
        (6, 16, 64),
        (7, 33, 65),
        (13, 384, 80),
        (8, 1_536, 16),
        (1, 4_096, 70),
    ];

    #[test]
    fn is_the_product_to_eight_bits() {
        for (rows, inputs, outputs) in SHAPES {
            let (input, weights) = (numbers(rows * inputs, 1), numbers(outputs * inputs, 2));
            let (packed, row_stride) = (Packed::new(&weights, inputs), outputs + 3);
            let mut quantised = Rows::default();
            quantised.quantise(fastest(), &input, inputs);
            for add in [false, true] {
                let start = numbers(rows * row_stride, 3);
                let mut out = start.clone();
                linear(PORTABLE, &quantised, &packed, add, &mut out, row_stride);
                for (index, (got, before)) in out.iter().zip(&start).enumerate() {
                    let (row, column) = (index / row_stride, index % row_stride);
                    if column >= outputs {
                        assert_eq!(got, before, "between the rows");
                        continue;
                    }
                    let pairs =
                        input[row * inputs..][..inputs].iter().zip(&weights[column * inputs..][..inputs]);
                    let exact: f32 = pairs.map(|(x, w)| x * w).sum();
                    let expected = if add { before + exact } else { exact };
                    // Half a step of each operand, over all inputs as a random walk.
                    let allowed = 0.02 * (inputs as f32).sqrt();
                    assert!(
                        (got - expected).abs() <= allowed,
                        "{rows}×{inputs}×{outputs}: {got} for {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        for kernel in Kernel::available() {
            for (rows, inputs, outputs) in SHAPES {
                let (input, weights) = (numbers(rows * inputs, 4), numbers(outputs * inputs, 5));
                let (packed, row_stride) = (Packed::new(&weights, inputs), outputs + 1);
                let mut quantised = Rows::default();
                quantised.quantise(fastest(), &input, inputs);
                for add in [false, true] {
                    let (mut one, mut other) = (numbers(rows * row_stride, 6), numbers(rows * row_stride, 6));
                    linear(PORTABLE, &quantised, &packed, add, &mut one, row_stride);
                    linear(kernel, &quantised, &packed, add, &mut other, row_stride);
                    assert_eq!(one, other, "{rows}×{inputs}×{outputs} on {}", kernel.name());
                }
            }
        }
    }

    #[test]
    fn rows_do_not_depend_on_their_neighbours() {
        let (inputs, outputs) = (384, 64);
        let (input, packed) = (numbers(7 * inputs, 7), Packed::new(&numbers(outputs * inputs, 8), inputs));
        let product = |input: &[f32]| {
            let mut quantised = Rows::default();
            quantised.quantise(fastest(), input, inputs);
            let mut out = vec![0.0; input.len() / inputs * outputs];
            linear(fastest(), &quantised, &packed, false, &mut out, outputs);
            out
        };
        let alone = input.chunks_exact(inputs).flat_map(product);
        assert!(alone.eq(product(&input)));
    }

    #[test]
    fn rows_of_zeros_and_of_one_number_are_exact() {
        let packed = Packed::new(&[1.0; 8], 8);
        for number in [0.0, 1.5, -2.25] {
            let mut quantised = Rows::default();
            quantised.quantise(fastest(), &[number; 8], 8);
            let mut out = [7.0];
            linear(PORTABLE, &quantised, &packed, false, &mut out, 1);
            assert!((out[0] - 8.0 * number).abs() < 1e-5, "{} for {}", out[0], 8.0 * number);
        }
    }
}
