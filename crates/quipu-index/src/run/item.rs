//! What travels through the pipeline: a file, from its path to its rows.
//!
//! The item is a *document* from end to end, so that it keeps its credit and its acknowledgement all the way.
//! A file whose fate is known early (a failure, something to skip, known content) is *settled* and passes the
//! later stages untouched: so every fate reaches the ledger by the same door, in the same transactions.

use std::path::Path;

use quipu_embed::TokenIds;
use quipu_extract::{ExtractError, Extracted, Format};
use quipu_flow::Weigh;

use crate::chunk::Piece;
use crate::store::{Chunk, Document, Failure, FailureKind, FileRecord, Outcome, Vector};

/// Characters of a failure's message that the ledger keeps.
const MESSAGE_CHARS_MAX: usize = 200;

/// A file on its way into the index.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) modified_ns: i64,
    pub(crate) content_hash: Option<[u8; 32]>,
    /// The content that the ledger has settled for this path: bytes that hash to it need no more work.
    pub(crate) settled_hash: Option<[u8; 32]>,
    pub(crate) content: Content,
}

/// How far an item has come.
#[derive(Debug)]
pub(crate) enum Content {
    Unread,
    Bytes(Vec<u8>, Format),
    Text(Box<Extracted>),
    Chunks(Box<Document>, Vec<Waiting>),
    Settled(Settled),
}

/// What the store is to be told of a file.
#[derive(Debug)]
pub(crate) enum Settled {
    /// Its fate, with its rows if it has any.
    Write(Outcome),
    /// Its bytes are those that the index has; only what stat says of it changed.
    Same,
    /// It went away between the walk and the reading: the next run sees whether it stays away.
    Gone,
}

/// A chunk of the document beside it that needs a vector.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Its place in the document's list of chunks.
    pub(crate) chunk: usize,
    pub(crate) tokens: TokenIds,
}

impl Item {
    pub(crate) fn settle(mut self, outcome: Outcome) -> Self {
        self.content = Content::Settled(Settled::Write(outcome));
        self
    }

    pub(crate) fn skip(self, why: impl Into<String>) -> Self {
        self.settle(Outcome::Skipped(why.into()))
    }

    pub(crate) fn fail(self, kind: FailureKind, message: &str) -> Self {
        self.settle(Outcome::Failed(Failure { kind, message: brief(message) }))
    }

    /// Ends the item with what extraction said: left out where there is nothing to read, failed otherwise.
    pub(crate) fn not_extracted(self, error: ExtractError) -> Self {
        let kind = match &error {
            ExtractError::Unsupported(format) => return self.not_read(format),
            ExtractError::Empty(_) => return self.skip("no text in it"),
            ExtractError::Parse { .. } => FailureKind::Parse,
            ExtractError::Panicked { .. } => FailureKind::Panic,
            ExtractError::TooLarge { .. } => FailureKind::TooLarge,
            ExtractError::Encrypted(_) => FailureKind::Encrypted,
            ExtractError::Timeout(_) => FailureKind::Timeout,
            ExtractError::Memory { .. } => FailureKind::Memory,
            ExtractError::Crashed { .. } => FailureKind::Crashed,
            ExtractError::Io { .. } => FailureKind::Io,
            _ => FailureKind::Other,
        };
        self.fail(kind, &with_causes(&error))
    }

    /// Ends an item whose bytes are of a kind without a reader: left out, unless its name says that it is a
    /// document, which then must be a broken one.
    fn not_read(self, format: &Format) -> Self {
        let extension =
            Path::new(&self.path).extension().and_then(|extension| extension.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            name @ ("pdf" | "docx") => {
                self.fail(FailureKind::Parse, &format!("it is named .{name}, but its bytes are not"))
            }
            _ => self.skip(format!("no reader for {format}")),
        }
    }

    /// Ends an item of which extraction left nothing to index.
    pub(crate) fn without_text(self, extracted: &Extracted) -> Self {
        if extracted.format == Format::Pdf && extracted.pages.is_empty() {
            return self.fail(FailureKind::Parse, "reading pdf: it has no pages");
        }
        self.skip("no text in it")
    }

