//! Scans: over the 1-bit codes for candidates, over the int8 codes for the truth.

use super::block::{BLOCK_CHUNKS, Block, LIVE_WORDS};
use super::kernel::Kernel;
use super::nearest::Nearest;
use super::query::VectorQuery;
use super::vector::Vector;
use crate::store::bitmap::{Bitmap, set_bits};

/// A chunk that a scan found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The chunk's id.
    pub chunk: u32,
    /// Its inner product with the query: an estimate from [`scan`], exact to int8 from [`exact`].
    pub score: f32,
}

/// The `limit` chunks of `blocks` (each with its number) that look nearest to the query, best first.
///
/// A chunk outside `filter` is never a candidate: it is masked before it is scored, so a filter cannot
/// empty the result. Blocks of other dimensions than the query's are skipped.
#[must_use]
pub fn scan<'a>(
    blocks: impl IntoIterator<Item = (u32, &'a Block)>,
    query: &VectorQuery,
    filter: Option<&Bitmap>,
    limit: usize,
) -> Vec<Candidate> {
    scan_with(Kernel::best(), blocks, query, filter, limit)
}

/// [`scan`] with a kernel of one's choice, for tests and measurements.
fn scan_with<'a>(
    kernel: Kernel,
    blocks: impl IntoIterator<Item = (u32, &'a Block)>,
    query: &VectorQuery,
    filter: Option<&Bitmap>,
    limit: usize,
) -> Vec<Candidate> {
    let mut nearest = Nearest::new(limit);
    let mut scores = [0.0; BLOCK_CHUNKS];
    for (number, block) in blocks {
        let wanted = wanted(block, number, filter);
        if block.dimensions() != query.dimensions() || wanted.iter().all(|&word| word == 0) {
            continue;
        }
        kernel.score(block, query, &wanted, &mut scores);
        collect(&scores, &wanted, number, &mut nearest);
    }
    nearest.into_best_first()
}

/// The oracle: every vector scored on its int8 codes.
#[must_use]
pub fn exact<'a>(
    vectors: impl IntoIterator<Item = (u32, &'a Vector)>,
    query: &[f32],
    filter: Option<&Bitmap>,
    limit: usize,
) -> Vec<Candidate> {
    let mut nearest = Nearest::new(limit);
    for (chunk, vector) in vectors {
        if filter.is_none_or(|filter| filter.contains(chunk)) {
            nearest.offer(Candidate { chunk, score: vector.dot(query) });
        }
    }
    nearest.into_best_first()
}

/// The block's live slots that the filter leaves.
fn wanted(block: &Block, number: u32, filter: Option<&Bitmap>) -> [u64; LIVE_WORDS] {
    let Some(filter) = filter else { return *block.live() };
    let from = number as usize * LIVE_WORDS;
    std::array::from_fn(|word| block.live()[word] & filter.words().get(from + word).copied().unwrap_or(0))
}

