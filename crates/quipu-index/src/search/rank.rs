//! The ranking's formulas, each once, with its reason. Pure arithmetic: what is scored, and from where its
//! numbers come, is decided in [`super::hybrid`].
//!
//! Found by trying some 450 settings on Cranfield and CACM, frozen, then run once on Vaswani and CISI: better
//! than words alone and meaning alone on all four, nDCG@10 and MAP. Change a constant here and every one of
//! those runs has to be made again (`cargo xtask eval`).

use crate::store::{TermId, TermVector};

/// How fast more of the same word stops counting (BM25).
const TERM_SATURATION: f64 = 1.2;
/// How much a chunk's length counts against it (BM25).
const LENGTH_WEIGHT: f64 = 0.75;
/// The weight of coverage beside the two halves.
const COVERAGE_WEIGHT: f64 = 0.3;
/// So steep that only a chunk with nearly all of the query's words feels it.
const COVERAGE_POWER: i32 = 8;

/// A term of the query that the index knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WeightedTerm {
    pub(super) id: TermId,
    /// How much it counts; for the words asked, how often they were.
    pub(super) weight: f64,
    pub(super) idf: f64,
}

/// What a chunk is worth by each measure, before they are put on one scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measures {
    /// `None` while the chunk waits for its vector.
    pub(super) cosine: Option<f64>,
    pub(super) bm25: f64,
    /// Share of the query that the chunk has, 0…1.
    pub(super) coverage: f64,
}

/// How rare a term is: `ln(1 + (N − df + ½) / (df + ½))`, never negative.
pub(super) fn idf(chunks: u64, frequency: u64) -> f64 {
    let (chunks, frequency) = (chunks as f64, frequency as f64);
    ((chunks - frequency + 0.5).max(0.0) / (frequency + 0.5)).ln_1p()
}

/// BM25: `Σ weight · idf · tf·(k₁ + 1) / (tf + k₁·(1 − b + b·length/average))`.
///
/// The length counts no numbers: it is worth 0.03–0.05 MAP where documents end in tables.
pub(super) fn bm25(query: &[WeightedTerm], chunk: &TermVector, average_length: f64) -> f64 {
    let relative = f64::from(chunk.length) / average_length;
    let norm = TERM_SATURATION * (1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * relative);
    let score = |term: &WeightedTerm| {
        let frequency = frequency(chunk, term.id);
        term.weight * term.idf * frequency * (TERM_SATURATION + 1.0) / (frequency + norm)
    };
    query.iter().map(score).sum()
}

/// `cov = Σ idf(query terms in the chunk) / Σ idf(query terms that the index knows)`; each term once.
pub(super) fn coverage(query: &[WeightedTerm], chunk: &TermVector) -> f64 {
    let known: f64 = query.iter().map(|term| term.idf).sum();
    let found: f64 = query.iter().filter(|term| frequency(chunk, term.id) > 0.0).map(|term| term.idf).sum();
    if known > 0.0 { found / known } else { 0.0 }
}

/// `S = ½·cos/max cos + ½·bm25/max bm25 + 0.3·cov⁸`, the maxima over `pool`; S₁ and S₂ alike.
///
/// Dividing by the best of each list puts both on one scale without a constant that fits one collection. The
/// last term guards known-item search: someone who types words of a document finds it (MRR for a phrase of
/// seven words: 0.45 by fused ranks, 0.88 with it).
///
/// A chunk without a vector is taken to be as near as the others that were found by their words are on
/// average: nothing is known against it, and nothing for it. Without any vector, ĉ is 0 for all.
pub(super) fn combine(pool: &[Measures]) -> Vec<f64> {
    let cosine_unknown = mean_cosine(pool);
    let cosine = |measures: &Measures| measures.cosine.unwrap_or(cosine_unknown);
    let cosine_scale = scale(pool.iter().map(cosine));
    let bm25_scale = scale(pool.iter().map(|measures| measures.bm25));
    let score = |measures: &Measures| {
        0.5 * cosine(measures) * cosine_scale
            + 0.5 * measures.bm25 * bm25_scale
            + COVERAGE_WEIGHT * measures.coverage.powi(COVERAGE_POWER)
    };
    pool.iter().map(score).collect()
}

