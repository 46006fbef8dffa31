//! [`Snapshot`]: one consistent version of rows, vectors and text index, and every question that a search
//! asks of it. It finds candidates and reads features; how these become a ranking is the search's matter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::OptionalExtension;
use tantivy::Searcher;

use super::candidates::{self, Best, Known, WeightedTerm};
use super::error::Doing;
use super::reader::{Lease, Step};
use super::schema::{Meta, count};
use super::vectors::{self, VectorQuery};
use super::{
    Bitmap, ChunkId, DocumentId, FilterError, HitRow, Statistics, StoreError, Term, TermId, TermVector,
    Vector, documents, filter, terms,
};

/// Gets a chunk, its terms, and the bytes of its vector if it has one.
pub type FeatureVisitor<'a> = dyn FnMut(ChunkId, &TermVector, Option<&[u8]>) + 'a;

/// One version of an index. It can be shared between threads, which then take turns with its one
/// connection.
pub struct Snapshot {
    lease: Mutex<Lease>,
    meta: Meta,
    searcher: Option<Searcher>,
    step: Step,
}

impl Snapshot {
    pub(super) fn new(lease: Lease, meta: Meta, searcher: Option<Searcher>, step: Step) -> Self {
        Self { lease: Mutex::new(lease), meta, searcher, step }
    }

    /// The number of the batch that this version ends with.
    pub fn sequence(&self) -> u64 {
        self.meta.sequence
    }

    /// What BM25 needs to know of the whole index.
    pub fn statistics(&self) -> Statistics {
        let average_length = match (self.meta.words, self.meta.chunks) {
            (0, _) | (_, 0) => 1.0,
            (words, chunks) => words as f64 / chunks as f64,
        };
        Statistics { chunks: self.meta.chunks, average_length, documents: self.meta.documents }
    }

