//! `rows · weights + bias`, a block of rows at a time.
#![allow(unsafe_code)]

use super::Operation;
use super::multiply::{Finish, Multiply, Operands, PANEL, ROWS, Tile, tiles};
use super::pack::Packed;
use super::rows::{Activated, Rows};
use super::simd::{LANES, Simd, sixteens, sixteens_mut};

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
    /// Onto what is there.
    Add(&'a mut [f32]),
    /// As words of attention.
    Words(&'a mut [u32]),
    /// As x·Φ(x), for a product with these weights.
    Activate(&'a mut Activated, &'a Packed),
}

impl Operation for Product<'_> {
    #[inline(always)]
    fn run<W: Multiply, A: Multiply<Simd = W::Simd>>(self, multiply: W, attention: A) {
        let Product { rows, first, count, weights, mut out } = self;
        if let Out::Activate(to, _) = &mut out {
            to.clear();
        }
        let row_words = rows.row_words;
        assert_eq!(row_words, weights.groups, "the rows were prepared for other weights");
        let words = &rows.words.words()[first * row_words..];
        assert!(words.len() >= count.next_multiple_of(ROWS) * row_words, "rows to multiply");
        let panels = weights.words.words();
        assert_eq!(panels.len(), weights.groups * weights.columns, "whole panels");
        let mut finish: Block<'_, W, A> =
            Block { rows, weights, attention, out, first, row: 0, count, multiply };
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
    multiply: W,
}

impl<W: Multiply, A: Multiply<Simd = W::Simd>> Finish<W::Simd> for Block<'_, W, A> {
    #[inline(always)]
    fn finish<const SIXTEENS: usize>(
        &mut self,
        simd: W::Simd,
        column: usize,
        tile: &Tile<W::Simd, SIXTEENS>,
    ) {
        let biases = load::<_, SIXTEENS>(simd, &self.weights.bias, column);
        let (scales, sums) = if W::NUMBERS == 4 {
            (load(simd, &self.weights.scales, column), load(simd, &self.weights.sums, column))
        } else {
            (biases, biases)
        };
        for (numbers, row) in tile.iter().zip(self.row..self.count) {
            let mut numbers = *numbers;
            if W::NUMBERS == 4 {
                let scale = simd.splat(self.rows.scales[self.first + row]);
                let shift = simd.splat(self.rows.shifts[self.first + row]);
                for (at, x) in numbers.iter_mut().enumerate() {
                    let shifted = simd.mul_add(shift, sums[at], biases[at]);
                    *x = simd.mul_add(simd.mul(*x, scales[at]), scale, shifted);
                }
            } else {
                for (x, bias) in numbers.iter_mut().zip(biases) {
                    *x = simd.add(*x, bias);
                }
            }
            let to = row * self.weights.columns + column;
            match &mut self.out {
                Out::Add(out) => {
                    for (lanes, x) in sixteens_mut::<SIXTEENS>(out, to).iter_mut().zip(numbers) {
                        simd.store(simd.add(simd.load(lanes), x), lanes);
                    }
                }
                Out::Words(out) => {
                    let words = LANES / A::NUMBERS;
                    let out = &mut out[to / A::NUMBERS..][..SIXTEENS * words];
                    for (words, x) in out.chunks_exact_mut(words).zip(numbers) {
                        self.attention.store(x, words);
                    }
                }
                Out::Activate(out, next) => out.take(self.multiply, row, column, next, numbers),
            }
        }
    }
}

#[inline(always)]
fn load<S: Simd, const SIXTEENS: usize>(simd: S, of: &[f32], from: usize) -> [S::Floats; SIXTEENS] {
    let mut loaded = [simd.splat(0.0); SIXTEENS];
    for (to, lanes) in loaded.iter_mut().zip(sixteens::<SIXTEENS>(of, from)) {
        *to = simd.load(lanes);
    }
    loaded
}
