//! The inner products: six rows by up to 64 columns at a time, summed in registers.
//!
//! Both sides come in *words* of four bytes. A word holds one f32, two bf16 or four 8-bit numbers that stand one after
//! another in a row; on the other side a *panel* holds, for one group of inputs after the other, the words of columns side
//! by side. So one word of a row is multiplied with sixteen columns by one instruction, and all precisions share one
//! layout, one loop over it, and all that stands around it.
//!
//! A row's sums depend on the row alone: each tile adds up group after group, whatever the other rows are.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::{AvxVnni, PairsAvx2};
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Bf16, PairsAvx512, Vnni};
pub(crate) use portable::{F32, Int8};

use super::simd::{LANES, Simd};

/// Rows of a tile. With 64 columns 24 registers of sums, which is what hides an instruction's latency.
pub(crate) const ROWS: usize = 6;

/// Most columns of a tile, and those of a panel of weights.
pub(crate) const PANEL: usize = 64;

/// Where a tile reads.
#[derive(Clone, Copy)]
pub(crate) struct Operands {
    /// The first word of [`ROWS`] rows.
    pub(crate) rows: *const u32,
    /// Words from one row to the next.
    pub(crate) row_words: usize,
    /// The first word of the first column.
    pub(crate) panel: *const u32,
    /// Words from one group of inputs to the next.
    pub(crate) panel_words: usize,
    /// Groups to add up: a word of each row, and a word of each column.
    pub(crate) groups: usize,
}

/// A tile's sums: for each row, sixteen columns at a time.
pub(crate) type Tile<S, const SIXTEENS: usize> = [[<S as Simd>::Floats; SIXTEENS]; ROWS];

/// One way to multiply words: what an instruction set does to one row and sixteen columns. Like a [`Simd`], a value is proof
/// that the machine can.
pub(crate) trait Multiply: Copy {
    type Simd: Simd;
    /// Sixteen columns' sums.
    type Sums: Copy;

    /// Numbers in a word.
    const NUMBERS: usize;
    /// Groups of inputs that are added at once.
    const STEP: usize = 1;
    /// Sixteens of columns for which there are registers.
    const SIXTEENS: usize;

    fn simd(self) -> Self::Simd;

    /// Sixteen numbers of a row, as words: rounded to what a word can hold. 8-bit numbers lie in 0…255 already.
    ///
    /// # Panics
    /// If `to` has less than 16 / [`Self::NUMBERS`] words.
    fn store(self, x: <Self::Simd as Simd>::Floats, to: &mut [u32]);

    fn nothing(self) -> Self::Sums;

    /// Adds to `sums` the products of [`Self::STEP`] words of a row with those of sixteen columns, `panel_words` apart.
    ///
    /// # Safety
    /// So many words can be read at `row`, and sixteen for each at `columns`.
    unsafe fn add(
        self,
        sums: Self::Sums,
        row: *const u32,
        columns: *const u32,
        panel_words: usize,
    ) -> Self::Sums;

    fn floats(self, sums: Self::Sums) -> <Self::Simd as Simd>::Floats;
}

/// The sums of [`ROWS`] rows and `SIXTEENS` × 16 columns.
///
/// What rows and columns share is loaded once: the loops have constant bounds, and nothing is stored meanwhile.
///
/// # Safety
/// `operands` names memory that can be read: at `rows` for each row, and at `panel` for each group `SIXTEENS` × 16.
#[inline(always)]
unsafe fn tile<M: Multiply, const SIXTEENS: usize>(
    multiply: M,
    operands: Operands,
) -> Tile<M::Simd, SIXTEENS> {
    let Operands { mut rows, row_words, mut panel, panel_words, groups } = operands;
    let mut sums = [[multiply.nothing(); SIXTEENS]; ROWS];
    for _ in 0..groups / M::STEP {
        for (row, sums) in sums.iter_mut().enumerate() {
            for (sixteen, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let (row, columns) = (rows.add(row * row_words), panel.add(sixteen * LANES));
                    *sums = multiply.add(*sums, row, columns, panel_words);
                }
            }
        }
        (rows, panel) = (rows.wrapping_add(M::STEP), panel.wrapping_add(M::STEP * panel_words));
    }
    let mut floats = [[multiply.simd().splat(0.0); SIXTEENS]; ROWS];
    for (floats, sums) in floats.iter_mut().zip(sums) {
        for (floats, sums) in floats.iter_mut().zip(sums) {
            *floats = multiply.floats(sums);
        }
    }
    floats
}

/// What is done with a tile's sums.
pub(crate) trait Finish<S: Simd> {
    /// `column` is where the tile's first sixteen columns begin.
    fn finish<const SIXTEENS: usize>(&mut self, simd: S, column: usize, tile: &Tile<S, SIXTEENS>);
}

/// Sixteen bytes as four words.
///
/// # Panics
/// If `to` has less than four.
#[inline(always)]
fn store_bytes<S: Simd>(simd: S, x: S::Floats, to: &mut [u32]) {
    let mut bytes = [0; LANES];
    simd.store_bytes(x, &mut bytes);
    for (word, bytes) in to[..4].iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
}

/// Columns from `column` on, `sixteens` × 16 of them and no more than a panel, in as many tiles as registers ask for.
///
/// # Safety
/// As [`tile`], for all the columns.
#[inline(always)]
pub(crate) unsafe fn tiles<M: Multiply>(
    multiply: M,
    operands: Operands,
    sixteens: usize,
    column: usize,
    finish: &mut impl Finish<M::Simd>,
) {
    let simd = multiply.simd();
    // SAFETY: the caller's promise; no tile goes past the last of the sixteens.
    unsafe {
        if M::SIXTEENS == 1 {
            for at in 0..sixteens {
                let operands = Operands { panel: operands.panel.add(at * LANES), ..operands };
                finish.finish::<1>(simd, column + at * LANES, &tile::<M, 1>(multiply, operands));
            }
            return;
        }
        match sixteens {
            0 => {}
            1 => finish.finish::<1>(simd, column, &tile::<M, 1>(multiply, operands)),
            2 => finish.finish::<2>(simd, column, &tile::<M, 2>(multiply, operands)),
            3 => finish.finish::<3>(simd, column, &tile::<M, 3>(multiply, operands)),
            _ => finish.finish::<4>(simd, column, &tile::<M, 4>(multiply, operands)),
        }
    }
}
