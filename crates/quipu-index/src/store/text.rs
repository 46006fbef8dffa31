//! The text index: an inverted index with positions, kept by tantivy in a folder of its own. It is derived:
//! `recover` brings it forward or makes it anew from rows, so nothing here is precious. This file
//! writes; `candidates` searches.

use std::fs;
use std::path::{Path, PathBuf};

use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, NumericOptions, Schema};
use tantivy::schema::{TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use tantivy::{Index, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};

use super::error::Doing;
use super::terms::ChunkText;
use super::{ChunkId, StoreError};

/// Changes with the fields, the tokenizer or the analyser: an index of another version is made anew.
const TEXT_VERSION: u32 = 1;

const TEXT_FOLDER: &str = "text";

/// What tantivy may hold before it writes a segment. Its least is 15 MB.
const HEAP_BYTES: usize = 20_000_000;

const TOKENIZER: &str = "spaced";

/// A segment of which more than this share is deleted is merged away.
const DELETED_SHARE_MAX: f32 = 0.3;

/// The fields, by the order in which they were added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) words: Field,
    pub(super) numbers: Field,
    pub(super) chunk: Field,
    /// First chunk of the document's current rows: names a version of a document, so that one term
    /// deletes it.
    pub(super) document: Field,
}

/// The name of the fast field that holds the chunk's number.
pub(super) const CHUNK_FIELD: &str = "chunk";

/// How far a text index has come: written as the payload of each of its commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) identity: String,
    pub(super) sequence: u64,
}

impl Reached {
    /// Reads the payload of the last commit.
    pub(super) fn of(index: &Index) -> tantivy::Result<Option<Self>> {
        Ok(index.load_metas()?.payload.as_deref().and_then(Self::parse))
    }

    fn parse(payload: &str) -> Option<Self> {
        let mut parts = payload.split(' ');
        let version: u32 = parts.next()?.parse().ok()?;
        let identity = parts.next()?.to_owned();
        let sequence = parts.next()?.parse().ok()?;
        (version == TEXT_VERSION).then_some(Self { identity, sequence })
    }

    fn payload(&self) -> String {
        format!("{TEXT_VERSION} {} {}", self.identity, self.sequence)
    }
}

/// The one writer of the text index.
pub(super) struct TextWriter {
    writer: IndexWriter,
    fields: Fields,
    /// `None` before the first commit of a new index.
    pub(super) reached: Option<Reached>,
}

impl TextWriter {
    /// Opens what is there.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let doing = "opening the text index";
        let index = open(folder).doing(doing)?;
        let reached = Reached::of(&index).doing(doing)?;
        // Opens every segment, so that missing and truncated files show now and not in a search.
        index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().doing(doing)?;
        Self::on(&index, reached).doing(doing)
    }

    /// Starts an empty one in place of whatever is there.
    pub(super) fn create(folder: &Path) -> Result<Self, StoreError> {
        let doing = "making the text index";
        let path = text_folder(folder);
        let io = |doing| {
            let path = path.clone();
            move |source| StoreError::Io { doing, path, source }
        };
        if path.exists() {
            fs::remove_dir_all(&path).map_err(io("remove the old text index"))?;
        }
        fs::create_dir_all(&path).map_err(io("make the folder"))?;
        let index = Index::create_in_dir(&path, schema().0).doing(doing)?;
        index.tokenizers().register(TOKENIZER, Spaced::default());
        Self::on(&index, None).doing(doing)
    }

    fn on(index: &Index, reached: Option<Reached>) -> tantivy::Result<Self> {
        // One thread each for indexing and merging: the cores belong to extraction and embedding.
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(HEAP_BYTES)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        let writer: IndexWriter = index.writer_with_options(options)?;
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(DELETED_SHARE_MAX);
        writer.set_merge_policy(Box::new(policy));
        Ok(Self { writer, fields: schema().1, reached })
    }

    /// Whether its last commit belongs to this version of this index.
    pub(super) fn has_reached(&self, identity: &str, sequence: u64) -> bool {
        self.reached.as_ref().is_some_and(|r| r.identity == identity && r.sequence == sequence)
    }

    /// Adds a chunk; `document` is the first chunk of the document's rows.
    pub(super) fn add(&self, chunk: ChunkId, document: ChunkId, text: &ChunkText) -> Result<(), StoreError> {
        let mut row = TantivyDocument::default();
        row.add_u64(self.fields.chunk, u64::from(chunk));
        row.add_u64(self.fields.document, u64::from(document));
        row.add_text(self.fields.words, &text.words);
        if !text.numbers.is_empty() {
            row.add_text(self.fields.numbers, &text.numbers);
        }
        self.writer.add_document(row).doing("adding to the text index").map(drop)
    }

    /// Removes every chunk of a document's rows.
    pub(super) fn remove(&self, document: ChunkId) {
        self.writer.delete_term(Term::from_field_u64(self.fields.document, u64::from(document)));
    }

    /// Makes segments of everything that was added, which is the long part of a commit, then asks for
    /// `between`; only if that succeeds does the text index commit, with `reached` in its payload.
    pub(super) fn commit<T>(
        &mut self,
        reached: Reached,
        between: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut prepared = self.writer.prepare_commit().doing("writing the text index")?;
        prepared.set_payload(&reached.payload());
        let done = between()?;
        prepared.commit().doing("committing the text index")?;
        self.reached = Some(reached);
        Ok(done)
    }

    /// Forgets what was added since the last commit.
    pub(super) fn roll_back(&mut self) -> Result<(), StoreError> {
        self.writer.rollback().doing("rolling the text index back").map(drop)
    }

    /// Waits for merges, so that no thread outlives the store.
    pub(super) fn close(self) -> Result<(), StoreError> {
        self.writer.wait_merging_threads().doing("closing the text index")
    }
}

