//! Products with a weight matrix, the bulk of the work: `out ← x·Wᵀ (+ out)`.
//!
//! Weights are stored outputs × inputs, so both operands are contiguous along the sum. A tile is therefore a grid of
//! dot products, each summed in the lanes of one register; nothing is packed or copied, and the weights can stay in
//! their mapped file. Packing was half of the time when this was `matrixmultiply`'s work, which remains the portable
//! path (and has kernels of its own for ARM).
//!
//! A row's sums depend on the row alone: `rows_do_not_depend_on_their_neighbours` holds that.
#![allow(unsafe_code)]

use super::gemm::{View, ViewMut, multiply};
use super::{Kernel, Level};

/// Outputs in a tile.
const TILE_COLUMNS: usize = 4;
/// Inputs summed at a time, so that a tile's rows stay in the first-level cache.
const INPUTS_BLOCK: usize = 512;
/// Outputs whose weights are gone through for one tile of rows, so that they stay in the second-level cache.
const COLUMNS_BLOCK: usize = 32;

/// `weight`: `outputs × inputs`, row-major.
#[derive(Clone, Copy)]
pub(crate) struct Weight<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// `out ← input·Wᵀ`, or `out ← out + input·Wᵀ` if `add`. The rows of `out` start `row_stride` apart.
///
/// # Panics
/// If a slice is too short for the shapes.
pub(crate) fn linear(
    kernel: Kernel,
    input: &[f32],
    weight: Weight<'_>,
    add: bool,
    out: &mut [f32],
    row_stride: usize,
) {
    let Weight { numbers, inputs, outputs } = weight;
    let rows = input.len() / inputs;
    // The views check all extents; what follows relies on it.
    let product = ViewMut::new(out, rows, outputs, row_stride);
    let (left, right) = (View::new(input, rows, inputs, inputs), View::new(numbers, outputs, inputs, inputs));
    if rows == 0 {
        return;
    }
    match kernel.level {
        Level::Portable => multiply(1.0, left, right.transposed(), f32::from(u8::from(add)), product),
        // SAFETY: a Kernel of this level is only made after its features were detected, and the views hold that
        // `input` has rows × inputs numbers, `numbers` outputs × inputs, and `out` (rows − 1) × row_stride + outputs.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(input, weight, add, out, row_stride) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Vnni => unsafe { x86::avx512(input, weight, add, out, row_stride) },
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLUMNS_BLOCK, INPUTS_BLOCK, TILE_COLUMNS, Weight};

    /// A register of f32. All functions need the register's instruction set.
    trait Lanes: Copy {
        const WIDTH: usize;
        unsafe fn zero() -> Self;
        /// Needs `WIDTH` readable numbers.
        unsafe fn load(from: *const f32) -> Self;
        /// `self·other + sum`, rounded once.
        unsafe fn multiply_add(self, other: Self, sum: Self) -> Self;
        /// The sum over the lanes of each of four registers.
        unsafe fn sums(four: [Self; TILE_COLUMNS]) -> [f32; TILE_COLUMNS];
    }

    impl Lanes for __m512 {
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has AVX-512 and 16 numbers to read.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, other: Self, sum: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { _mm512_fmadd_ps(self, other, sum) }
        }
        #[inline(always)]
        unsafe fn sums(four: [Self; TILE_COLUMNS]) -> [f32; TILE_COLUMNS] {
            // SAFETY: the caller has AVX-512, which brings AVX2.
            unsafe { __m256::sums([halve(four[0]), halve(four[1]), halve(four[2]), halve(four[3])]) }
        }
    }

    /// The lower half plus the upper. A function and no closure: a closure handed to `map` is not inlined where the
    /// instruction set is known, and each intrinsic in it becomes a call, four times slower in all.
    #[inline(always)]
    unsafe fn halve(lanes: __m512) -> __m256 {
        // SAFETY: the caller has AVX-512.
        unsafe {
            let doubles = _mm512_castps_pd(lanes);
            let swapped = _mm512_castpd_ps(_mm512_shuffle_f64x2::<0b01_00_11_10>(doubles, doubles));
            _mm512_castps512_ps256(_mm512_add_ps(lanes, swapped))
        }
    }

    impl Lanes for __m256 {
        const WIDTH: usize = 8;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has AVX2 and 8 numbers to read.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, other: Self, sum: Self) -> Self {
            // SAFETY: the caller has FMA.
            unsafe { _mm256_fmadd_ps(self, other, sum) }
        }
        #[inline(always)]
        unsafe fn sums(four: [Self; TILE_COLUMNS]) -> [f32; TILE_COLUMNS] {
            // SAFETY: the caller has AVX2; the store writes the four numbers of `sums`.
            unsafe {
                let pairs =
                    _mm256_hadd_ps(_mm256_hadd_ps(four[0], four[1]), _mm256_hadd_ps(four[2], four[3]));
                let total = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
                let mut sums = [0.0; TILE_COLUMNS];
                _mm_storeu_ps(sums.as_mut_ptr(), total);
                sums
            }
        }
    }

    /// Six rows: 24 sums, 6 inputs and a weight fill 31 of 32 registers.
    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
    pub(super) unsafe fn avx512(
        input: &[f32],
        weight: Weight<'_>,
        add: bool,
        out: &mut [f32],
        row_stride: usize,
    ) {
        // SAFETY: the caller's promise, handed on.
        unsafe { product::<__m512, 6>(input, weight, add, out, row_stride) }
    }

    /// Three rows: 12 sums, 3 inputs and a weight fill all 16 registers.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(
        input: &[f32],
        weight: Weight<'_>,
        add: bool,
        out: &mut [f32],
        row_stride: usize,
    ) {
        // SAFETY: the caller's promise, handed on.
        unsafe { product::<__m256, 3>(input, weight, add, out, row_stride) }
    }

    /// Where a tile reads and writes, and how far its rows are apart.
    #[derive(Clone, Copy)]
    struct Tile {
        input: *const f32,
        weight: *const f32,
        out: *mut f32,
        /// Numbers to sum.
        count: usize,
        /// From one row of `input`, and of `weight`, to the next.
        stride: usize,
        /// From one row of `out` to the next.
        row_stride: usize,
        add: bool,
    }

    /// Needs the instruction set of `L` and slices as long as `linear` checks.
    #[inline(always)]
    unsafe fn product<L: Lanes, const ROWS: usize>(
        input: &[f32],
        weight: Weight<'_>,
        add: bool,
        out: &mut [f32],
        row_stride: usize,
    ) {
        let Weight { numbers, inputs, outputs } = weight;
        let rows = input.len() / inputs;
        for first_input in (0..inputs).step_by(INPUTS_BLOCK) {
            let count = INPUTS_BLOCK.min(inputs - first_input);
            for first_column in (0..outputs).step_by(COLUMNS_BLOCK) {
                let columns = first_column..outputs.min(first_column + COLUMNS_BLOCK);
                let mut row = 0;
                while row < rows {
                    // SAFETY: row < rows, first_column < outputs, first_input < inputs: all inside the slices.
                    let tile = unsafe {
                        Tile {
                            input: input.as_ptr().add(row * inputs + first_input),
                            weight: numbers.as_ptr().add(first_column * inputs + first_input),
                            out: out.as_mut_ptr().add(row * row_stride + first_column),
                            count,
                            stride: inputs,
                            row_stride,
                            add: add || first_input > 0,
                        }
                    };
                    // SAFETY: the tile has `ROWS` or one row left, and columns.len() columns.
                    row += unsafe {
                        if rows - row >= ROWS {
                            strip::<L, ROWS>(tile, columns.len());
                            ROWS
                        } else {
                            strip::<L, 1>(tile, columns.len());
                            1
                        }
                    };
                }
            }
        }
    }

    /// Tiles side by side. Needs `ROWS` rows and `columns` columns at `tile`.
    #[inline(always)]
    unsafe fn strip<L: Lanes, const ROWS: usize>(mut tile: Tile, columns: usize) {
        let mut left = columns;
        while left > 0 {
            // SAFETY: `left` columns are there; a step goes no further than the end of the last.
            unsafe {
                let step = if left >= TILE_COLUMNS {
                    compute::<L, ROWS, TILE_COLUMNS>(tile);
                    TILE_COLUMNS
                } else {
                    compute::<L, ROWS, 1>(tile);
                    1
                };
                tile.weight = tile.weight.wrapping_add(step * tile.stride);
                tile.out = tile.out.wrapping_add(step);
                left -= step;
            }
        }
    }

    /// One tile. Needs `ROWS` rows of input, `COLUMNS` rows of weights, and their grid in `out`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // plain indices are what the compiler keeps in registers
    unsafe fn compute<L: Lanes, const ROWS: usize, const COLUMNS: usize>(tile: Tile) {
        // SAFETY: every address is of a row below ROWS or COLUMNS and a number below `count`.
        unsafe {
            let mut sums = [[L::zero(); TILE_COLUMNS]; ROWS];
            let mut at = 0;
            while at + L::WIDTH <= tile.count {
                let mut inputs = [L::zero(); ROWS];
                for (row, input) in inputs.iter_mut().enumerate() {
                    *input = L::load(tile.input.add(row * tile.stride + at));
                }
                for column in 0..COLUMNS {
                    let weight = L::load(tile.weight.add(column * tile.stride + at));
                    for row in 0..ROWS {
                        sums[row][column] = inputs[row].multiply_add(weight, sums[row][column]);
                    }
                }
                at += L::WIDTH;
            }
            for row in 0..ROWS {
                let mut totals = L::sums(sums[row]);
                for column in 0..COLUMNS {
                    for rest in at..tile.count {
                        let input = *tile.input.add(row * tile.stride + rest);
                        totals[column] += input * *tile.weight.add(column * tile.stride + rest);
                    }
                    let out = tile.out.add(row * tile.row_stride + column);
                    *out = if tile.add { *out + totals[column] } else { totals[column] };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::sample::numbers;

    #[test]
    fn equals_the_definition_for_all_shapes() {
        for kernel in Kernel::available() {
            for (rows, inputs, outputs) in
                [(1, 1, 1), (0, 4, 4), (5, 7, 3), (6, 16, 4), (7, 33, 37), (13, 384, 66), (6, 1_543, 9)]
            {
                let (input, weights) = (numbers(rows * inputs, 1), numbers(outputs * inputs, 2));
                let weight = Weight { numbers: &weights, inputs, outputs };
                let row_stride = outputs + 3;
                for add in [false, true] {
                    let start = numbers(rows * row_stride, 3);
                    let mut out = start.clone();
                    linear(kernel, &input, weight, add, &mut out, row_stride);
                    for (index, (got, before)) in out.iter().zip(&start).enumerate() {
                        let (row, column) = (index / row_stride, index % row_stride);
                        if column >= outputs {
                            assert_eq!(got, before, "written beside the matrix");
                            continue;
                        }
                        let products = (0..inputs).map(|at| {
                            f64::from(input[row * inputs + at]) * f64::from(weights[column * inputs + at])
                        });
                        let expected = products.sum::<f64>() + if add { f64::from(*before) } else { 0.0 };
                        let difference = (f64::from(*got) - expected).abs();
                        assert!(difference < 1e-4, "{rows}×{inputs}×{outputs} on {}", kernel.name());
                    }
                }
            }
        }
    }

    #[test]
    fn rows_do_not_depend_on_their_neighbours() {
        for kernel in Kernel::available() {
            for (inputs, outputs) in [(37, 21), (384, 64), (1_536, 36)] {
                let (input, weights) = (numbers(40 * inputs, 4), numbers(outputs * inputs, 5));
                let weight = Weight { numbers: &weights, inputs, outputs };
                let product = |first: usize, rows: usize| {
                    let mut out = vec![0.25; rows * outputs];
                    let input = &input[first * inputs..(first + rows) * inputs];
                    linear(kernel, input, weight, true, &mut out, outputs);
                    out
                };
                let whole = product(0, 40);
                for (first, rows) in [(0, 1), (39, 1), (5, 3), (13, 16), (20, 17), (1, 38)] {
                    let part = &whole[first * outputs..(first + rows) * outputs];
                    assert!(product(first, rows) == part, "rows {first}+{rows} on {}", kernel.name());
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "reaches past its slice")]
    fn a_short_output_is_refused() {
        let weight = Weight { numbers: &[0.0; 12], inputs: 3, outputs: 4 };
        linear(Kernel::best(), &[0.0; 6], weight, false, &mut [0.0; 7], 4);
    }
}
