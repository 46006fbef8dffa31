//! Working memory of one forward pass, kept from batch to batch so that a warm encoder allocates nothing of size.

use super::Shape;
use crate::kernel::int8::Rows;

/// Row-major buffers; a row is a token unless said otherwise.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// tokens × hidden: what goes from layer to layer.
    pub(super) hidden: Vec<f32>,
    /// tokens × 3·hidden: queries, keys and values side by side.
    pub(super) projected: Vec<f32>,
    /// tokens × hidden: what attention gathered.
    pub(super) context: Vec<f32>,
    /// tokens × intermediate.
    pub(super) intermediate: Vec<f32>,
    /// longest² : one head's attention over one sequence.
    pub(super) scores: Vec<f32>,
    /// longest: one factor per row of `scores`.
    pub(super) inverses: Vec<f32>,
    /// What products in eight bits take.
    pub(super) quantised: Rows,
    /// sequences × hidden: the result.
    pub(super) pooled: Vec<f32>,
}

impl Scratch {
    /// Gives each buffer the length that a batch needs. Contents are unspecified; capacity only grows.
    pub(super) fn fit(&mut self, sequences: &[&[u32]], shape: Shape) {
        let tokens: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        let longest = sequences.iter().map(|sequence| sequence.len()).max().unwrap_or(0);
        self.hidden.resize(tokens * shape.hidden, 0.0);
        self.projected.resize(tokens * 3 * shape.hidden, 0.0);
        self.context.resize(tokens * shape.hidden, 0.0);
        self.intermediate.resize(tokens * shape.intermediate, 0.0);
        self.scores.resize(longest * longest, 0.0);
        self.inverses.resize(longest, 0.0);
        self.pooled.resize(sequences.len() * shape.hidden, 0.0);
    }
}