/// Opens the text index of an index folder.
pub(super) fn open(folder: &Path) -> tantivy::Result<Index> {
    let index = Index::open_in_dir(text_folder(folder))?;
    if index.schema() != schema().0 {
        return Err(TantivyError::SchemaError("the text index has other fields".into()));
    }
    index.tokenizers().register(TOKENIZER, Spaced::default());
    Ok(index)
}

/// The fields of the schema.
pub(super) fn fields() -> Fields {
    schema().1
}

fn text_folder(folder: &Path) -> PathBuf {
    folder.join(TEXT_FOLDER)
}

fn schema() -> (Schema, Fields) {
    let text = |option, norms| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(option)
            .set_fieldnorms(norms);
        TextOptions::default().set_indexing_options(indexing)
    };
    let mut builder = Schema::builder();
    let words = builder.add_text_field("words", text(IndexRecordOption::WithFreqsAndPositions, true));
    // Without norms: a number adds to a score but not to a length.
    let numbers = builder.add_text_field("numbers", text(IndexRecordOption::WithFreqs, false));
    let chunk = builder.add_u64_field(CHUNK_FIELD, NumericOptions::from(FAST));
    let document = builder.add_u64_field("document", NumericOptions::from(INDEXED));
    (builder.build(), Fields { words, numbers, chunk, document })
}

/// Splits at spaces; a term's position is the number of spaces before it.
#[derive(Clone, Default)]
struct Spaced {
    token: Token,
}

impl Tokenizer for Spaced {
    type TokenStream<'a> = SpacedStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> SpacedStream<'a> {
        self.token.reset();
        SpacedStream { rest: text, offset: 0, spaces: 0, token: &mut self.token }
    }
}

struct SpacedStream<'a> {
    rest: &'a str,
    offset: usize,
    spaces: usize,
    token: &'a mut Token,
}

impl TokenStream for SpacedStream<'_> {
    fn advance(&mut self) -> bool {
        let spaces = self.rest.bytes().take_while(|byte| *byte == b' ').count();
        self.spaces += spaces;
        self.offset += spaces;
        self.rest = &self.rest[spaces..];
        if self.rest.is_empty() {
            return false;
        }
        let length = self.rest.bytes().position(|byte| byte == b' ').unwrap_or(self.rest.len());
        self.token.text.clear();
        self.token.text.push_str(&self.rest[..length]);
        self.token.position = self.spaces;
        self.token.offset_from = self.offset;
        self.offset += length;
        self.token.offset_to = self.offset;
        self.rest = &self.rest[length..];
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_off_the_spaces() {
        let mut tokenizer = Spaced::default();
        let mut stream = tokenizer.token_stream("  dog   cat run");
        let mut seen = Vec::new();
        while let Some(token) = stream.next() {
            seen.push((token.text.clone(), token.position));
        }
        assert_eq!(seen, [("dog".into(), 2), ("cat".into(), 5), ("run".into(), 6)]);
    }

    #[test]
    fn a_payload_of_another_version_is_not_understood() {
        let reached = Reached { identity: "abc".into(), sequence: 7 };
        assert_eq!(Reached::parse(&reached.payload()), Some(reached));
        assert_eq!(Reached::parse("999 abc 7"), None);
        assert_eq!(Reached::parse("nonsense"), None);
    }
}
