//! Why a search could not answer.

use quipu_embed::EmbedError;

use crate::endpoint::EndpointError;
use crate::store::{FilterError, StoreError};

/// What went wrong with a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Nothing was asked.
    #[error("the query is empty")]
    Empty,
    /// More documents than [`super::LIMIT_MAX`], or none.
    #[error("a limit of {asked} documents is outside 1 to {most}")]
    Limit {
        /// What was asked for.
        asked: usize,
        /// What is possible.
        most: usize,
    },
    /// The mode needs the query's vector and there is no model to make it.
    #[error("searching by meaning needs the model that made the index; `--mode text` does without")]
    NoEmbedder,
    /// The query's vector is of another model than the index's.
    #[error("the query has {found} dimensions, the index {expected}: it was made with another model")]
    Dimensions {
        /// The index's.
        expected: usize,
        /// The query's.
        found: usize,
    },
    /// The condition on the metadata cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The store failed.
    #[error("searching the index")]
    Store(#[from] StoreError),
    /// The query could not be embedded.
    #[error("embedding the query")]
    Embed(#[from] EmbedError),
    /// The server that embeds did not embed the query.
    #[error("embedding the query")]
    Endpoint(#[from] EndpointError),
}
