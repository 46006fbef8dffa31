//! Questions to an index: words, meaning and metadata together.
//!
//! ```text
//! Query ─► question ─► candidates ─► ranking (rank, feedback) ─► documents ─► hits (snippet)
//!          filter and   the best of   S₁, S₂: the formulas       the best      text, place,
//!          phrases to   each list     are in rank.rs alone       chunk of      marks
//!          one bitmap                                            each
//! ```
//!
//! A query reads one snapshot of the store and changes nothing, so any number can run at once beside a
//! writer. What exists in the store is the store's matter; what is shown on a terminal the program's.

mod candidates;
mod documents;
mod error;
mod feedback;
mod hits;
mod query;
mod question;
mod rank;
mod ranking;
mod snippet;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use quipu_embed::{EmbedError, Embedder};

pub use error::SearchError;
pub use hits::{Hit, Results};
pub use query::{LIMIT_MAX, Mode, Query, Rank};
pub use snippet::Snippet;

use crate::endpoint::Endpoint;
use crate::store::Reader;
use question::Question;

/// Answers `query`. The embedder makes the query's vector; [`Mode::Text`] needs none.
///
/// # Errors
/// [`SearchError`]: a broken filter, an empty query, a model that is missing or not the index's, a store that
/// cannot be read.
pub fn search(
    reader: &Reader,
    embedder: Option<&dyn Embedder>,
    query: &Query,
) -> Result<Results, SearchError> {
    if query.mode == Mode::Text {
        return search_with_vector(reader, None, query);
    }
    let start = Instant::now();
    let vector = embed_query(embedder.ok_or(SearchError::NoEmbedder)?, &query.text)?;
    let embedding_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Results { embedding_ms, ..search_with_vector(reader, Some(&vector), query)? })
}

/// [`search`] where a server makes the query's vector. It waits for that, and is not for async code.
///
/// # Errors
/// As [`search`], and what the endpoint reports.
pub fn search_by_endpoint(
    reader: &Reader,
    endpoint: &Arc<Endpoint>,
    query: &Query,
) -> Result<Results, SearchError> {
    if query.mode == Mode::Text {
        return search_with_vector(reader, None, query);
    }
    if words(&query.text).is_empty() {
        return Err(SearchError::Empty);
    }
    let start = Instant::now();
    let vector = endpoint.embed_query(&query.text)?;
    let embedding_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Results { embedding_ms, ..search_with_vector(reader, Some(&vector), query)? })
}

/// [`search`] with a query's vector made elsewhere, for instance by [`embed_query`].
///
/// # Errors
/// As [`search`].
pub fn search_with_vector(
    reader: &Reader,
    vector: Option<&[f32]>,
    query: &Query,
) -> Result<Results, SearchError> {
    let start = Instant::now();
    let snapshot = reader.snapshot()?;
    let question = Question::new(&snapshot, reader.configuration()?.dimensions, vector, query)?;
    let found = documents::find(&question, query)?;
    let hits = hits::show(&question, &found)?;
    Ok(Results { hits, took_ms: start.elapsed().as_secs_f64() * 1e3, embedding_ms: 0.0 })
}

/// The vector of a query's text, quotation marks left out, as the model wants a query.
///
/// # Errors
/// What the embedder reports.
pub fn embed_query(embedder: &dyn Embedder, text: &str) -> Result<Vec<f32>, EmbedError> {
    let info = embedder.info();
    let words = format!("{}{}", info.prompts.query, words(text));
    let mut vector = vec![0.0; info.dimensions];
    embedder.embed_into(&[embedder.tokenizer().encode(&words)], &mut vector)?;
    Ok(vector)
}

/// The words of a query's text: all of it but quotation marks.
pub(crate) fn words(text: &str) -> String {
    query::parse(text).words
}
