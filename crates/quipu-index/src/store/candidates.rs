//! Searching the text index: the best chunks for weighted terms, and the chunks that hold a phrase.
//!
//! A filter is asked inside the search, before a chunk takes a place among the best, so that a narrow filter
//! cannot empty the result; block-max pruning still skips what cannot reach the worst of the best. Scores
//! are BM25 with the whole index's exact statistics; only chunk lengths are rounded, to a byte, by
//! tantivy. Whoever ranks computes exact scores from the forward index.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, BoostQuery, EnableScoring, Occur, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, SegmentReader, Term as IndexTerm};

use super::text::{CHUNK_FIELD, fields};
use super::{Bitmap, ChunkId, Term, TermId, TermVector, is_number};

/// A term of a query: its text, its weight, and in how many chunks it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WeightedTerm {
    pub(super) id: TermId,
    pub(super) text: String,
    pub(super) weight: f32,
    pub(super) document_frequency: u64,
}

/// What BM25 knows of the index.
pub(super) struct Known<'a> {
    pub(super) chunks: u64,
    pub(super) words: u64,
    pub(super) terms: &'a [WeightedTerm],
}

/// Offers the best chunks for a disjunction of terms.
pub(super) fn search(
    searcher: &Searcher,
    known: &Known<'_>,
    allowed: Option<&Bitmap>,
    best: &mut Best,
) -> tantivy::Result<()> {
    if known.terms.is_empty() || best.limit == 0 {
        return Ok(());
    }
    let scoring = EnableScoring::enabled_from_statistics_provider(known, searcher);
    let weight = disjunction(known.terms).weight(scoring)?;
    for segment in searcher.segment_readers() {
        let chunks = Chunks::of(segment)?;
        weight.for_each_pruning(best.threshold(), segment, &mut |document, score| {
            if let Some(chunk) = chunks.chunk(document)
                && allowed.is_none_or(|allowed| allowed.contains(chunk))
            {
                best.offer(chunk, score);
            }
            best.threshold()
        })?;
    }
    Ok(())
}

/// The score of a chunk that the text index does not know yet, by the same formula.
pub(super) fn score(known: &Known<'_>, chunk: &TermVector) -> f32 {
    const K1: f32 = 1.2;
    const B: f32 = 0.75;
    let chunks = known.chunks as f32;
    let relative = chunk.length as f32 * chunks / known.words.max(1) as f32;
    let of_term = |term: &WeightedTerm| {
        let place = chunk.terms.binary_search_by_key(&term.id, |(id, _)| *id).ok()?;
        let tf = chunk.terms[place].1 as f32;
        let df = term.document_frequency as f32;
        let idf = (1.0 + (chunks - df + 0.5) / (df + 0.5)).ln();
        let norm = if term.id.is_number() { K1 } else { K1 * (1.0 - B + B * relative) };
        Some(term.weight * idf * (1.0 + K1) * tf / (tf + norm))
    };
    known.terms.iter().filter_map(of_term).sum()
}