fn collect(scores: &[f32; BLOCK_CHUNKS], wanted: &[u64; LIVE_WORDS], number: u32, nearest: &mut Nearest) {
    let mut threshold = nearest.threshold();
    for (word, &bits) in wanted.iter().enumerate() {
        for bit in set_bits(bits) {
            let slot = word * 64 + bit as usize;
            if scores[slot] >= threshold {
                let chunk = number * BLOCK_CHUNKS as u32 + slot as u32;
                nearest.offer(Candidate { chunk, score: scores[slot] });
                threshold = nearest.threshold();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMENSIONS: usize = 384;
    const CHUNKS: u32 = 6000;
    /// Of made vectors, whose neighbours lie closer together than those of real texts do (measured here: 0.990).
    const RECALL_MIN: f64 = 0.985;

    /// A repeatable stream of roughly normal numbers.
    fn noise(seed: u64) -> impl Iterator<Item = f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::iter::repeat_with(move || {
            let uniform = |state: &mut u64| {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                (*state >> 40) as f32 / (1 << 24) as f32
            };
            (0..4).map(|_| uniform(&mut state)).sum::<f32>() - 2.0
        })
    }

    /// A unit vector near one of a hundred centres, as texts lie near their subjects.
    fn embedding(seed: u64) -> Vec<f32> {
        let values: Vec<f32> =
            noise(seed % 100 + 1).zip(noise(seed + 1000)).take(DIMENSIONS).map(|(c, n)| c + n).collect();
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        values.iter().map(|v| v / length).collect()
    }

    fn vectors() -> Vec<(u32, Vector)> {
        (0..CHUNKS).map(|chunk| (chunk, Vector::quantise(&embedding(u64::from(chunk))))).collect()
    }

    fn blocks(vectors: &[(u32, Vector)]) -> Vec<(u32, Block)> {
        let mut blocks: Vec<(u32, Block)> = Vec::new();
        for (chunk, vector) in vectors {
            let (number, slot) = (chunk / BLOCK_CHUNKS as u32, *chunk as usize % BLOCK_CHUNKS);
            if blocks.last().is_none_or(|last| last.0 != number) {
                blocks.push((number, Block::new(DIMENSIONS)));
            }
            blocks.last_mut().unwrap().1.insert(slot, vector);
        }
        blocks
    }

    fn borrowed<T>(pairs: &[(u32, T)]) -> impl Iterator<Item = (u32, &T)> {
        pairs.iter().map(|(number, item)| (*number, item))
    }

    fn ids(candidates: &[Candidate]) -> Vec<u32> {
        candidates.iter().map(|candidate| candidate.chunk).collect()
    }

    /// Scan, then rescore on int8, as the search does.
    fn nearest_ten(vectors: &[(u32, Vector)], blocks: &[(u32, Block)], query: &[f32]) -> Vec<u32> {
        let found: Bitmap =
            ids(&scan(borrowed(blocks), &VectorQuery::new(query), None, 200)).into_iter().collect();
        ids(&exact(borrowed(vectors), query, Some(&found), 10))
    }

    #[test]
    fn finds_the_ten_that_an_exact_scan_finds() {
        let vectors = vectors();
        let blocks = blocks(&vectors);
        let mut found = 0;
        for query in 0..50 {
            let query = embedding(90_000 + query);
            let mut truth: Vec<(u32, f32)> = (0..CHUNKS)
                .map(|c| (c, embedding(u64::from(c)).iter().zip(&query).map(|(a, b)| a * b).sum()))
                .collect();
            truth.sort_by(|a, b| b.1.total_cmp(&a.1));
            let nearest = nearest_ten(&vectors, &blocks, &query);
            found += truth[..10].iter().filter(|(chunk, _)| nearest.contains(chunk)).count();
        }
        let recall = found as f64 / 500.0;
        assert!(recall >= RECALL_MIN, "recall@10 {recall}");
    }

    #[test]
    fn a_filter_is_applied_before_ranking() {
        let vectors = vectors();
        let blocks = blocks(&vectors);
        let query = embedding(77);
        let far: Bitmap = exact(borrowed(&vectors), &query, None, CHUNKS as usize)[5990..]
            .iter()
            .map(|c| c.chunk)
            .collect();
        let mut found = ids(&scan(borrowed(&blocks), &VectorQuery::new(&query), Some(&far), 10));
        found.sort_unstable();
        assert_eq!(found, far.iter().collect::<Vec<_>>());
    }

    #[test]
    fn removed_vectors_are_not_found() {
        let vectors = vectors();
        let mut blocks = blocks(&vectors);
        let query = embedding(5);
        let before = scan(borrowed(&blocks), &VectorQuery::new(&query), None, 3);
        for candidate in &before {
            let (number, slot) =
                (candidate.chunk as usize / BLOCK_CHUNKS, candidate.chunk as usize % BLOCK_CHUNKS);
            blocks[number].1.remove(slot);
        }
        let after = ids(&scan(borrowed(&blocks), &VectorQuery::new(&query), None, CHUNKS as usize));
        assert_eq!(after.len(), CHUNKS as usize - 3);
        assert!(before.iter().all(|candidate| !after.contains(&candidate.chunk)));
    }

    #[test]
    fn every_kernel_finds_the_same() {
        let vectors = vectors();
        let blocks = blocks(&vectors);
        let query = VectorQuery::new(&embedding(123));
        let portable = scan_with(Kernel::Portable, borrowed(&blocks), &query, None, 100);
        for kernel in [Kernel::Avx2, Kernel::Avx512].into_iter().filter(|kernel| kernel.is_available()) {
            assert_eq!(scan_with(kernel, borrowed(&blocks), &query, None, 100), portable);
        }
    }

    #[test]
    fn blocks_of_another_model_are_skipped() {
        let mut block = Block::new(3);
        block.insert(0, &Vector::quantise(&[1.0, 0.0, 0.0]));
        assert_eq!(scan([(0, &block)], &VectorQuery::new(&[1.0, 0.0]), None, 5), []);
    }

    #[test]
    fn nothing_is_asked_and_nothing_found() {
        assert_eq!(scan([], &VectorQuery::new(&[]), None, 0), []);
    }
}
