//! The product on AVX-512 VNNI: six rows by 64 outputs at a time, in 24 registers of sums.
#![allow(unsafe_code)]

use super::Rows;
use super::pack::{LANES, PANEL, Packed};
use std::arch::x86_64::*;

/// Rows of a tile.
const ROWS: usize = 6;

/// Registers of a panel.
const REGISTERS: usize = PANEL / 16;

/// Needs AVX-512 F, BW and VNNI, rows of the weights' stride, and in `out` for each row the weights' outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn product(rows: &Rows, weight: &Packed, add: bool, out: &mut [f32], row_stride: usize) {
    let count = rows.count();
    let mut row = 0;
    while row < count {
        // SAFETY: `ROWS` rows, or one, are left; the caller's promise is handed on.
        row += unsafe {
            if count - row >= ROWS {
                strip::<ROWS>(rows, row, weight, add, out, row_stride);
                ROWS
            } else {
                strip::<1>(rows, row, weight, add, out, row_stride);
                1
            }
        };
    }
}

/// `COUNT` rows by all outputs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn strip<const COUNT: usize>(
    rows: &Rows,
    row: usize,
    weight: &Packed,
    add: bool,
    out: &mut [f32],
    row_stride: usize,
) {
    for first in (0..weight.outputs).step_by(PANEL) {
        // SAFETY: the panel that begins with output `first` is there, and the rows are.
        unsafe {
            let sums = multiply::<COUNT>(rows, row, weight, first);
            let out = out.as_mut_ptr().add(row * row_stride + first);
            store::<COUNT>(&sums, rows, row, weight, first, add, out, row_stride);
        }
    }
}

/// The exact sums of a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn multiply<const COUNT: usize>(
    rows: &Rows,
    row: usize,
    weight: &Packed,
    first: usize,
) -> [[__m512i; REGISTERS]; COUNT] {
    let mut sums = [[_mm512_setzero_si512(); REGISTERS]; COUNT];
    // SAFETY: panels have `stride` inputs for each of PANEL outputs, rows have `stride` inputs; each step reads LANES of
    // them, and there are `stride` / LANES steps.
    unsafe {
        let mut panel = weight.values.as_ptr().add(first * weight.stride);
        let mut input = rows.values.as_ptr().add(row * rows.stride);
        for _ in 0..weight.stride / LANES {
            let mut weights = [_mm512_setzero_si512(); REGISTERS];
            for (at, register) in weights.iter_mut().enumerate() {
                *register = _mm512_loadu_si512(panel.add(at * 64).cast());
            }
            for (at, sums) in sums.iter_mut().enumerate() {
                let inputs = _mm512_set1_epi32(input.add(at * rows.stride).cast::<i32>().read_unaligned());
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = _mm512_dpbusd_epi32(*sum, inputs, weights);
                }
            }
            panel = panel.add(PANEL * LANES);
            input = input.add(LANES);
        }
    }
    sums
}

/// Makes numbers of a tile's sums, and stores or adds those of outputs that there are.
#[inline]
#[allow(clippy::too_many_arguments, reason = "one tile's place, in a leaf that is inlined")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn store<const COUNT: usize>(
    sums: &[[__m512i; REGISTERS]; COUNT],
    rows: &Rows,
    row: usize,
    weight: &Packed,
    first: usize,
    add: bool,
    out: *mut f32,
    row_stride: usize,
) {
    for register in 0..REGISTERS {
        let column = first + register * 16;
        let left = weight.outputs.saturating_sub(column);
        if left == 0 {
            return;
        }
        let mask = if left >= 16 { u16::MAX } else { (1 << left) - 1 };
        // SAFETY: scales and sums go on to the end of the panel; `out` has the outputs that the mask names.
        unsafe {
            let scales = _mm512_loadu_ps(weight.scales.as_ptr().add(column));
            let weights = _mm512_loadu_si512(weight.sums.as_ptr().add(column).cast());
            for (at, sums) in sums.iter().enumerate() {
                let zero = _mm512_mullo_epi32(weights, _mm512_set1_epi32(rows.zeros[row + at]));
                let exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[register], zero));
                let scale = _mm512_mul_ps(scales, _mm512_set1_ps(rows.scales[row + at]));
                let mut value = _mm512_mul_ps(exact, scale);
                let out = out.add(at * row_stride + register * 16);
                if add {
                    value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
                }
                _mm512_mask_storeu_ps(out, mask, value);
            }
        }
    }
}
