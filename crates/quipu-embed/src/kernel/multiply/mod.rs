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
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod f32;
mod int8;
#[cfg(target_arch = "x86_64")]
mod pairs;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx_vnni::AvxVnni;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Bf16, Vnni};
pub(crate) use f32::F32;
pub(crate) use int8::Int8;
#[cfg(target_arch = "x86_64")]
pub(crate) use pairs::{PairsAvx2, PairsAvx512};

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

/// One way to multiply words. Like a [`Simd`], a value is proof that the machine can.
pub(crate) trait Multiply: Copy {
    type Simd: Simd;

    /// Numbers in a word.
    const NUMBERS: usize;
    /// Sixteens of columns for which there are registers.
    const SIXTEENS: usize;

    fn simd(self) -> Self::Simd;

    /// Sixteen numbers of a row, as words: rounded to what a word can hold. 8-bit numbers lie in 0…255 already.
    ///
    /// # Panics
    /// If `to` has less than 16 / [`Self::NUMBERS`] words.
    fn store(self, x: <Self::Simd as Simd>::Floats, to: &mut [u32]);

    /// The sums of [`ROWS`] rows and `SIXTEENS` × 16 columns.
    ///
    /// # Safety
    /// `operands` names memory that can be read: at `rows` for each row, and at `panel` for each group `SIXTEENS` × 16.
    unsafe fn tile<const SIXTEENS: usize>(self, operands: Operands) -> Tile<Self::Simd, SIXTEENS>;
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
/// As [`Multiply::tile`], for all the columns.
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
                finish.finish::<1>(simd, column + at * LANES, &multiply.tile::<1>(operands));
            }
            return;
        }
        match sixteens {
            0 => {}
            1 => finish.finish::<1>(simd, column, &multiply.tile::<1>(operands)),
            2 => finish.finish::<2>(simd, column, &multiply.tile::<2>(operands)),
            3 => finish.finish::<3>(simd, column, &multiply.tile::<3>(operands)),
            _ => finish.finish::<4>(simd, column, &multiply.tile::<4>(operands)),
        }
    }
}
