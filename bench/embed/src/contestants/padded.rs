//! What the peers have in common: a batch as a matrix with a mask, and vectors as the means of its rows.

use quipu_embed::TokenIds;

/// A batch, padded to its longest sequence.
pub(super) struct Padded<T> {
    pub(super) rows: usize,
    pub(super) length: usize,
    pub(super) ids: Vec<T>,
    pub(super) mask: Vec<T>,
}

impl<T: TryFrom<u32> + Copy + Default> Padded<T> {
    pub(super) fn new(batch: &[TokenIds]) -> Self {
        let length = batch.iter().map(TokenIds::len).max().unwrap_or(0);
        let number = |id: u32| T::try_from(id).unwrap_or_default();
        let mut padded = Self {
            rows: batch.len(),
            length,
            ids: vec![T::default(); batch.len() * length],
            mask: vec![T::default(); batch.len() * length],
        };
        for (row, sequence) in batch.iter().enumerate() {
            let start = row * length;
            for (place, &id) in padded.ids[start..].iter_mut().zip(sequence.as_slice()) {
                *place = number(id);
            }
            padded.mask[start..start + sequence.len()].fill(number(1));
        }
        padded
    }
}

/// Means over each sequence's own tokens, normalised. `hidden` is batch × length × dimensions.
pub(super) fn pool(hidden: &[f32], batch: &[TokenIds], length: usize, vectors: &mut [f32]) {
    let dimensions = vectors.len() / batch.len().max(1);
    let blocks = hidden.chunks_exact(length * dimensions);
    for ((sequence, block), vector) in batch.iter().zip(blocks).zip(vectors.chunks_exact_mut(dimensions)) {
        vector.fill(0.0);
        for row in block.chunks_exact(dimensions).take(sequence.len()) {
            vector.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
    }
}
