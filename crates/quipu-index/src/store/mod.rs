//! The store: one SQLite file that is the truth (ledger, documents, chunks, forward index, vectors), and
//! beside it a text index that is derived from it and can be rebuilt at any time.
//!
//! ```text
//! Store::write ─► batch ─► ledger · documents · terms · blocks ─► SQLite commit ─► text index commit
//! Reader::snapshot ─► Snapshot ─► candidates (words, vectors), filter, features, hits
//! ```
//!
//! One batch is one transaction with a sequence number; the text index carries the number that it has
//! reached, and `recover` closes any gap. Ranking is the search's matter, not the store's.

mod error;
mod time;
mod types;

mod analyse;
pub mod bitmap;
pub mod vectors;

mod batch;
mod blocks;
mod documents;
mod ledger;
mod lock;
mod recover;
mod schema;
mod sweep;
mod terms;
mod text;
mod writer;

mod candidates;
mod filter;
mod reader;
mod snapshot;
mod verify;

#[cfg(test)]
mod tests;

pub use analyse::{Term, WORD_BYTES_MAX, analyse, is_number, is_stop_word};
pub use bitmap::Bitmap;
pub use error::StoreError;
pub use filter::FilterError;
pub use lock::Owner;
pub use reader::Reader;
pub use snapshot::{FeatureVisitor, Snapshot};
pub use sweep::SeenSet;
pub use types::{
    ATTEMPTS_MAX, Chunk, ChunkId, Configuration, Counts, Document, DocumentId, Failure, FailureKind,
    FileRecord, HitRow, LedgerEntry, Outcome, State, Statistics, TermId, TermVector,
};
pub use vectors::Vector;
pub use verify::{Discrepancy, Verified};
pub use writer::Store;
