//! One batch: what `Store::write` and its kin do inside one transaction. Counts, terms, blocks, the change
//! log and the text index move together here, so that no caller can forget one of them.

use std::ops::Range;

use rusqlite::{Connection, params};

use super::blocks::OpenBlocks;
use super::error::Doing;
use super::schema::{Meta, integer};
use super::terms::{ChunkText, TermTable};
use super::text::TextWriter;
use super::{ChunkId, Document, DocumentId, FileRecord, Outcome, StoreError, Vector, documents, ledger};

/// A transaction in the making.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    text: &'a TextWriter,
    terms: &'a mut TermTable,
    blocks: OpenBlocks,
    /// As it will be after the batch.
    meta: Meta,
    /// Whether any row of a document changed: only then is there a new version to speak of.
    changed: bool,
}

impl<'a> Batch<'a> {
    /// Starts from the counts as they are.
    pub(super) fn new(
        connection: &'a Connection,
        text: &'a TextWriter,
        terms: &'a mut TermTable,
        mut meta: Meta,
    ) -> Self {
        meta.sequence += 1;
        let blocks = OpenBlocks::new(meta.configuration.dimensions, meta.sequence);
        Self { connection, text, terms, blocks, meta, changed: false }
    }

    /// One path: its ledger entry, and its rows as the outcome has it.
    pub(super) fn record(&mut self, record: &FileRecord) -> Result<(), StoreError> {
        self.check(record)?;
        let file = ledger::record(self.connection, record, &self.meta.configuration.hash)?;
        match &record.outcome {
            Outcome::Indexed(document) => {
                self.remove_rows(file)?;
                self.insert_rows(file, document, record)
            }
            Outcome::Failed(failure) if failure.kind.is_transient() => Ok(()),
            Outcome::Failed(_) | Outcome::Skipped(_) => self.remove_rows(file),
            Outcome::Pending(_) => Ok(()),
        }
    }

    /// Takes a path out of the ledger, rows and all. Whether it was there.
    pub(super) fn forget(&mut self, path: &str) -> Result<bool, StoreError> {
        let Some(file) = ledger::find(self.connection, path)? else { return Ok(false) };
        self.remove_rows(file)?;
        ledger::remove(self.connection, file)?;
        Ok(true)
    }

    /// Gives a chunk the vector that it lacks. One that is gone or has a vector is left alone.
    pub(super) fn add_vector(&mut self, chunk: ChunkId, vector: &Vector) -> Result<(), StoreError> {
        let doing = "storing vectors";
        let added = self
            .connection
            .prepare_cached("UPDATE feature SET vector = ?2 WHERE chunk = ?1 AND vector IS NULL")
            .and_then(|mut statement| statement.execute(params![chunk, vector.to_bytes()]))
            .doing(doing)?;
        if added == 0 {
            return Ok(());
        }
        self.blocks.insert(self.connection, chunk, vector)?;
        self.meta.vectors += 1;
        self.changed = true;
        let (document, missing): (DocumentId, i64) = self
            .connection
            .prepare_cached(
                "UPDATE document SET missing = missing - 1
                 WHERE id = (SELECT document FROM chunk WHERE id = ?1) RETURNING id, missing",
            )
            .and_then(|mut statement| statement.query_row([chunk], |row| Ok((row.get(0)?, row.get(1)?))))
            .doing(doing)?;
        if missing == 0 {
            ledger::vectors_complete(self.connection, document)?;
        }
        Ok(())
    }

    /// Writes what the batch has gathered. Returns the new version, if there is one; `text_reached` is
    /// how far the text index has come, so that older changes need not be remembered.
    pub(super) fn finish(mut self, text_reached: u64) -> Result<Option<Meta>, StoreError> {
        if !self.changed {
            return Ok(None);
        }
        self.terms.flush(self.connection)?;
        self.blocks.flush(self.connection)?;
        self.connection
            .prepare_cached("DELETE FROM change WHERE sequence <= ?1")
            .and_then(|mut statement| statement.execute([integer(text_reached)]))
            .doing("writing the change log")?;
        self.meta.log_start = text_reached;
        self.meta.write(self.connection)?;
        Ok(Some(self.meta))
    }

