//! The store: one SQLite file that is the truth (ledger, documents, chunks, forward index, vectors), and
//! beside it a text index that is derived from it and can be rebuilt at any time.

pub mod bitmap;
pub mod vectors;

mod analyse;
mod error;
mod lock;
mod time;
mod types;

pub use analyse::{Term, WORD_BYTES_MAX, analyse, is_number, is_stop_word};
pub use bitmap::Bitmap;
pub use error::StoreError;
pub use lock::Owner;
pub use types::{
    ATTEMPTS_MAX, Chunk, ChunkId, Configuration, Counts, Document, DocumentId, Failure,
    FailureKind, FileRecord, HitRow, LedgerEntry, Outcome, State, Statistics, TermId, TermVector,
};
pub use vectors::Vector;
