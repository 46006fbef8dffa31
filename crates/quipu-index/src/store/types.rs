//! The nouns of the store: what goes in (`FileRecord`, `Document`, `Chunk`), what the ledger answers
//! (`LedgerEntry`) and what a search gets back (`HitRow`, `TermVector`). Plain data, no SQL.

use std::collections::BTreeMap;
use std::ops::Range;

use super::vectors::Vector;

/// A chunk's number: dense, ascending, never reused, so that a document's chunks are one range and a
/// [`Bitmap`](super::Bitmap) or a vector block can be indexed by it.
pub type ChunkId = u32;

/// A document's number; it stays the same while its path stays in the index.
pub type DocumentId = i64;

/// How often a transient failure is tried before it counts as settled.
pub const ATTEMPTS_MAX: u32 = 3;

/// A term's number. Purely numeric terms carry a bit of their own, so that nobody has to read the
/// term's text to leave numbers out (they do not count in a length and never expand a query).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermId(pub u32);

impl TermId {
    pub(super) const NUMBER_BIT: u32 = 1 << 31;

    /// Whether the term is purely numeric.
    pub fn is_number(self) -> bool {
        self.0 & Self::NUMBER_BIT != 0
    }
}

/// What an index was made with. Two indexes with different configurations hold different vectors, so
/// a mismatch is refused ([`StoreError::Configuration`](super::StoreError::Configuration)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The embedding model's name, for people.
    pub model: String,
    /// The vectors' length.
    pub dimensions: usize,
    /// A hash over model, chunker and extractor versions.
    pub hash: [u8; 32],
}

/// One path and what became of it: the unit of [`Store::write`](super::Store::write).
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// The ledger's key: an absolute path with `/` between its parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970 (UTC).
    pub modified_ns: i64,
    /// BLAKE3 of the bytes, where they could be read.
    pub content_hash: Option<[u8; 32]>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a file. What it does to rows of an earlier version of the file:
/// `Indexed` replaces them, `Skipped` and a lasting failure remove them (the file as it is now has no
/// text), `Pending` and a transient failure leave them searchable.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its text is in; the ledger says `indexed`, or `pending(vectors)` while a chunk lacks its vector.
    Indexed(Box<Document>),
    /// It could not be read or parsed.
    Failed(Failure),
    /// It was left out on purpose, and why.
    Skipped(String),
    /// It was seen and waits, and for what.
    Pending(String),
}

/// A failure with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// The reason, for people.
    pub message: String,
}

/// What sort of failure a file ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Extraction took too long.
    Timeout,
    /// Extraction took too much memory.
    Memory,
    /// The worker process died.
    Crashed,
    /// Reading failed.
    Io,
    /// The bytes are not what they claim to be.
    Parse,
    /// Our own code panicked on it.
    Panic,
    /// Above a limit that only shows while extracting.
    TooLarge,
    /// A password is needed.
    Encrypted,
    /// The text could not be embedded.
    Embed,
    /// The server that embeds did not embed the text.
    Endpoint,
    /// A kind that a newer version wrote.
    Other,
}

impl FailureKind {
    const ALL: [(FailureKind, &'static str); 11] = [
        (FailureKind::Timeout, "timeout"),
        (FailureKind::Memory, "memory"),
        (FailureKind::Crashed, "crashed"),
        (FailureKind::Io, "io"),
        (FailureKind::Parse, "parse"),
        (FailureKind::Panic, "panic"),
        (FailureKind::TooLarge, "too large"),
        (FailureKind::Encrypted, "encrypted"),
        (FailureKind::Embed, "embed"),
        (FailureKind::Endpoint, "endpoint"),
        (FailureKind::Other, "other"),
    ];

    /// Whether the same bytes may well succeed next time.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Memory | Self::Crashed | Self::Io | Self::Endpoint)
    }

    /// The word that the ledger and reports use.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("other", |(_, name)| name)
    }

    pub(super) fn from_name(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Other, |(kind, _)| *kind)
    }
}

/// What extraction, chunking and embedding made of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// Counts once more in every chunk's words.
    pub title: Option<String>,
    /// As the file names it.
    pub author: Option<String>,
    /// As the file names it.
    pub language: Option<String>,
    /// Media type.
    pub mime: String,
    /// Short name of the format: `pdf`, `markdown`, `code`, …
    pub format: String,
    /// How many pages, if the format has pages.
    pub pages: Option<u32>,
    /// Anything else that the file says of itself.
    pub metadata: BTreeMap<String, String>,
    /// In the order of the text.
    pub chunks: Vec<Chunk>,
}

