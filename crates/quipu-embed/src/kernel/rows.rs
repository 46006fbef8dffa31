//! What happens to rows between the matrix products: softmax, GELU, layer norm, scaling, quantising.
//!
//! Each function is one plain loop body over lanes of [`LANES`], compiled once per instruction set by `dispatched!`.
//! Sums keep one partial sum per lane and add the lanes in a fixed order, so that a row's result depends on the row
//! alone.
#![allow(unsafe_code)]

use super::{Kernel, Level};

/// Partial sums per row: the width of the widest registers, used on all machines so that loops have one shape.
const LANES: usize = 16;

/// Whether the portable build may fuse: where the baseline has no such instruction, `mul_add` would be a function call.
const BASELINE_FUSES: bool = cfg!(target_arch = "aarch64");

/// Adding it rounds to the nearest integer and leaves that in the low bits; taking it away again leaves the integer.
const ROUND: f32 = 12_582_912.0;

macro_rules! dispatched {
    ($(#[$docs:meta])* $name:ident = $body:ident ( $($argument:ident : $type:ty),* )) => {
        $(#[$docs])*
        pub(crate) fn $name(kernel: Kernel, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) {
                $body::<true>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512vl")]
            fn avx512($($argument: $type),*) {
                $body::<true>($($argument),*)
            }
            match kernel.level {
                Level::Portable => $body::<BASELINE_FUSES>($($argument),*),
                // SAFETY: a Kernel of this level is only made after its features were detected on this machine.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 | Level::Vnni => unsafe { avx512($($argument),*) },
            }
        }
    };
}

dispatched! {
    /// Replaces each row of `scores` (`columns` wide) by `exp(x - max)` and writes `1 / Σ` of each row to `inverses`.
    /// The division is left to the caller, who has fewer numbers to multiply after the product with the values.
    softmax_numerators = softmax_body(scores: &mut [f32], columns: usize, inverses: &mut [f32])
}

dispatched! {
    /// `x ← gelu(x + bias)` for each row, with GELU as x·Φ(x).
    gelu_with_bias = gelu_body(rows: &mut [f32], bias: &[f32])
}

dispatched! {
    /// `x ← gamma·(x + bias − mean) / √(variance + epsilon) + beta` for each row.
    layer_norm = layer_norm_body(rows: &mut [f32], bias: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32)
}

dispatched! {
    /// Multiplies the first `columns` numbers of each row by the row's factor.
    scale_rows = scale_body(rows: &mut [f32], columns: usize, row_stride: usize, factors: &[f32])
}

dispatched! {
    /// The mean of the rows, into `mean`.
    mean_of_rows = mean_body(rows: &[f32], mean: &mut [f32])
}

dispatched! {
    /// Scales a vector to length 1; a vector of zeros stays as it is.
    normalise = normalise_body(vector: &mut [f32])
}

dispatched! {
    /// Makes eight-bit values of `rows`, each `inputs` wide: `x ≈ scale·(value − zero)`. The rows of `values` start
    /// `stride` apart; what stands behind a row's inputs stays as it is.
    quantise = quantise_body(
        rows: &[f32],
        inputs: usize,
        values: &mut [u8],
        stride: usize,
        scales: &mut [f32],
        zeros: &mut [i32]
    )
}

#[inline(always)]
fn softmax_body<const FUSED: bool>(scores: &mut [f32], columns: usize, inverses: &mut [f32]) {
    for (row, inverse) in scores.chunks_exact_mut(columns).zip(inverses) {
        let largest = largest(row);
        let mut sums = [0.0_f32; LANES];
        let mut chunks = row.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for (x, sum) in chunk.iter_mut().zip(&mut sums) {
                *x = exp::<FUSED>(*x - largest);
                *sum += *x;
            }
        }
        for (x, sum) in chunks.into_remainder().iter_mut().zip(&mut sums) {
            *x = exp::<FUSED>(*x - largest);
            *sum += *x;
        }
        *inverse = 1.0 / add_lanes(sums);
    }
}

#[inline(always)]
fn gelu_body<const FUSED: bool>(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (x, bias) in row.iter_mut().zip(bias) {
            *x = gelu::<FUSED>(*x + bias);
        }
    }
}

