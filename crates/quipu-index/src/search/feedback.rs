//! What the best of a first ranking have in common, added to the query: a vector and terms. Pure
//! arithmetic over candidates already read: no second query, no second run of the model.

use std::collections::BTreeMap;

use super::rank::WeightedTerm;
use crate::store::{TermId, TermVector, Vector};

/// How many of the best lend their vectors.
const VECTORS: usize = 5;
/// How many of the best lend their terms.
pub(super) const CHUNKS: usize = 10;
/// How many terms are added.
const TERMS: usize = 20;
/// A term in fewer chunks is a name or a slip.
const CHUNKS_WITH_TERM_MIN: u64 = 2;
/// A term in a larger share of all chunks says nothing.
const CHUNKS_WITH_TERM_SHARE_MAX: f64 = 0.1;
/// What the words asked keep of the weight.
const ORIGINAL_WEIGHT: f64 = 0.7;

/// `q′ = normalise(q + Σ wᵣ·dᵣ)` over the best five, `wᵣ ∝ 1/r` summing to 1. Chunks without a vector lend none.
pub(super) fn query_vector<'a>(query: &[f32], best: impl Iterator<Item = &'a Vector>) -> Vec<f32> {
    let best: Vec<&Vector> = best.take(VECTORS).collect();
    let mut moved = query.to_vec();
    for (vector, weight) in best.iter().zip(rank_weights(best.len())) {
        for (sum, &code) in moved.iter_mut().zip(&vector.codes) {
            *sum += weight as f32 * vector.scale * f32::from(code);
        }
    }
    let length = moved.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        moved.iter_mut().for_each(|value| *value /= length);
    }
    moved
}

/// The terms of the best that may be added: no numbers. Ascending, each once.
pub(super) fn terms_to_judge<'a>(best: impl Iterator<Item = &'a TermVector>) -> Vec<TermId> {
    let mut terms: Vec<TermId> = best
        .take(CHUNKS)
        .flat_map(|chunk| &chunk.terms)
        .map(|&(id, _)| id)
        .filter(|id| !id.is_number())
        .collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// RM3: the query's terms at 0.7 and the best twenty by `Σ wᵣ·(tf/length)·idf` over the best ten at 0.3, each
/// part summing to 1. `frequencies` and `idf` belong to what [`terms_to_judge`] gave.
pub(super) fn query_terms<'a>(
    query: &[WeightedTerm],
    best: impl Iterator<Item = &'a TermVector>,
    judged: &[(TermId, u64)],
    chunks: u64,
) -> Vec<WeightedTerm> {
    let best: Vec<&TermVector> = best.take(CHUNKS).collect();
    let mut worth: BTreeMap<TermId, (f64, f64)> = judged
        .iter()
        .filter(|&&(_, frequency)| says_something(frequency, chunks))
        .map(|&(id, frequency)| (id, (0.0, super::rank::idf(chunks, frequency))))
        .collect();
    for (chunk, weight) in best.iter().zip(rank_weights(best.len())) {
        for (id, count) in &chunk.terms {
            if let Some((sum, idf)) = worth.get_mut(id) {
                *sum += weight * f64::from(*count) / f64::from(chunk.length.max(1)) * *idf;
            }
        }
    }
    let mut added: Vec<(TermId, f64, f64)> =
        worth.into_iter().map(|(id, (sum, idf))| (id, sum, idf)).collect();
    added.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    added.truncate(TERMS);
    mix(query, &added)
}

fn says_something(frequency: u64, chunks: u64) -> bool {
    frequency >= CHUNKS_WITH_TERM_MIN && frequency as f64 <= CHUNKS_WITH_TERM_SHARE_MAX * chunks as f64
}

fn mix(query: &[WeightedTerm], added: &[(TermId, f64, f64)]) -> Vec<WeightedTerm> {
    let asked: f64 = query.iter().map(|term| term.weight).sum();
    let total: f64 = added.iter().map(|(_, worth, _)| worth).sum();
    if total <= 0.0 {
        return query.to_vec();
    }
    let mut mixed: BTreeMap<TermId, WeightedTerm> = BTreeMap::new();
    for term in query {
        mixed.insert(term.id, WeightedTerm { weight: ORIGINAL_WEIGHT * term.weight / asked, ..*term });
    }
    for &(id, worth, idf) in added {
        mixed.entry(id).or_insert(WeightedTerm { id, weight: 0.0, idf }).weight +=
            (1.0 - ORIGINAL_WEIGHT) * worth / total;
    }
    mixed.into_values().collect()
}

/// `1/r` for ranks 1 to `count`, summing to 1.
fn rank_weights(count: usize) -> impl Iterator<Item = f64> {
    let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
    (1..=count).map(move |rank| 1.0 / rank as f64 / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(terms: &[(u32, u32)], length: u32) -> TermVector {
        TermVector { terms: terms.iter().map(|&(id, count)| (TermId(id), count)).collect(), length }
    }

    #[test]
    fn the_vector_moves_towards_the_best() {
        let best = [Vector::quantise(&[0.0, 1.0]), Vector::quantise(&[0.0, -1.0])];
        let moved = query_vector(&[1.0, 0.0], best.iter());
        // (1, 0) + 2/3·(0, 1) + 1/3·(0, −1), to length 1.
        assert!((moved[1] / moved[0] - 1.0 / 3.0).abs() < 1e-5);
        assert!((moved[0].hypot(moved[1]) - 1.0).abs() < 1e-5);
        assert_eq!(query_vector(&[1.0, 0.0], std::iter::empty()), [1.0, 0.0]);
    }

    #[test]
    fn terms_of_the_best_are_added_to_those_asked() {
        let query = [WeightedTerm { id: TermId(1), weight: 2.0, idf: 1.0 }];
        let best = [chunk(&[(1, 1), (2, 3), (3, 1), (4, 9)], 10)];
        let judged = [(TermId(1), 5), (TermId(2), 5), (TermId(3), 1), (TermId(4), 60)];
        let mixed = query_terms(&query, best.iter(), &judged, 100);
        let ids: Vec<u32> = mixed.iter().map(|term| term.id.0).collect();
        assert_eq!(ids, [1, 2], "3 is in one chunk only, 4 in too many");
        assert!((mixed[0].weight - (0.7 + 0.3 * 0.25)).abs() < 1e-9);
        assert!((mixed[1].weight - 0.3 * 0.75).abs() < 1e-9);
    }

    #[test]
    fn without_a_term_to_add_the_query_stays() {
        let query = [WeightedTerm { id: TermId(1), weight: 1.0, idf: 1.0 }];
        assert_eq!(query_terms(&query, std::iter::empty(), &[], 10), query);
    }

    #[test]
    fn numbers_never_expand_a_query() {
        let number = TermId(1 << 31 | 7);
        assert!(number.is_number());
        let best = [TermVector { terms: vec![(TermId(3), 1), (number, 4)], length: 1 }];
        assert_eq!(terms_to_judge(best.iter()), [TermId(3)]);
    }
}
