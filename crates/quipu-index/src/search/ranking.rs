//! Candidates put in order, one function for each mode. The formulas are in [`super::rank`], what the best
//! teach in [`super::feedback`]; here is the way between them.

use super::candidates::{Candidate, Candidates, gather};
use super::error::SearchError;
use super::feedback;
use super::query::{Mode, Query, Rank};
use super::question::Question;
use super::rank::{Measures, WeightedTerm, bm25, combine, coverage};
use crate::store::ChunkId;

/// How many of S₁'s best are scored again.
const RESCORED: usize = 200;

/// Chunks, best first; equal scores by chunk until [`super::documents`] orders them by place.
pub(super) struct Ranking {
    pub(super) chunks: Vec<(ChunkId, f64)>,
    /// Asking for more candidates would give no more chunks.
    pub(super) complete: bool,
}

/// Ranks the best `depth` of each list that the mode uses.
pub(super) fn rank(question: &Question<'_>, query: &Query, depth: usize) -> Result<Ranking, SearchError> {
    let Candidates { found, complete } = gather(question, query.mode != Mode::Vector, depth)?;
    let chunks = match query.mode {
        Mode::Text => by_words(question, &found),
        Mode::Vector => by_meaning(question, &found),
        Mode::Hybrid => by_both(question, &found, query.rank)?,
    };
    Ok(Ranking { chunks, complete })
}

fn by_words(question: &Question<'_>, found: &[Candidate]) -> Vec<(ChunkId, f64)> {
    let average_length = question.statistics.average_length;
    let score = |candidate: &Candidate| bm25(&question.terms, &candidate.terms, average_length);
    sorted(found.iter().map(|candidate| (candidate.chunk, score(candidate))).collect())
}

fn by_meaning(question: &Question<'_>, found: &[Candidate]) -> Vec<(ChunkId, f64)> {
    let scored =
        found.iter().filter_map(|candidate| Some((candidate.chunk, cosine(candidate, question.vector)?)));
    sorted(scored.collect())
}

fn by_both(
    question: &Question<'_>,
    found: &[Candidate],
    rank: Rank,
) -> Result<Vec<(ChunkId, f64)>, SearchError> {
    let covered: Vec<f64> =
        found.iter().map(|candidate| coverage(&question.terms, &candidate.terms)).collect();
    let all: Vec<usize> = (0..found.len()).collect();
    let first = score(question, found, &covered, &all, &question.terms, question.vector);
    let named =
        |scores: Vec<(usize, f64)>| scores.into_iter().map(|(i, s)| (found[i].chunk, s)).collect::<Vec<_>>();
    if rank == Rank::Fast || question.has_phrases {
        return Ok(named(first));
    }
    let best: Vec<usize> = first.iter().take(RESCORED).map(|&(index, _)| index).collect();
    let (terms, vector) = expanded(question, found, &best)?;
    let second = score(question, found, &covered, &best, &terms, vector.as_deref());
    Ok(named(joined(second, &first[best.len()..])))
}

/// S over the candidates `chosen` (indexes into `found`), best first.
fn score(
    question: &Question<'_>,
    found: &[Candidate],
    covered: &[f64],
    chosen: &[usize],
    terms: &[WeightedTerm],
    vector: Option<&[f32]>,
) -> Vec<(usize, f64)> {
    let average_length = question.statistics.average_length;
    let measure = |&index: &usize| Measures {
        cosine: cosine(&found[index], vector),
        bm25: bm25(terms, &found[index].terms, average_length),
        coverage: covered[index],
    };
    let measures: Vec<Measures> = chosen.iter().map(measure).collect();
    let mut scores: Vec<(usize, f64)> = chosen.iter().copied().zip(combine(&measures)).collect();
    // `found` is in the order of chunks, so indexes decide ties as chunks would.
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scores
}

/// The query with what its best answers have in common.
fn expanded(
    question: &Question<'_>,
    found: &[Candidate],
    best: &[usize],
) -> Result<(Vec<WeightedTerm>, Option<Vec<f32>>), SearchError> {
    let term_vectors = || best.iter().map(|&index| &found[index].terms);
    let vectors = best.iter().filter_map(|&index| found[index].vector.as_ref());
    let judged = feedback::terms_to_judge(term_vectors());
    let frequencies = question.snapshot.document_frequencies(&judged)?;
    let judged: Vec<_> = judged.into_iter().zip(frequencies).collect();
    let terms = feedback::query_terms(&question.terms, term_vectors(), &judged, question.statistics.chunks);
    let vector = question.vector.map(|vector| feedback::query_vector(vector, vectors));
    Ok((terms, vector))
}

/// The re-scored ones, then the rest in S₁'s order. S₂ and S₁ are on different scales: the rest is moved down
/// as a whole, so that scores never rise along the list.
fn joined(mut second: Vec<(usize, f64)>, rest: &[(usize, f64)]) -> Vec<(usize, f64)> {
    if let (Some(&(_, worst)), Some(&(_, next))) = (second.last(), rest.first()) {
        let shift = (next - worst).max(0.0);
        second.extend(rest.iter().map(|&(index, score)| (index, score - shift)));
    }
    second
}

fn cosine(candidate: &Candidate, query: Option<&[f32]>) -> Option<f64> {
    Some(f64::from(candidate.vector.as_ref()?.dot(query?)))
}

fn sorted(mut chunks: Vec<(ChunkId, f64)>) -> Vec<(ChunkId, f64)> {
    chunks.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    chunks
}
