//! A query made ready against one snapshot: its terms looked up, its filter and its phrases turned into
//! one set of chunks. From here on nothing is parsed.

use std::collections::BTreeMap;

use super::error::SearchError;
use super::query::{LIMIT_MAX, Mode, Query, parse};
use super::rank::{WeightedTerm, idf};
use crate::store::{Bitmap, Snapshot, Statistics, Term, analyse};

/// What the ranking works with.
pub(super) struct Question<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) statistics: Statistics,
    /// The terms asked and how often each: repeated ones add up.
    pub(super) asked: Vec<(String, f32)>,
    /// Those of them that the index knows, ascending.
    pub(super) terms: Vec<WeightedTerm>,
    /// The query's vector, where the mode needs one.
    pub(super) vector: Option<&'a [f32]>,
    /// The chunks that may be found; `None` for all.
    pub(super) allowed: Option<Bitmap>,
    /// Somebody who quotes knows the words: no feedback adds others.
    pub(super) has_phrases: bool,
}

impl<'a> Question<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        dimensions: usize,
        vector: Option<&'a [f32]>,
        query: &Query,
    ) -> Result<Self, SearchError> {
        let parsed = parse(&query.text);
        check(query, &parsed.words, dimensions, vector)?;
        let statistics = snapshot.statistics();
        let asked = count(&parsed.words);
        let terms = look_up(snapshot, &statistics, &asked)?;
        let allowed = allowed(snapshot, query.filter.as_deref(), &parsed.phrases)?;
        let vector = if query.mode == Mode::Text { None } else { vector };
        Ok(Self {
            snapshot,
            statistics,
            asked,
            terms,
            vector,
            allowed,
            has_phrases: !parsed.phrases.is_empty(),
        })
    }

    /// The terms asked, as the store takes them.
    pub(super) fn asked(&self) -> Vec<(&str, f32)> {
        self.asked.iter().map(|(term, count)| (term.as_str(), *count)).collect()
    }
}

fn check(query: &Query, words: &str, dimensions: usize, vector: Option<&[f32]>) -> Result<(), SearchError> {
    if words.is_empty() {
        return Err(SearchError::Empty);
    }
    if query.limit == 0 || query.limit > LIMIT_MAX {
        return Err(SearchError::Limit { asked: query.limit, most: LIMIT_MAX });
    }
    match vector {
        _ if query.mode == Mode::Text => Ok(()),
        None => Err(SearchError::NoEmbedder),
        Some(vector) if vector.len() == dimensions => Ok(()),
        Some(vector) => Err(SearchError::Dimensions { expected: dimensions, found: vector.len() }),
    }
}

fn count(words: &str) -> Vec<(String, f32)> {
    let mut counts: BTreeMap<String, f32> = BTreeMap::new();
    for term in analyse(words) {
        *counts.entry(term.text.into_owned()).or_default() += 1.0;
    }
    counts.into_iter().collect()
}

fn look_up(
    snapshot: &Snapshot,
    statistics: &Statistics,
    asked: &[(String, f32)],
) -> Result<Vec<WeightedTerm>, SearchError> {
    let names: Vec<&str> = asked.iter().map(|(term, _)| term.as_str()).collect();
    let known = snapshot.term_ids(&names)?;
    let weighted = known.into_iter().zip(asked).filter_map(|(known, (_, count))| {
        let (id, frequency) = known?;
        Some(WeightedTerm { id, weight: f64::from(*count), idf: idf(statistics.chunks, frequency) })
    });
    let mut terms: Vec<WeightedTerm> = weighted.collect();
    terms.sort_by_key(|term| term.id);
    Ok(terms)
}

/// The filter and every phrase must hold. Decided before anything is ranked, so that a narrow filter finds
/// what it leaves however badly that ranks among all.
fn allowed(
    snapshot: &Snapshot,
    filter: Option<&str>,
    phrases: &[String],
) -> Result<Option<Bitmap>, SearchError> {
    let mut allowed = filter.map(|filter| snapshot.filter(filter)).transpose()?;
    for phrase in phrases {
        let terms: Vec<Term<'_>> = analyse(phrase).collect();
        let with_phrase = snapshot.phrase(&terms)?;
        match &mut allowed {
            Some(allowed) => allowed.intersect_with(&with_phrase),
            None => allowed = Some(with_phrase),
        }
    }
    Ok(allowed)
}
