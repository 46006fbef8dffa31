//! `rows · weights + bias`, a block of rows at a time.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::Operation;
use super::multiply::{Finish, Multiply, Operands, PANEL, ROWS, Tile, tiles};
use super::pack::Packed;
use super::rows::Rows;
use super::simd::{LANES, Simd};

/// Multiplies `count` prepared rows from `first` on.
///
/// Panels outside, tiles of rows inside: a panel is read from afar once a block.
pub(crate) struct Product<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) weights: &'a Packed,
    pub(crate) out: Out<'a>,
}

/// Where the product goes: rows as wide as the weights have columns, from the slice's beginning.
pub(crate) enum Out<'a> {
    /// In the place of what is there.
    Store(&'a mut [f32]),
    /// Onto what is there.
    Add(&'a mut [f32]),
    /// As words of attention.
    Words(&'a mut [u32]),
}

impl Operation for Product<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(self, multiply: W, attention: A) {
        let Product { rows, first, count, weights, out } = self;
        let row_words = rows.row_words;
        assert_eq!(row_words, weights.groups, "the rows were prepared for other weights");
        let words = &rows.words.words()[first * row_words..];
        assert!(words.len() >= count.next_multiple_of(ROWS) * row_words, "rows to multiply");
        let panels = weights.words.words();
        assert_eq!(panels.len(), weights.groups * weights.columns, "whole panels");
        let mut finish: Block<'_, W, A> =
            Block { rows, weights, attention, out, first, row: 0, count, multiply: PhantomData };
        for panel in (0..weights.columns).step_by(PANEL) {
            for row in (0..count).step_by(ROWS) {
                finish.row = row;
                let operands = Operands {
                    rows: words[row * row_words..].as_ptr(),
                    row_words,
                    panel: panels[panel * weights.groups..].as_ptr(),
                    panel_words: PANEL,
                    groups: weights.groups,
                };
                // SAFETY: the assertions hold that there are ROWS rows from `row` on, and the whole of the panel.
                unsafe { tiles(multiply, operands, PANEL / LANES, panel, &mut finish) };
            }
        }
    }
}

/// What makes numbers of a block's sums.
struct Block<'a, W, A> {
    rows: &'a Rows,
    weights: &'a Packed,
    attention: A,
    out: Out<'a>,
    first: usize,
    /// The tile's first row, from `first` on.
    row: usize,
    count: usize,
    multiply: PhantomData<W>,
}

impl<W: Multiply, A: Multiply<Simd = W::Simd>> Finish<W::Simd> for Block<'_, W, A> {
    #[inline(always)]
    fn finish<const SIXTEENS: usize>(
        &mut self,
        simd: W::Simd,
        column: usize,
        tile: &Tile<W::Simd, SIXTEENS>,
    ) {
        let columns = self.weights.columns;
        for sixteen in 0..SIXTEENS {
            let column = column + sixteen * LANES;
            let bias = simd.load(lanes(&self.weights.bias, column));
            let (scales, sums) = if W::NUMBERS == 4 {
                (simd.load(lanes(&self.weights.scales, column)), simd.load(lanes(&self.weights.sums, column)))
            } else {
                (bias, bias)
            };
            for (at, tile) in tile.iter().enumerate() {
                if at >= self.count - self.row {
                    break;
                }
                let row = self.row + at;
                let mut x = tile[sixteen];
                if W::NUMBERS == 4 {
                    let scale = simd.splat(self.rows.scales[self.first + row]);
                    let shift = simd.splat(self.rows.shifts[self.first + row]);
                    x = simd.mul_add(simd.mul(x, scales), scale, simd.mul_add(shift, sums, bias));
                } else {
                    x = simd.add(x, bias);
                }
                let to = row * columns + column;
                match &mut self.out {
                    Out::Store(out) => simd.store(x, lanes_mut(out, to)),
                    Out::Add(out) => {
                        let lanes = lanes_mut(out, to);
                        simd.store(simd.add(simd.load(lanes), x), lanes);
                    }
                    Out::Words(out) => {
                        self.attention.store(x, &mut out[to / A::NUMBERS..][..LANES / A::NUMBERS]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn lanes(of: &[f32], from: usize) -> &[f32; LANES] {
    of[from..].first_chunk().expect("whole panels")
}

#[inline(always)]
fn lanes_mut(of: &mut [f32], from: usize) -> &mut [f32; LANES] {
    of[from..].first_chunk_mut().expect("room for the product")
}