/// The chunks in which terms stand at the same distances as in `phrase`, as far as words go: numbers have
/// no positions in the index and are only known to occur. `None` for a phrase without terms.
pub(super) fn phrase(searcher: &Searcher, phrase: &[Term<'_>]) -> tantivy::Result<Option<Bitmap>> {
    let fields = fields();
    let term = |term: &Term<'_>, field| IndexTerm::from_field_text(field, &term.text);
    let words: Vec<(usize, IndexTerm)> = phrase
        .iter()
        .filter(|t| !t.is_number)
        .map(|t| (t.position as usize, term(t, fields.words)))
        .collect();
    let mut queries: Vec<Box<dyn Query>> = Vec::new();
    match words.as_slice() {
        [] => {}
        [(_, word)] => queries.push(Box::new(TermQuery::new(word.clone(), IndexRecordOption::Basic))),
        _ => queries.push(Box::new(PhraseQuery::new_with_offset(words))),
    }
    for number in phrase.iter().filter(|t| t.is_number) {
        let number = term(number, fields.numbers);
        queries.push(Box::new(TermQuery::new(number, IndexRecordOption::Basic)));
    }
    let mut matched: Option<Bitmap> = None;
    for query in queries {
        let found = all(searcher, query.as_ref())?;
        match &mut matched {
            Some(matched) => matched.intersect_with(&found),
            None => matched = Some(found),
        }
    }
    Ok(matched)
}

/// Whether a text holds a phrase, numbers at their places too.
pub(super) fn holds(text: &str, phrase: &[Term<'_>]) -> bool {
    let Some(first) = phrase.first() else { return true };
    let terms: HashMap<u32, Term<'_>> = super::analyse(text).map(|term| (term.position, term)).collect();
    terms.values().filter(|term| term.text == first.text).any(|start| {
        phrase.iter().all(|wanted| {
            let position = start.position + (wanted.position - first.position);
            terms.get(&position).is_some_and(|term| term.text == wanted.text)
        })
    })
}

/// Every chunk of the text index, and how often: for verification.
pub(super) fn every_chunk(searcher: &Searcher, visit: &mut dyn FnMut(ChunkId)) -> tantivy::Result<()> {
    for segment in searcher.segment_readers() {
        let chunks = Chunks::of(segment)?;
        (0..segment.max_doc()).filter_map(|document| chunks.chunk(document)).for_each(&mut *visit);
    }
    Ok(())
}

fn all(searcher: &Searcher, query: &dyn Query) -> tantivy::Result<Bitmap> {
    let mut found = Bitmap::new();
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    for segment in searcher.segment_readers() {
        let chunks = Chunks::of(segment)?;
        weight.for_each_no_score(segment, &mut |documents| {
            documents.iter().filter_map(|document| chunks.chunk(*document)).for_each(|c| found.set(c));
        })?;
    }
    Ok(found)
}

fn disjunction(terms: &[WeightedTerm]) -> BooleanQuery {
    let clauses = terms.iter().map(|term| {
        let query = TermQuery::new(index_term(&term.text), IndexRecordOption::WithFreqs);
        let query: Box<dyn Query> = Box::new(BoostQuery::new(Box::new(query), term.weight));
        (Occur::Should, query)
    });
    BooleanQuery::new(clauses.collect())
}

fn index_term(text: &str) -> IndexTerm {
    let fields = fields();
    IndexTerm::from_field_text(if is_number(text) { fields.numbers } else { fields.words }, text)
}

impl Bm25StatisticsProvider for Known<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        // Numbers have no lengths: with an average of 1 each is a field of one token, hence of no weight.
        Ok(if field == fields().words { self.words.max(1) } else { self.chunks })
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.chunks)
    }

    fn doc_freq(&self, term: &IndexTerm) -> tantivy::Result<u64> {
        let known = self.terms.iter().find(|known| index_term(&known.text) == *term);
        Ok(known.map_or(0, |known| known.document_frequency.min(self.chunks)))
    }
}

/// From a segment's documents to chunks, deleted ones left out.
struct Chunks<'a> {
    segment: &'a SegmentReader,
    column: tantivy::columnar::Column<u64>,
}

impl<'a> Chunks<'a> {
    fn of(segment: &'a SegmentReader) -> tantivy::Result<Self> {
        Ok(Self { segment, column: segment.fast_fields().u64(CHUNK_FIELD)? })
    }

    fn chunk(&self, document: u32) -> Option<ChunkId> {
        if self.segment.is_deleted(document) {
            return None;
        }
        self.column.first(document).and_then(|chunk| ChunkId::try_from(chunk).ok())
    }
}

/// The best of what is offered.
pub(super) struct Best {
    limit: usize,
    heap: BinaryHeap<Reverse<Scored>>,
}

/// Better is greater; of equals the earlier chunk is better.
#[derive(PartialEq)]
struct Scored(f32, ChunkId);

impl Best {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, chunk: ChunkId, score: f32) {
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(Scored(score, chunk)));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && Scored(score, chunk) > worst.0
        {
            *worst = Reverse(Scored(score, chunk));
        }
    }

    /// What a chunk has to exceed.
    pub(super) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.limit => worst.0.0,
            _ => f32::MIN,
        }
    }

    pub(super) fn into_sorted(self) -> Vec<(ChunkId, f32)> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(Scored(score, chunk))| (chunk, score)).collect()
    }
}

impl Eq for Scored {}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::analyse;

    #[test]
    fn the_best_are_kept_in_order() {
        let mut best = Best::new(2);
        for (chunk, score) in [(1, 0.5), (2, 0.9), (3, 0.9), (4, 0.1)] {
            best.offer(chunk, score);
        }
        assert_eq!(best.threshold(), 0.9);
        assert_eq!(best.into_sorted(), [(2, 0.9), (3, 0.9)]);
    }

    #[test]
    fn phrases_keep_gaps_and_numbers() {
        let phrase: Vec<_> = analyse("cores of 2 machines").collect();
        assert!(holds("We share the cores of 2 machines here.", &phrase));
        assert!(holds("cores in 2 machines", &phrase));
        assert!(!holds("cores 2 machines", &phrase));
        assert!(!holds("cores of 3 machines", &phrase));
    }
}
