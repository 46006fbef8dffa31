//! A query made ready for the scan: four bits a dimension, as bit planes.
//!
//! The codes have one bit a dimension; the query keeps more, since it is one and they are many. Four bits
//! cost four popcounts a word and lose next to nothing against floats (recall@10 within 0.001 at 100
//! candidates, none at 200).

use super::block::words_per_code;

/// Bits of the query's quantised values.
pub(super) const PLANES: usize = 4;
const LEVELS: f32 = ((1 << PLANES) - 1) as f32;

/// A query prepared once and scanned against any number of blocks.
///
/// With q ≈ lowest + step·u, u in 0…15, and a code's signs s = 2b − 1:
/// Σ s·q = 2·(lowest·Σb + step·Σ b·u) − Σ q, where Σ b·u = Σₚ 2ᵖ·popcount(b ∧ planeₚ).
#[derive(Debug, Clone)]
pub struct VectorQuery {
    /// For each word of a code, the query's bits of weight 1, 2, 4, 8.
    pub(super) planes: Vec<[u64; PLANES]>,
    pub(super) lowest: f32,
    pub(super) step: f32,
    /// Σ of the rounded query.
    pub(super) total: f32,
    dimensions: usize,
}

impl VectorQuery {
    /// Rounds `values` to 16 levels between its least and its greatest.
    #[must_use]
    pub fn new(values: &[f32]) -> Self {
        let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let step = if greatest > lowest { (greatest - lowest) / LEVELS } else { 1.0 };
        let mut planes = vec![[0; PLANES]; words_per_code(values.len())];
        let mut total = 0.0;
        for (dimension, value) in values.iter().enumerate() {
            let level = ((value - lowest) / step).round() as u64;
            total += lowest + step * level as f32;
            for (weight, plane) in planes[dimension / 64].iter_mut().enumerate() {
                *plane |= (level >> weight & 1) << (dimension % 64);
            }
        }
        let lowest = if values.is_empty() { 0.0 } else { lowest };
        Self { planes, lowest, step, total, dimensions: values.len() }
    }

    /// How many dimensions the query has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }
}
