//! What can go wrong with an index as a whole; what goes wrong with one file ends in the ledger instead.

use std::io;
use std::path::PathBuf;

use quipu_embed::EmbedError;

use crate::endpoint::EndpointError;
use crate::store::StoreError;

/// Why a run, or another dealing with an index, could not be done. What was stored before is intact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model could not.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The server that embeds could not, for any file. What had been written before stays.
    #[error("{0}; what is indexed stays, and `quipu index` goes on from here")]
    Endpoint(EndpointError),
    /// A path to index is not there.
    #[error("cannot index {}", path.display())]
    Root {
        /// The path as it was given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `index` without paths, in an index that remembers none.
    #[error("the index remembers no folder yet: say which, as in `quipu index FOLDER`")]
    NoRoots,
    /// A stage of the pipeline stopped the run.
    #[error("the run stopped in its stage '{stage}': {reason}")]
    Stopped {
        /// The stage.
        stage: String,
        /// What it said.
        reason: String,
    },
    /// The engine could not start.
    #[error("the engine could not run: {0}")]
    Engine(String),
    /// The process is ending.
    #[error("interrupted")]
    Interrupted,
}
