//! One transformer layer: attention, then feed-forward, each added to its input and normalised.
//!
//! Attention takes sequence after sequence. All the rest takes blocks of rows from one product to the next, so that what
//! lies between them stays in the caches.

use crate::kernel::attention::Attend;
use crate::kernel::pack::Packed;
use crate::kernel::product::{Out, Product};
use crate::kernel::rows::{Norm, Normalise, Prepare, PrepareActivated, Target};

use super::scratch::Scratch;
use super::smoothing::Input;
use super::{BLOCK_ROWS, Shape};

/// The weights of one layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// Queries, keys and values of all heads.
    pub(super) project: Packed,
    /// What attention gathered, to where it is added.
    pub(super) output: Packed,
    pub(super) output_norm: Norm,
    /// Into the wider vector of the feed-forward half, and back.
    pub(super) widen: Packed,
    pub(super) narrow: Packed,
    pub(super) narrow_norm: Norm,
}

impl Layer {
    /// `scratch.prepared` to `scratch.projected`.
    pub(super) fn project(&self, shape: &Shape, tokens: usize, scratch: &mut Scratch) {
        let row_words = shape.projected_words();
        let rows = scratch.projected.words_mut().chunks_mut(BLOCK_ROWS * row_words);
        for (first, out) in (0..tokens).step_by(BLOCK_ROWS).zip(rows) {
            let count = BLOCK_ROWS.min(tokens - first);
            let (rows, weights, out) = (&scratch.prepared, &self.project, Out::Words(out));
            shape.kernel.run(Product { rows, first, count, weights, out });
        }
    }

    /// `scratch.projected` to `scratch.context`.
    pub(super) fn attend(&self, shape: &Shape, lengths: impl Iterator<Item = usize>, scratch: &mut Scratch) {
        let Scratch { projected, attention, context, .. } = scratch;
        let row_words = shape.projected_words();
        let mut first = 0;
        for length in lengths {
            shape.kernel.run(Attend {
                projected: &projected.words()[first * row_words..],
                row_words,
                length,
                heads: shape.heads,
                head: shape.head,
                buffers: attention,
                context: &mut context.floats_mut()[first * shape.context..],
                context_width: shape.context,
            });
            first += length;
        }
    }

    /// `scratch.context` and `scratch.hidden` to `scratch.hidden`, prepared for the layer `next` if there is one.
    pub(super) fn feed_forward(
        &self,
        number: usize,
        next: Option<&Self>,
        shape: &Shape,
        tokens: usize,
        scratch: &mut Scratch,
    ) {
        let (kernel, width) = (shape.kernel, shape.width);
        let Scratch { hidden, prepared, context, wide, block: [gathered, attended, widened], maxima, .. } =
            scratch;
        for first in (0..tokens).step_by(BLOCK_ROWS) {
            let count = BLOCK_ROWS.min(tokens - first);
            let hidden = &mut hidden.floats_mut()[first * width..][..count * width];
            let context = &context.floats()[first * shape.context..][..count * shape.context];
            if let Some(maxima) = maxima {
                maxima.note(number, Input::Context, context);
            }
            let target = Target { weights: &self.output, rows: gathered, first: 0 };
            kernel.run(Prepare { rows: context, width: shape.context, target });
            multiply(shape, gathered, count, &self.output, Out::Add(hidden));
            let target = Target { weights: &self.widen, rows: attended, first: 0 };
            kernel.run(Normalise { rows: hidden, norm: &self.output_norm, target: Some(target) });
            if let Some(maxima) = maxima {
                maxima.note(number, Input::Attended, hidden);
            }
            multiply(shape, attended, count, &self.widen, Out::Activate(wide, &self.narrow));
            if let Some(maxima) = maxima {
                maxima.note(number, Input::Wide, wide.rows(count));
            }
            let target = Target { weights: &self.narrow, rows: widened, first: 0 };
            kernel.run(PrepareActivated { activated: wide, count, target });
            multiply(shape, widened, count, &self.narrow, Out::Add(hidden));
            let target = next.map(|next| Target { weights: &next.project, rows: prepared, first });
            kernel.run(Normalise { rows: hidden, norm: &self.narrow_norm, target });
            if let (Some(maxima), Some(_)) = (&mut *maxima, next) {
                maxima.note(number + 1, Input::Hidden, hidden);
            }
        }
    }
}

/// A product of a block.
fn multiply(shape: &Shape, rows: &crate::kernel::rows::Rows, count: usize, weights: &Packed, out: Out<'_>) {
    shape.kernel.run(Product { rows, first: 0, count, weights, out });
}
