//! What can go wrong with a store, each with what a person can do about it. A broken `--where` has an
//! error of its own, [`FilterError`](super::FilterError), because it points into the query.

use std::io;
use std::path::PathBuf;

use super::lock::Owner;

/// Why the store could not do what it was asked. Whatever the error, what was stored before is intact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is nothing at that place.
    #[error("there is no index at {}", folder.display())]
    NotFound {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// There is something else at that place.
    #[error("{} is not a quipu index", path.display())]
    NotAnIndex {
        /// The file in question.
        path: PathBuf,
    },
    /// The index was written by a newer program.
    #[error("the index has schema version {found}, this program knows up to {known}: use a newer quipu")]
    Newer {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// The index was made with another model, chunker or extractor.
    #[error(
        "the index was made with {stored}, this run uses {wanted}: use the same again, or make the index anew with `--rebuild`"
    )]
    Configuration {
        /// What made the index.
        stored: String,
        /// What was asked for.
        wanted: String,
    },
    /// The run that this write belonged to has ended.
    #[error("the index is no longer being written: its run has ended")]
    Closed,
    /// Somebody else is writing.
    #[error("the index at {} is being written by {owner}", folder.display())]
    Locked {
        /// The index.
        folder: PathBuf,
        /// Who holds the lock.
        owner: Owner,
    },
    /// No space left, for rows or for the text index.
    #[error("the disk is full while {doing}; everything indexed before is intact: make room and run again")]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite said no.
    #[error("the database failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The text index said no. It is derived: it is brought forward or rebuilt by the next writer.
    #[error("the text index failed while {doing}")]
    Text {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<tantivy::TantivyError>,
    },
    /// The file system said no.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Rows do not hold together; `quipu verify` says more.
    #[error("the index is damaged: {what}; `quipu verify` says more, `--rebuild` makes it anew")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// A record that cannot be stored as it is: a mistake of the caller.
    #[error("cannot store {path}: {what}")]
    Record {
        /// Of the record.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A named limit was reached.
    #[error("{what}")]
    Limit {
        /// Which, and what to do.
        what: String,
    },
}

/// Says what was being done when a cause struck: the one way from causes to [`StoreError`].
pub(super) trait Doing<T> {
    /// Wraps the error.
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::DiskFull { doing, source: Box::new(source) },
            _ => StoreError::Database { doing, source },
        })
    }
}

impl<T> Doing<T> for Result<T, tantivy::TantivyError> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| {
            if is_full(&source) {
                StoreError::DiskFull { doing, source: Box::new(source) }
            } else {
                StoreError::Text { doing, source: Box::new(source) }
            }
        })
    }
}

/// Whether a full disk lies at the bottom of the chain of causes.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.kind() == io::ErrorKind::StorageFull;
        }
        next = error.source();
    }
    false
}