    fn insert_rows(
        &mut self,
        file: DocumentId,
        document: &Document,
        record: &FileRecord,
    ) -> Result<(), StoreError> {
        let chunks = self.reserve(document.chunks.len())?;
        documents::insert(self.connection, file, document, chunks.clone(), record.content_hash)?;
        for (id, chunk) in chunks.clone().zip(&document.chunks) {
            let text = ChunkText::new(&chunk.text, document.title.as_deref());
            let terms = self.terms.add(self.connection, &mut self.meta, &text)?;
            documents::insert_chunk(self.connection, id, file, chunk, (text.length, &terms))?;
            self.text.add(id, chunks.start, &text)?;
            if let Some(vector) = &chunk.vector {
                self.blocks.insert(self.connection, id, vector)?;
                self.meta.vectors += 1;
            }
            self.meta.words += u64::from(text.length);
        }
        self.meta.chunks += document.chunks.len() as u64;
        self.meta.documents += 1;
        self.log(chunks, true)
    }

    fn remove_rows(&mut self, file: DocumentId) -> Result<(), StoreError> {
        let Some(chunks) = documents::chunks_of(self.connection, file)? else { return Ok(()) };
        let (terms, meta) = (&mut *self.terms, &mut self.meta);
        documents::remove(self.connection, file, chunks.clone(), &mut |removed| {
            meta.words -= u64::from(removed.length);
            meta.vectors -= u64::from(removed.has_vector);
            meta.chunks -= 1;
            terms.remove(&removed.terms)
        })?;
        self.meta.documents -= 1;
        self.blocks.drop_empty(self.connection, chunks.clone(), self.meta.next_chunk)?;
        // A document without chunks shares its first number with the document after it.
        if !chunks.is_empty() {
            self.text.remove(chunks.start);
        }
        self.log(chunks, false)
    }

    /// The next chunk numbers.
    fn reserve(&mut self, chunks: usize) -> Result<Range<ChunkId>, StoreError> {
        let start = self.meta.next_chunk;
        let end = start + chunks as u64;
        let range = ChunkId::try_from(start).ok().zip(ChunkId::try_from(end).ok());
        let Some((first, last)) = range else {
            return Err(StoreError::Limit {
                what: "the index has no chunk numbers left: make it anew with `--rebuild`".into(),
            });
        };
        self.meta.next_chunk = end;
        Ok(first..last)
    }

    /// Notes a change until the text index has seen it. A document without chunks is not in there.
    fn log(&mut self, chunks: Range<ChunkId>, added: bool) -> Result<(), StoreError> {
        self.changed = true;
        if chunks.is_empty() {
            return Ok(());
        }
        self.connection
            .prepare_cached(
                "INSERT INTO change (sequence, first_chunk, end_chunk, added) VALUES (?1, ?2, ?3, ?4)",
            )
            .and_then(|mut statement| {
                statement.execute(params![integer(self.meta.sequence), chunks.start, chunks.end, added])
            })
            .doing("writing the change log")
            .map(drop)
    }

    fn check(&self, record: &FileRecord) -> Result<(), StoreError> {
        let dimensions = self.meta.configuration.dimensions;
        let refuse = |what: String| Err(StoreError::Record { path: record.path.clone(), what });
        if record.path.is_empty() {
            return refuse("a path is not empty".into());
        }
        let Outcome::Indexed(document) = &record.outcome else { return Ok(()) };
        let vectors = document.chunks.iter().filter_map(|chunk| chunk.vector.as_ref());
        match vectors.map(|vector| vector.codes.len()).find(|found| *found != dimensions) {
            Some(found) => refuse(format!("a vector has {found} dimensions, the index {dimensions}")),
            None => Ok(()),
        }
    }
}