/// One piece of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// What is searched and shown.
    pub text: String,
    /// Bytes of the document's extracted text.
    pub range: Range<u64>,
    /// First and last line in the file, from 1, where the text is the file.
    pub lines: Option<(u32, u32)>,
    /// From 1.
    pub page: Option<u32>,
    /// `"A > B"`.
    pub heading: Option<String>,
    /// BLAKE3 of what is embedded: the key of known vectors.
    pub hash: [u8; 32],
    /// `None`: not embedded yet. Found by words, not by meaning.
    pub vector: Option<Vector>,
}

/// The one state that each path is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Rows and vectors are durable.
    Indexed,
    /// See the entry's kind and message.
    Failed,
    /// See the entry's message.
    Skipped,
    /// See the entry's message; `vectors` means that its text is in.
    Pending,
}

impl State {
    const ALL: [(State, &'static str); 4] = [
        (State::Indexed, "indexed"),
        (State::Failed, "failed"),
        (State::Skipped, "skipped"),
        (State::Pending, "pending"),
    ];

    /// The word that the ledger and `--where` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Pending => "pending",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

/// What the ledger knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The ledger's key.
    pub path: String,
    /// Exactly one.
    pub state: State,
    /// Of a failure.
    pub kind: Option<FailureKind>,
    /// The reason, where there is one to give.
    pub message: Option<String>,
    /// Failed attempts at this version of the file.
    pub attempts: u32,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970 (UTC).
    pub modified_ns: i64,
    /// BLAKE3 of the bytes, where they were read.
    pub content_hash: Option<[u8; 32]>,
    /// The index's configuration when the entry was written.
    pub configuration_hash: [u8; 32],
}

impl LedgerEntry {
    /// Whether a run has something to do for this path, given what stat says of it now: the file or
    /// the configuration changed, it waits, or a transient failure has attempts left.
    pub fn is_due(&self, size: u64, modified_ns: i64, configuration_hash: &[u8; 32]) -> bool {
        let same = self.size == size
            && self.modified_ns == modified_ns
            && self.configuration_hash == *configuration_hash;
        !same
            || match self.state {
                State::Indexed | State::Skipped => false,
                State::Pending => true,
                State::Failed => self.may_succeed(),
            }
    }

    /// Whether a failed file is tried again although nothing changed.
    fn may_succeed(&self) -> bool {
        self.kind.is_some_and(FailureKind::is_transient) && self.attempts < ATTEMPTS_MAX
    }
}

/// Paths per state, and what is stored for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Paths whose rows and vectors are in.
    pub indexed: u64,
    /// Paths that ended with a failure.
    pub failed: u64,
    /// Paths left out on purpose.
    pub skipped: u64,
    /// Paths that wait.
    pub pending: u64,
    /// Documents with rows.
    pub documents: u64,
    /// Chunks with rows.
    pub chunks: u64,
    /// Chunks that have their vector.
    pub vectors: u64,
}

/// What BM25 needs to know of the whole index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// N.
    pub chunks: u64,
    /// Words (no numbers, no stop words) per chunk, its document's title included; 1 for an empty index.
    pub average_length: f64,
    /// Documents with rows.
    pub documents: u64,
}

/// The terms of one chunk and how often each occurs: the forward index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TermVector {
    /// Ascending by term.
    pub terms: Vec<(TermId, u32)>,
    /// Words that count, numbers left out.
    pub length: u32,
}

/// Everything that is shown of a hit.
#[derive(Debug, Clone, PartialEq)]
pub struct HitRow {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its document.
    pub document: DocumentId,
    /// Where the document lies.
    pub path: String,
    /// Bytes of the file.
    pub size: u64,
    /// Nanoseconds since 1970 (UTC).
    pub modified_ns: i64,
    /// As the file names it.
    pub title: Option<String>,
    /// As the file names it.
    pub author: Option<String>,
    /// As the file names it.
    pub language: Option<String>,
    /// Media type.
    pub mime: String,
    /// Short name of the format.
    pub format: String,
    /// How many pages, if the format has pages.
    pub pages: Option<u32>,
    /// Anything else that the file says of itself.
    pub metadata: BTreeMap<String, String>,
    /// The chunk's text.
    pub text: String,
    /// Bytes of the document's extracted text.
    pub range: Range<u64>,
    /// First and last line in the file, from 1.
    pub lines: Option<(u32, u32)>,
    /// From 1.
    pub page: Option<u32>,
    /// `"A > B"`.
    pub heading: Option<String>,
}