    /// Bytes that reading the item will bring: none for one that is settled.
    pub(crate) fn bytes_to_read(&self) -> usize {
        match self.content {
            Content::Unread => usize::try_from(self.size).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// The document that `extracted` and its `pieces` make, and the chunks of it that need a vector: all.
    pub(crate) fn chunked(mut self, extracted: Extracted, pieces: Vec<Piece>) -> Self {
        let mut waiting = Vec::with_capacity(pieces.len());
        let mut chunks = Vec::with_capacity(pieces.len());
        for (chunk, piece) in pieces.into_iter().enumerate() {
            waiting.push(Waiting { chunk, tokens: piece.tokens });
            chunks.push(Chunk {
                text: extracted.text[piece.range.clone()].to_owned(),
                range: piece.range.start as u64..piece.range.end as u64,
                lines: piece.lines,
                page: piece.page,
                heading: piece.heading,
                hash: piece.hash,
                vector: None,
            });
        }
        let document = Document {
            mime: extracted.format.mime().to_owned(),
            format: extracted.format.name().to_owned(),
            pages: u32::try_from(extracted.pages.len()).ok().filter(|&pages| pages > 0),
            title: extracted.title,
            author: extracted.author,
            language: extracted.language,
            metadata: extracted.metadata,
            chunks,
        };
        self.content = Content::Chunks(Box::new(document), waiting);
        self
    }

    /// What the store is to be told of this item.
    pub(crate) fn for_store(self) -> ForStore {
        let outcome = match self.content {
            Content::Settled(Settled::Write(outcome)) => outcome,
            Content::Chunks(document, _) => Outcome::Indexed(document),
            Content::Settled(Settled::Same) => {
                return ForStore::Stat(self.path, self.size, self.modified_ns);
            }
            Content::Settled(Settled::Gone) => return ForStore::Nothing,
            Content::Unread | Content::Bytes(..) | Content::Text(_) => {
                let message = "the pipeline left it unfinished".to_owned();
                Outcome::Failed(Failure { kind: FailureKind::Other, message })
            }
        };
        ForStore::Record(FileRecord {
            path: self.path,
            size: self.size,
            modified_ns: self.modified_ns,
            content_hash: self.content_hash,
            outcome,
        })
    }
}

/// What the store is told of one file.
#[derive(Debug)]
pub(crate) enum ForStore {
    /// All of it.
    Record(FileRecord),
    /// Path, size and modification time: the content is as the store has it.
    Stat(String, u64, i64),
    /// Nothing at all.
    Nothing,
}

/// A message as the ledger keeps it: parsers quote whole files.
pub(crate) fn brief(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// An error and what caused it, on one line; what a wrapper only repeats is said once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}

impl Weigh for Item {
    fn heap_bytes(&self) -> usize {
        self.path.capacity()
            + match &self.content {
                Content::Unread | Content::Settled(Settled::Same | Settled::Gone) => 0,
                Content::Bytes(bytes, _) => bytes.capacity(),
                Content::Text(extracted) => size_of::<Extracted>() + Extracted::heap_bytes(extracted),
                Content::Chunks(document, waiting) => {
                    let tokens: usize =
                        waiting.iter().map(|chunk| chunk.tokens.len() * size_of::<u32>()).sum();
                    document_bytes(document) + waiting.capacity() * size_of::<Waiting>() + tokens
                }
                Content::Settled(Settled::Write(Outcome::Indexed(document))) => document_bytes(document),
                Content::Settled(Settled::Write(outcome)) => match outcome {
                    Outcome::Failed(failure) => failure.message.capacity(),
                    Outcome::Skipped(why) | Outcome::Pending(why) => why.capacity(),
                    Outcome::Indexed(_) => 0,
                },
            }
    }
}

fn document_bytes(document: &Document) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
    let chunks: usize = document
        .chunks
        .iter()
        .map(|chunk| {
            let vector = chunk.vector.as_ref().map_or(0, |vector: &Vector| vector.codes.len());
            chunk.text.capacity() + optional(&chunk.heading) + vector
        })
        .sum();
    let metadata: usize =
        document.metadata.iter().map(|(key, value)| key.capacity() + value.capacity()).sum();
    size_of::<Document>()
        + document.chunks.capacity() * size_of::<Chunk>()
        + chunks
        + metadata
        + optional(&document.title)
        + optional(&document.author)
}