    /// The chunks of this version.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn live(&self) -> Result<Arc<Bitmap>, StoreError> {
        let lease = self.lease();
        lease.shared().live(&lease, self.meta.sequence)
    }

    /// A term's number and in how many chunks it is. `text` is what [`analyse`](super::analyse()) made.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn term(&self, text: &str) -> Result<Option<(TermId, u64)>, StoreError> {
        terms::find(&self.lease(), text)
    }

    /// [`Snapshot::term`] for many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn term_ids(&self, texts: &[&str]) -> Result<Vec<Option<(TermId, u64)>>, StoreError> {
        let lease = self.lease();
        texts.iter().map(|text| terms::find(&lease, text)).collect()
    }

    /// In how many chunks each term is; 0 for one that there is not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn document_frequencies(&self, ids: &[TermId]) -> Result<Vec<u64>, StoreError> {
        let lease = self.lease();
        let doing = "looking terms up";
        let mut statement = lease.prepare_cached("SELECT df FROM term WHERE id = ?1").doing(doing)?;
        ids.iter()
            .map(|id| {
                let df = statement.query_row([id.0], |row| row.get(0)).optional().doing(doing)?;
                Ok(df.map_or(0, count))
            })
            .collect()
    }

    /// What each term reads.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn term_texts(&self, ids: &[TermId]) -> Result<Vec<Option<String>>, StoreError> {
        let lease = self.lease();
        let doing = "looking terms up";
        let mut statement = lease.prepare_cached("SELECT text FROM term WHERE id = ?1").doing(doing)?;
        ids.iter().map(|id| statement.query_row([id.0], |row| row.get(0)).optional().doing(doing)).collect()
    }

    /// The best chunks for a disjunction of weighted terms, best first; only those in `filter`, if there
    /// is one. A term that comes twice counts with the sum of its weights; numbers are told by themselves.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Text`].
    pub fn text_candidates(
        &self,
        terms: &[(&str, f32)],
        filter: Option<&Bitmap>,
        limit: usize,
    ) -> Result<Vec<(ChunkId, f32)>, StoreError> {
        let terms = self.weighted(terms)?;
        let known = Known { chunks: self.meta.chunks, words: self.meta.words, terms: &terms };
        let mut best = Best::new(limit);
        let searched = |allowed: Option<&Bitmap>, best: &mut Best| {
            candidates::search(self.searcher()?, &known, allowed, best).doing("searching the text index")
        };
        if self.step == Step::Same {
            searched(filter, &mut best)?;
            return Ok(best.into_sorted());
        }
        // Of what another version of the text index finds only this version's chunks count.
        let allowed = self.live_and(filter)?;
        searched(Some(&allowed), &mut best)?;
        let added = self.added().filter(|chunk| allowed.contains(*chunk)).collect::<Vec<_>>();
        self.features(&added, &mut |chunk, terms, _| {
            let score = candidates::score(&known, terms);
            if score > 0.0 {
                best.offer(chunk, score);
            }
        })?;
        Ok(best.into_sorted())
    }

    /// All chunks in which these terms, made by [`analyse`](super::analyse()) from a quoted text, stand at
    /// the same distances from one another. A phrase without terms is in every chunk.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Text`].
    pub fn phrase(&self, phrase: &[Term<'_>]) -> Result<Bitmap, StoreError> {
        let doing = "searching the text index for a phrase";
        let Some(mut found) = candidates::phrase(self.searcher()?, phrase).doing(doing)? else {
            return Ok(self.live()?.as_ref().clone());
        };
        if phrase.len() > 1 && phrase.iter().any(|term| term.is_number) {
            self.keep_holders(&mut found, phrase)?;
        }
        if self.step != Step::Same {
            let mut added: Bitmap = self.added().collect();
            self.keep_holders(&mut added, phrase)?;
            found.union_with(&added);
            found.intersect_with(self.live()?.as_ref());
        }
        Ok(found)
    }

    /// The chunks whose vectors look nearest to the query by their 1-bit codes, best first, with estimated
    /// cosines. Rescore them with [`Snapshot::features`] or [`Snapshot::vector_of`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub fn vector_candidates(
        &self,
        query: &[f32],
        filter: Option<&Bitmap>,
        limit: usize,
    ) -> Result<Vec<(ChunkId, f32)>, StoreError> {
        let allowed = self.live_and(filter)?;
        let query = VectorQuery::new(query);
        let lease = self.lease();
        let mut best = Best::new(limit);
        lease.shared().blocks.visit(&lease, self.meta.configuration.dimensions, &mut |blocks| {
            let blocks = blocks.iter().map(|(number, block)| (*number, block.as_ref()));
            for candidate in vectors::scan(blocks, &query, Some(&allowed), limit) {
                best.offer(candidate.chunk, candidate.score);
            }
        })?;
        Ok(best.into_sorted())
    }

    /// The chunks whose int8 vectors are nearest to the query, best first: the oracle, which reads every
    /// vector.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn exact_vectors(
        &self,
        query: &[f32],
        filter: Option<&Bitmap>,
        limit: usize,
    ) -> Result<Vec<(ChunkId, f32)>, StoreError> {
        let doing = "reading vectors";
        let lease = self.lease();
        let mut best = Best::new(limit);
        let mut statement = lease
            .prepare_cached("SELECT chunk, vector FROM feature WHERE vector IS NOT NULL")
            .doing(doing)?;
        let mut rows = statement.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let chunk: ChunkId = row.get(0).doing(doing)?;
            let bytes = row.get_ref(1).doing(doing)?.as_blob().unwrap_or_default();
            if filter.is_none_or(|filter| filter.contains(chunk))
                && let Some(score) = Vector::dot_bytes(bytes, query)
            {
                best.offer(chunk, score);
            }
        }
        Ok(best.into_sorted())
    }

    /// The chunks that a `--where` expression leaves.
    ///
    /// # Errors
    /// [`FilterError`], which points into the expression.
    pub fn filter(&self, expression: &str) -> Result<Bitmap, FilterError> {
        filter::evaluate(&mut self.lease(), expression)
    }

    /// Terms and vector of many chunks, for exact scores: `visit` gets each chunk that there is, its terms,
    /// and its vector as bytes for [`Vector::dot_bytes`]. Fastest in ascending order.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Damaged`].
    pub fn features(&self, chunks: &[ChunkId], visit: &mut FeatureVisitor<'_>) -> Result<(), StoreError> {
        let doing = "reading features";
        let lease = self.lease();
        let mut statement = lease
            .prepare_cached("SELECT length, terms, vector FROM feature WHERE chunk = ?1")
            .doing(doing)?;
        let mut vector = TermVector::default();
        for chunk in chunks {
            let mut rows = statement.query([chunk]).doing(doing)?;
            let Some(row) = rows.next().doing(doing)? else { continue };
            vector.length = row.get(0).doing(doing)?;
            let terms = row.get_ref(1).doing(doing)?.as_blob().unwrap_or_default();
            terms::decode(terms, &mut vector.terms)?;
            let codes = row.get_ref(2).doing(doing)?.as_blob_or_null().unwrap_or_default();
            visit(*chunk, &vector, codes);
        }
        Ok(())
    }

    /// A chunk's terms.
    ///
    /// # Errors
    /// As [`Snapshot::features`].
    pub fn terms_of(&self, chunk: ChunkId) -> Result<Option<TermVector>, StoreError> {
        let mut found = None;
        self.features(&[chunk], &mut |_, terms, _| found = Some(terms.clone()))?;
        Ok(found)
    }

    /// A chunk's vector.
    ///
    /// # Errors
    /// As [`Snapshot::features`].
    pub fn vector_of(&self, chunk: ChunkId) -> Result<Option<Vector>, StoreError> {
        let mut found = None;
        self.features(&[chunk], &mut |_, _, bytes| found = bytes.and_then(Vector::from_bytes))?;
        Ok(found)
    }

    /// A chunk's document.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn document_of(&self, chunk: ChunkId) -> Result<Option<DocumentId>, StoreError> {
        self.lease()
            .prepare_cached("SELECT document FROM chunk WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([chunk], |row| row.get(0)).optional())
            .doing("looking a document up")
    }

    /// A chunk's path and where in the document's text it starts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn place_of(&self, chunk: ChunkId) -> Result<Option<(String, u64)>, StoreError> {
        self.lease()
            .prepare_cached(
                "SELECT path, range_start FROM chunk JOIN file ON file.id = chunk.document
                 WHERE chunk.id = ?1",
            )
            .and_then(|mut statement| {
                statement.query_row([chunk], |row| Ok((row.get(0)?, count(row.get(1)?)))).optional()
            })
            .doing("looking a place up")
    }

    /// Everything that is shown of a hit.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn hit(&self, chunk: ChunkId) -> Result<Option<HitRow>, StoreError> {
        documents::hit(&self.lease(), chunk)
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(super) fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn searcher(&self) -> Result<&Searcher, StoreError> {
        self.searcher.as_ref().ok_or_else(|| StoreError::Damaged {
            what: "the text index cannot be read (the next `quipu index` makes it anew)".into(),
        })
    }

    pub(super) fn is_in_step(&self) -> bool {
        self.step == Step::Same
    }

    /// Sums the weights of equal terms and leaves out those that the index does not know.
    fn weighted(&self, terms: &[(&str, f32)]) -> Result<Vec<WeightedTerm>, StoreError> {
        let lease = self.lease();
        let mut place: HashMap<&str, usize> = HashMap::new();
        let mut weighted: Vec<WeightedTerm> = Vec::new();
        for (text, weight) in terms {
            if let Some(index) = place.get(text) {
                weighted[*index].weight += weight;
            } else if let Some((id, document_frequency)) = terms::find(&lease, text)? {
                place.insert(text, weighted.len());
                let (text, weight) = ((*text).into(), *weight);
                weighted.push(WeightedTerm { id, text, weight, document_frequency });
            }
        }
        Ok(weighted)
    }

    /// The chunks that the text index does not know yet.
    fn added(&self) -> impl Iterator<Item = ChunkId> {
        let ranges = match &self.step {
            Step::Behind(ranges) => ranges.as_slice(),
            Step::Same | Step::Unknown => &[],
        };
        ranges.iter().cloned().flatten()
    }

    fn live_and(&self, filter: Option<&Bitmap>) -> Result<Bitmap, StoreError> {
        let live = self.live()?;
        let mut allowed = live.as_ref().clone();
        if let Some(filter) = filter {
            allowed.intersect_with(filter);
        }
        Ok(allowed)
    }

    /// Keeps the chunks whose text holds the phrase, body and title each on their own.
    fn keep_holders(&self, found: &mut Bitmap, phrase: &[Term<'_>]) -> Result<(), StoreError> {
        let doing = "looking for a phrase";
        let lease = self.lease();
        let mut statement = lease
            .prepare_cached(
                "SELECT text, title FROM chunk JOIN document ON document.id = chunk.document
                 WHERE chunk.id = ?1",
            )
            .doing(doing)?;
        for chunk in found.clone().iter() {
            let holds = statement
                .query_row([chunk], |row| {
                    let title = row.get_ref(1)?.as_str_or_null()?.unwrap_or_default();
                    let text = row.get_ref(0)?.as_str()?;
                    Ok(candidates::holds(text, phrase) || candidates::holds(title, phrase))
                })
                .optional()
                .doing(doing)?;
            if holds != Some(true) {
                found.clear(chunk);
            }
        }
        Ok(())
    }
}
