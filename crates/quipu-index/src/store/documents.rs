//! The rows of documents: written as one, removed as one, read back for a hit or for a copy of the same
//! content under another name. Numbers of terms and blocks of codes are the matter of `terms` and `blocks`.

use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Doing;
use super::schema::{count, integer};
use super::{Bitmap, Chunk, ChunkId, Document, DocumentId, HitRow, StoreError, Vector};

/// Writes a document's own row. Its chunks follow, one by one.
pub(super) fn insert(
    connection: &Connection,
    id: DocumentId,
    document: &Document,
    chunks: Range<ChunkId>,
    content_hash: Option<[u8; 32]>,
) -> Result<(), StoreError> {
    let missing = document.chunks.iter().filter(|chunk| chunk.vector.is_none()).count();
    let metadata = serde_json::to_string(&document.metadata)
        .map_err(|error| StoreError::Damaged { what: format!("metadata cannot be written: {error}") })?;
    connection
        .prepare_cached(
            "INSERT INTO document (id, first_chunk, end_chunk, missing, title, author, language, mime, format,
               pages, metadata, content_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                chunks.start,
                chunks.end,
                integer(missing as u64),
                document.title,
                document.author,
                document.language,
                document.mime,
                document.format,
                document.pages,
                metadata,
                content_hash,
            ])
        })
        .doing("storing a document")
        .map(drop)
}

/// Writes a chunk's rows; `terms` is its forward row.
pub(super) fn insert_chunk(
    connection: &Connection,
    id: ChunkId,
    document: DocumentId,
    chunk: &Chunk,
    (length, terms): (u32, &[u8]),
) -> Result<(), StoreError> {
    let (first_line, last_line) = chunk.lines.unzip();
    connection
        .prepare_cached(
            "INSERT INTO chunk (id, document, range_start, range_end, first_line, last_line, page, heading,
               hash, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id,
                document,
                integer(chunk.range.start),
                integer(chunk.range.end),
                first_line,
                last_line,
                chunk.page,
                chunk.heading,
                chunk.hash,
                chunk.text,
            ])
        })
        .doing("storing a chunk")?;
    let vector = chunk.vector.as_ref().map(Vector::to_bytes);
    connection
        .prepare_cached("INSERT INTO feature (chunk, length, terms, vector) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut statement| statement.execute(params![id, length, terms, vector]))
        .doing("storing a chunk")
        .map(drop)
}

/// The chunks of a document, if it has rows.
pub(super) fn chunks_of(
    connection: &Connection,
    id: DocumentId,
) -> Result<Option<Range<ChunkId>>, StoreError> {
    connection
        .prepare_cached("SELECT first_chunk, end_chunk FROM document WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], |row| Ok(row.get(0)?..row.get(1)?)).optional())
        .doing("reading a document")
}

/// What counts lose when a chunk goes.
pub(super) struct Removed {
    pub(super) length: u32,
    pub(super) terms: Vec<u8>,
    pub(super) has_vector: bool,
}

/// Removes a document's rows; `visit` sees each chunk's features before they go.
pub(super) fn remove(
    connection: &Connection,
    id: DocumentId,
    chunks: Range<ChunkId>,
    visit: &mut dyn FnMut(Removed) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let doing = "removing a document";
    {
        let mut statement = connection
            .prepare_cached(
                "DELETE FROM feature WHERE chunk >= ?1 AND chunk < ?2
                 RETURNING length, terms, vector IS NOT NULL",
            )
            .doing(doing)?;
        let mut rows = statement.query([chunks.start, chunks.end]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            visit(read_removed(row).doing(doing)?)?;
        }
    }
    connection
        .prepare_cached("DELETE FROM chunk WHERE id >= ?1 AND id < ?2")
        .and_then(|mut statement| statement.execute([chunks.start, chunks.end]))
        .and_then(|_| connection.prepare_cached("DELETE FROM document WHERE id = ?1"))
        .and_then(|mut statement| statement.execute([id]))
        .doing(doing)
        .map(drop)
}

/// A whole document with this content, vectors and all, if there is one.
pub(super) fn by_content(
    connection: &Connection,
    content_hash: &[u8; 32],
) -> Result<Option<Document>, StoreError> {
    let doing = "reading a document";
    let found: Option<(Document, Range<ChunkId>)> = connection
        .prepare_cached(
            "SELECT title, author, language, mime, format, pages, metadata, first_chunk, end_chunk
             FROM document WHERE content_hash = ?1 AND missing = 0 LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([content_hash], |row| Ok((read_document(row)?, row.get(7)?..row.get(8)?)))
                .optional()
        })
        .doing(doing)?;
    let Some((mut document, chunks)) = found else { return Ok(None) };
    document.chunks = connection
        .prepare_cached(
            "SELECT text, range_start, range_end, first_line, last_line, page, heading, hash, vector
             FROM chunk JOIN feature ON feature.chunk = chunk.id WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )
        .and_then(|mut statement| statement.query_map([chunks.start, chunks.end], read_chunk)?.collect())
        .doing(doing)?;
    Ok(Some(document))
}

