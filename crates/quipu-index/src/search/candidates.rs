//! The chunks worth ranking: the best of each list, with what exact scores need read once.

use super::error::SearchError;
use super::question::Question;
use crate::store::{ChunkId, TermVector, Vector};

/// A chunk with everything that a formula may ask of it.
pub(super) struct Candidate {
    pub(super) chunk: ChunkId,
    pub(super) terms: TermVector,
    /// `None` while it waits for its vector.
    pub(super) vector: Option<Vector>,
}

/// What a list gave.
pub(super) struct Candidates {
    pub(super) found: Vec<Candidate>,
    /// No list was cut: asking for more would give no more.
    pub(super) complete: bool,
}

/// The best `depth` by words and the best `depth` by meaning, as far as the question asks for each.
///
/// The lists' own scores are estimates (tantivy rounds lengths, the scan sees signs), good to choose by;
/// what is chosen is scored exactly.
pub(super) fn gather(
    question: &Question<'_>,
    by_words: bool,
    depth: usize,
) -> Result<Candidates, SearchError> {
    let allowed = question.allowed.as_ref();
    let mut chunks: Vec<ChunkId> = Vec::new();
    let mut complete = true;
    if by_words && !question.terms.is_empty() {
        let list = question.snapshot.text_candidates(&question.asked(), allowed, depth)?;
        complete &= list.len() < depth;
        chunks.extend(list.iter().map(|&(chunk, _)| chunk));
    }
    if let Some(vector) = question.vector {
        let list = question.snapshot.vector_candidates(vector, allowed, depth)?;
        complete &= list.len() < depth;
        chunks.extend(list.iter().map(|&(chunk, _)| chunk));
    }
    chunks.sort_unstable();
    chunks.dedup();
    Ok(Candidates { found: read(question, &chunks)?, complete })
}

fn read(question: &Question<'_>, chunks: &[ChunkId]) -> Result<Vec<Candidate>, SearchError> {
    let mut found = Vec::with_capacity(chunks.len());
    question.snapshot.features(chunks, &mut |chunk, terms, vector| {
        found.push(Candidate { chunk, terms: terms.clone(), vector: vector.and_then(Vector::from_bytes) });
    })?;
    Ok(found)
}