/// One over the largest; 0 when nothing is above 0, so that the measure says nothing.
fn scale(values: impl Iterator<Item = f64>) -> f64 {
    let largest = values.fold(0.0, f64::max);
    if largest > 0.0 { largest.recip() } else { 0.0 }
}

fn mean_cosine(pool: &[Measures]) -> f64 {
    let known = || pool.iter().filter(|measures| measures.bm25 > 0.0).filter_map(|measures| measures.cosine);
    known().sum::<f64>() / (known().count().max(1) as f64)
}

fn frequency(chunk: &TermVector, term: TermId) -> f64 {
    let found = chunk.terms.binary_search_by_key(&term, |&(id, _)| id);
    found.map_or(0.0, |index| f64::from(chunk.terms[index].1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(terms: &[(u32, u32)], length: u32) -> TermVector {
        TermVector { terms: terms.iter().map(|&(id, count)| (TermId(id), count)).collect(), length }
    }

    fn term(id: u32, idf: f64) -> WeightedTerm {
        WeightedTerm { id: TermId(id), weight: 1.0, idf }
    }

    fn measures(cosine: impl Into<Option<f64>>, bm25: f64, coverage: f64) -> Measures {
        Measures { cosine: cosine.into(), bm25, coverage }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn bm25_of_a_case_done_by_hand() {
        // tf 2 in a chunk of average length: 2·2.2 / (2 + 1.2); tf 1 the same way: 2.2 / 2.2.
        let query = [term(1, 1.5), term(2, 0.5), term(9, 4.0)];
        assert!(close(bm25(&query, &chunk(&[(1, 2), (2, 1)], 10), 10.0), 1.5 * 4.4 / 3.2 + 0.5));
        assert!(close(bm25(&query, &chunk(&[], 10), 10.0), 0.0));
    }

    #[test]
    fn a_longer_chunk_is_worth_less_and_a_rarer_word_more() {
        let short = bm25(&[term(1, 1.0)], &chunk(&[(1, 1)], 5), 10.0);
        let long = bm25(&[term(1, 1.0)], &chunk(&[(1, 1)], 20), 10.0);
        assert!(short > long && long > 0.0);
        assert!(idf(100, 1) > idf(100, 50) && idf(100, 50) > idf(100, 100) && idf(100, 100) > 0.0);
    }

    #[test]
    fn coverage_weighs_by_rarity() {
        let query = [term(1, 3.0), term(2, 1.0)];
        assert!(close(coverage(&query, &chunk(&[(1, 5)], 5)), 0.75));
        assert!(close(coverage(&query, &chunk(&[(1, 1), (2, 1)], 5)), 1.0));
        assert!(close(coverage(&[], &chunk(&[(1, 1)], 5)), 0.0));
    }

    #[test]
    fn the_best_by_both_and_with_all_words_has_the_most() {
        let scores = combine(&[measures(0.8, 4.0, 1.0), measures(0.4, 2.0, 0.5), measures(-0.4, 0.0, 0.0)]);
        assert!(close(scores[0], 1.3));
        assert!(close(scores[1], 0.5 + 0.3 / 256.0));
        assert!(close(scores[2], -0.25));
    }

    #[test]
    fn a_chunk_without_a_vector_is_neither_favoured_nor_lost() {
        let scores = combine(&[measures(0.8, 4.0, 0.0), measures(None, 4.0, 0.0), measures(0.4, 4.0, 0.0)]);
        assert!(scores[0] > scores[1] && scores[1] > scores[2]);
        let scores = combine(&[measures(None, 4.0, 0.0), measures(None, 2.0, 0.0)]);
        assert!(close(scores[0], 0.5) && close(scores[1], 0.25));
    }

    #[test]
    fn nothing_to_rank() {
        assert_eq!(combine(&[]), Vec::<f64>::new());
        assert_eq!(combine(&[measures(-0.1, 0.0, 0.0)]), [0.0]);
    }
}