#[inline(always)]
fn layer_norm_body<const FUSED: bool>(
    rows: &mut [f32],
    bias: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) {
    let count = bias.len() as f32;
    for row in rows.chunks_exact_mut(bias.len()) {
        for (x, bias) in row.iter_mut().zip(bias) {
            *x += bias;
        }
        let mean = lane_sum::<FUSED>(row, |x| x) / count;
        let variance = lane_sum::<FUSED>(row, |x| (x - mean) * (x - mean)) / count;
        let factor = 1.0 / (variance + epsilon).sqrt();
        for ((x, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
            *x = fused::<FUSED>((*x - mean) * factor, *gamma, *beta);
        }
    }
}

#[inline(always)]
fn scale_body<const FUSED: bool>(rows: &mut [f32], columns: usize, row_stride: usize, factors: &[f32]) {
    for (row, factor) in rows.chunks_mut(row_stride).zip(factors) {
        for x in &mut row[..columns] {
            *x *= factor;
        }
    }
}

#[inline(always)]
fn mean_body<const FUSED: bool>(rows: &[f32], mean: &mut [f32]) {
    mean.fill(0.0);
    let count = (rows.len() / mean.len()) as f32;
    for row in rows.chunks_exact(mean.len()) {
        for (sum, x) in mean.iter_mut().zip(row) {
            *sum += x;
        }
    }
    for x in mean {
        *x /= count;
    }
}

#[inline(always)]
fn normalise_body<const FUSED: bool>(vector: &mut [f32]) {
    let length = lane_sum::<FUSED>(vector, |x| x * x).sqrt();
    // The bound that the reference implementation uses, so that zeros stay zeros.
    let factor = 1.0 / length.max(1e-12);
    for x in vector {
        *x *= factor;
    }
}

#[inline(always)]
fn quantise_body<const FUSED: bool>(
    rows: &[f32],
    inputs: usize,
    values: &mut [u8],
    stride: usize,
    scales: &mut [f32],
    zeros: &mut [i32],
) {
    let rows = rows.chunks_exact(inputs).zip(values.chunks_exact_mut(stride));
    for ((row, values), (scale, zero)) in rows.zip(scales.iter_mut().zip(zeros)) {
        // Nought is always in range, so that it has a value of its own.
        let (low, high) = (smallest(row).min(0.0), largest(row).max(0.0));
        *scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
        let inverse = 1.0 / *scale;
        let shift = (-low * inverse).round();
        *zero = shift as i32;
        for (value, &x) in values.iter_mut().zip(row) {
            let near = fused::<FUSED>(x, inverse, shift);
            let near = if near > 0.0 { near } else { 0.0 };
            let near = if near < 255.0 { near } else { 255.0 };
            // The low bits are the nearest integer.
            *value = (near + ROUND).to_bits() as u8;
        }
    }
}

#[inline(always)]
fn smallest(row: &[f32]) -> f32 {
    let mut lanes = [f32::INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x < *lane { x } else { *lane };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x < *lane { x } else { *lane };
    }
    lanes.into_iter().fold(f32::INFINITY, f32::min)
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            // Not f32::max: its care for NaN costs two more instructions per lane.
            *lane = if x > *lane { x } else { *lane };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x > *lane { x } else { *lane };
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn lane_sum<const FUSED: bool>(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += term(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += term(x);
    }
    add_lanes(sums)
}

#[inline(always)]
fn add_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// e^x for x ≤ 88, relative error below 3e-7; 0 below −87.
///
/// Range reduction to |r| ≤ ln 2 / 2 with ln 2 in two parts, then the Taylor polynomial to degree 7.
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = fused::<FUSED>(clamped, std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let r = fused::<FUSED>(power, -LN2_LOW, fused::<FUSED>(power, -LN2_HIGH, clamped));
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = fused::<FUSED>(sum, r, coefficient);
    }
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    if x < -87.0 { 0.0 } else { sum * scale }
}

/// x·Φ(x), absolute error below 1e-6.
///
/// Φ through erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7).
#[inline(always)]
fn gelu<const FUSED: bool>(x: f32) -> f32 {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fused::<FUSED>(P, z, 1.0);
    let mut polynomial = A[0];
    for coefficient in &A[1..] {
        polynomial = fused::<FUSED>(polynomial, t, *coefficient);
    }
    let tail = polynomial * t * exp::<FUSED>(-z * z);
    // Φ(x) = 1 − tail/2 for x ≥ 0 and tail/2 below.
    let half = 0.5 * tail;
    x * if x < 0.0 { half } else { 1.0 - half }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_kernel(check: impl Fn(Kernel)) {
        Kernel::available().into_iter().for_each(check);
    }

    /// Φ by summing its series in f64: slow, and independent of the approximation under test.
    fn normal_distribution(x: f64) -> f64 {
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term.abs() > 1e-17 {
            term *= x * x / (2.0 * k + 1.0);
            sum += term;
            k += 1.0;
        }
        0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn exponentials_are_right_to_a_few_units_in_the_last_place() {
        each_kernel(|kernel| {
            let inputs: Vec<f32> = (0..=17_000).map(|i| -85.0 + i as f32 * 0.005).collect();
            let mut row = inputs.clone();
            softmax_numerators(kernel, &mut row, inputs.len(), &mut [0.0]);
            for (x, got) in inputs.iter().zip(&row) {
                let expected = f64::from(*x).exp();
                assert!((f64::from(*got) / expected - 1.0).abs() < 3e-7, "exp({x}) on {}", kernel.name());
            }
        });
    }

    #[test]
    fn softmax_takes_far_apart_scores() {
        each_kernel(|kernel| {
            let mut row = [500.0, -500.0, 499.0, f32::MIN];
            let mut inverse = [0.0];
            softmax_numerators(kernel, &mut row, 4, &mut inverse);
            assert_eq!((row[0], row[1], row[3]), (1.0, 0.0, 0.0));
            assert!((inverse[0] - 1.0 / (1.0 + (-1.0_f32).exp())).abs() < 1e-6);
        });
    }

    #[test]
    fn gelu_is_right_to_a_millionth() {
        each_kernel(|kernel| {
            let inputs: Vec<f32> = (0..=4_000).map(|i| -5.0 + i as f32 * 0.0025).collect();
            let mut row = inputs.clone();
            gelu_with_bias(kernel, &mut row, &vec![0.0; inputs.len()]);
            for (x, got) in inputs.iter().zip(&row) {
                let expected = f64::from(*x) * normal_distribution(f64::from(*x));
                assert!((f64::from(*got) - expected).abs() < 1e-6, "gelu({x}) = {got} on {}", kernel.name());
            }
            let mut far = [-40.0, 40.0];
            gelu_with_bias(kernel, &mut far, &[0.0; 2]);
            assert_eq!(far, [0.0, 40.0]);
        });
    }

    #[test]
    fn layer_norm_centres_and_scales() {
        each_kernel(|kernel| {
            let width = 37;
            let mut rows: Vec<f32> = (0..2 * width).map(|i| (i * i % 23) as f32).collect();
            let (bias, gamma, beta) = (vec![1.0; width], vec![2.0; width], vec![0.5; width]);
            layer_norm(kernel, &mut rows, &bias, &gamma, &beta, 1e-12);
            for row in rows.chunks(width) {
                let mean = row.iter().sum::<f32>() / width as f32;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / width as f32;
                assert!((mean - 0.5).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4);
            }
        });
    }

    #[test]
    fn a_vector_of_zeros_stays_zero() {
        each_kernel(|kernel| {
            let mut vector = [0.0; 20];
            normalise(kernel, &mut vector);
            assert_eq!(vector, [0.0; 20]);
        });
    }
}