/// The vector of any chunk with this hash.
pub(super) fn vector_by_hash(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Vector>, StoreError> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached(
            "SELECT vector FROM chunk JOIN feature ON feature.chunk = chunk.id
             WHERE hash = ?1 AND vector IS NOT NULL LIMIT 1",
        )
        .and_then(|mut statement| statement.query_row([hash], |row| row.get(0)).optional())
        .doing("looking a vector up")?;
    Ok(bytes.as_deref().and_then(Vector::from_bytes))
}

/// Everything that is shown of a hit.
pub(super) fn hit(connection: &Connection, chunk: ChunkId) -> Result<Option<HitRow>, StoreError> {
    connection
        .prepare_cached(
            "SELECT title, author, language, mime, format, pages, metadata,
               text, range_start, range_end, first_line, last_line, page, heading,
               document, path, size, modified_ns
             FROM chunk JOIN document ON document.id = chunk.document JOIN file ON file.id = document.id
             WHERE chunk.id = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row([chunk], |row| {
                    let document = read_document(row)?;
                    Ok(HitRow {
                        chunk,
                        document: row.get(14)?,
                        path: row.get(15)?,
                        size: count(row.get(16)?),
                        modified_ns: row.get(17)?,
                        title: document.title,
                        author: document.author,
                        language: document.language,
                        mime: document.mime,
                        format: document.format,
                        pages: document.pages,
                        metadata: document.metadata,
                        text: row.get(7)?,
                        range: count(row.get(8)?)..count(row.get(9)?),
                        lines: lines(row, 10)?,
                        page: row.get(12)?,
                        heading: row.get(13)?,
                    })
                })
                .optional()
        })
        .doing("reading a hit")
}

fn read_document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let metadata = row.get_ref(6)?.as_str()?;
    let metadata: BTreeMap<String, String> = serde_json::from_str(metadata)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(6, Type::Text, Box::new(error)))?;
    Ok(Document {
        title: row.get(0)?,
        author: row.get(1)?,
        language: row.get(2)?,
        mime: row.get(3)?,
        format: row.get(4)?,
        pages: row.get(5)?,
        metadata,
        chunks: Vec::new(),
    })
}

fn read_chunk(row: &Row<'_>) -> rusqlite::Result<Chunk> {
    let vector: Option<&[u8]> = row.get_ref(8)?.as_blob_or_null()?;
    Ok(Chunk {
        text: row.get(0)?,
        range: count(row.get(1)?)..count(row.get(2)?),
        lines: lines(row, 3)?,
        page: row.get(5)?,
        heading: row.get(6)?,
        hash: row.get(7)?,
        vector: vector.and_then(Vector::from_bytes),
    })
}

fn read_removed(row: &Row<'_>) -> rusqlite::Result<Removed> {
    Ok(Removed { length: row.get(0)?, terms: row.get(1)?, has_vector: row.get(2)? })
}

fn lines(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<(u32, u32)>> {
    let (first, last): (Option<u32>, Option<u32>) = (row.get(column)?, row.get(column + 1)?);
    Ok(first.zip(last))
}

/// Every chunk that there is.
pub(super) fn live(connection: &Connection) -> Result<Bitmap, StoreError> {
    ranges(connection, "SELECT first_chunk, end_chunk FROM document WHERE first_chunk < end_chunk")
        .doing("reading which chunks there are")
}

/// The chunks in the ranges that a query gives.
pub(super) fn ranges(connection: &Connection, sql: &str) -> rusqlite::Result<Bitmap> {
    let mut chunks = Bitmap::new();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for chunk in row.get::<_, ChunkId>(0)?..row.get(1)? {
            chunks.set(chunk);
        }
    }
    Ok(chunks)
}
