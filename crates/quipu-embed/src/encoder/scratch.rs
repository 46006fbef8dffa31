//! Working memory of one forward pass, kept from batch to batch: a warm encoder allocates nothing.

use super::layer::Layer;
use super::smoothing::Maxima;
use super::{BLOCK_ROWS, Shape};
use crate::kernel::attention::{Buffers, ROWS_BEYOND};
use crate::kernel::lines::Lines;
use crate::kernel::rows::{Activated, Rows};

/// Row-major buffers; a row is a token unless said otherwise.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// tokens × width: what goes from layer to layer.
    pub(super) hidden: Lines,
    /// The same, prepared for the next layer's projections.
    pub(super) prepared: Rows,
    /// tokens × projected: queries, keys and values, as attention's words.
    pub(super) projected: Lines,
    /// One sequence's attention.
    pub(super) attention: Buffers,
    /// tokens × heads: what attention gathered.
    pub(super) context: Lines,
    /// block × intermediate.
    pub(super) wide: Activated,
    /// A block, prepared for the projection after attention, then for the two of the feed-forward half.
    pub(super) block: [Rows; 3],
    /// A sequence's mean.
    pub(super) pooled: Lines,
    /// The order in which sequences are taken, longest first.
    pub(super) order: Vec<usize>,
    /// What each input was at most, where that is being found out.
    pub(super) maxima: Option<Maxima>,
}

impl Scratch {
    /// Gives each buffer the room that a batch needs. Contents are unspecified; room only grows. `layer` is any of the
    /// network's.
    pub(super) fn fit(&mut self, tokens: usize, longest: usize, shape: &Shape, layer: &Layer) {
        self.hidden.fit(tokens * shape.width);
        self.prepared.fit(tokens, &layer.project);
        self.projected.fit((tokens + ROWS_BEYOND) * shape.projected_words());
        self.attention.fit(longest, shape.head);
        self.context.fit(tokens * shape.context);
        self.wide.fit(BLOCK_ROWS, shape.wide);
        for (rows, weights) in self.block.iter_mut().zip([&layer.output, &layer.widen, &layer.narrow]) {
            rows.fit(BLOCK_ROWS, weights);
        }
        self.pooled.fit(shape.width);
    }
}
