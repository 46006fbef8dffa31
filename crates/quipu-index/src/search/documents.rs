//! From ranked chunks to documents: each document once, by its best chunk; ties by place, not by chance.

use std::collections::HashSet;

use super::error::SearchError;
use super::query::{Mode, Query};
use super::question::Question;
use super::ranking::rank;
use crate::store::ChunkId;

/// Candidates of each of two lists. A hundred ranks as well on the test collections; more costs little.
const CANDIDATES: usize = 500;
/// Candidates of a single list: they only make up for what its estimates get wrong (recall@10 of the vector
/// scan is the same with 200 as with 400).
const CANDIDATES_ALONE: usize = 200;
/// Candidates of each list when one document's chunks fill it and more documents are wanted.
const CANDIDATES_MAX: usize = 40_000;
/// By how much the list grows then.
const CANDIDATES_GROWTH: usize = 4;

/// The best chunk of each of the best documents.
pub(super) fn find(question: &Question<'_>, query: &Query) -> Result<Vec<(ChunkId, f64)>, SearchError> {
    if question.allowed.as_ref().is_some_and(crate::store::Bitmap::is_empty) {
        return Ok(Vec::new());
    }
    let alone = query.mode != Mode::Hybrid;
    let mut depth = if alone { CANDIDATES_ALONE.max(2 * query.limit) } else { CANDIDATES.max(query.limit) };
    loop {
        let ranking = rank(question, query, depth)?;
        let found = group(question, ranking.chunks, query.limit)?;
        if found.len() == query.limit || ranking.complete || depth >= CANDIDATES_MAX {
            return Ok(found);
        }
        depth *= CANDIDATES_GROWTH;
    }
}

fn group(
    question: &Question<'_>,
    mut chunks: Vec<(ChunkId, f64)>,
    limit: usize,
) -> Result<Vec<(ChunkId, f64)>, SearchError> {
    let mut seen = HashSet::new();
    let mut found = Vec::with_capacity(limit.min(chunks.len()));
    for equal in chunks.chunk_by_mut(|a, b| a.1 == b.1) {
        order_by_place(question, equal)?;
        for &(chunk, score) in equal.iter() {
            if let Some(document) = question.snapshot.document_of(chunk)?
                && seen.insert(document)
            {
                found.push((chunk, score));
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Chunks are numbered as they were written, which differs from run to run; paths do not.
fn order_by_place(question: &Question<'_>, equal: &mut [(ChunkId, f64)]) -> Result<(), SearchError> {
    if equal.len() < 2 {
        return Ok(());
    }
    let mut placed = Vec::with_capacity(equal.len());
    for &(chunk, score) in equal.iter() {
        placed.push((question.snapshot.place_of(chunk)?, chunk, score));
    }
    placed.sort_by(|a, b| a.0.cmp(&b.0));
    for (slot, (_, chunk, score)) in equal.iter_mut().zip(placed) {
        *slot = (chunk, score);
    }
    Ok(())
}
