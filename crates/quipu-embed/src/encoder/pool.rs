//! The last step: one vector per sequence out of its tokens' vectors.

use crate::kernel::rows;
use crate::model::folder::Pooling;

use super::Network;
use super::scratch::Scratch;

/// Fills `scratch.pooled`, normalised if the model says so.
pub(super) fn pool(network: &Network, sequences: &[&[u32]], scratch: &mut Scratch) {
    let width = network.shape.hidden;
    let mut rest = &scratch.hidden[..];
    for (sequence, vector) in sequences.iter().zip(scratch.pooled.chunks_exact_mut(width)) {
        let (tokens, after) = rest.split_at(sequence.len() * width);
        match network.pooling {
            Pooling::Mean => rows::mean_of_rows(network.shape.kernel, tokens, vector),
            Pooling::FirstToken => vector.copy_from_slice(&tokens[..width]),
        }
        if network.normalised {
            rows::normalise(network.shape.kernel, vector);
        }
        rest = after;
    }
}
