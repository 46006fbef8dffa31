//! Makes the text index agree with the rows when a store is opened or a commit went wrong: a text index
//! that is behind is brought forward by the change log, one that is missing, broken, of another version
//! or of another index is made anew. Both stream, so memory stays within the text writer's own.

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, Params};

use super::error::Doing;
use super::schema::{Meta, integer};
use super::terms::ChunkText;
use super::text::{Reached, TextWriter};
use super::{ChunkId, StoreError};

/// A text writer that has reached the sequence of `meta`.
pub(super) fn text_writer(
    folder: &Path,
    connection: &Connection,
    meta: &Meta,
) -> Result<TextWriter, StoreError> {
    let found = TextWriter::open(folder);
    match found {
        Ok(mut text) => match text.reached.as_ref().and_then(|reached| gap(reached, meta)) {
            Some(gap) if gap.is_empty() => return Ok(text),
            Some(gap) => {
                tracing::info!(batches = gap.end - gap.start, "bringing the text index forward");
                replay(connection, &mut text, gap, meta)?;
                return Ok(text);
            }
            None => text.close()?,
        },
        Err(error) => tracing::debug!(%error, "the text index cannot be opened"),
    }
    if meta.chunks > 0 {
        tracing::info!(chunks = meta.chunks, "making the text index anew from the rows");
    }
    rebuild(folder, connection, meta)
}

/// The batches that the text index lacks: empty if none, `None` if the log does not tell.
fn gap(reached: &Reached, meta: &Meta) -> Option<Range<u64>> {
    let told = meta.log_start..=meta.sequence;
    (reached.identity == meta.identity && told.contains(&reached.sequence))
        .then_some(reached.sequence..meta.sequence)
}

fn replay(
    connection: &Connection,
    text: &mut TextWriter,
    gap: Range<u64>,
    meta: &Meta,
) -> Result<(), StoreError> {
    let doing = "reading the change log";
    let changes: Vec<(ChunkId, ChunkId, bool)> = connection
        .prepare_cached(
            "SELECT first_chunk, end_chunk, added FROM change WHERE sequence > ?1
             ORDER BY sequence, first_chunk",
        )
        .and_then(|mut statement| {
            statement
                .query_map([integer(gap.start)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        })
        .doing(doing)?;
    for (first, end, added) in changes {
        if added {
            // Rows that a later batch removed again are simply not found.
            add_chunks(connection, text, "WHERE chunk.id >= ?1 AND chunk.id < ?2", [first, end])?;
        } else {
            text.remove(first);
        }
    }
    text.commit(reached(meta), || Ok(()))
}

/// The chunks that batches after this one added, gone ones among them.
pub(super) fn added_since(connection: &Connection, sequence: u64) -> Result<Vec<Range<ChunkId>>, StoreError> {
    connection
        .prepare_cached("SELECT first_chunk, end_chunk FROM change WHERE sequence > ?1 AND added = 1")
        .and_then(|mut statement| {
            statement.query_map([integer(sequence)], |row| Ok(row.get(0)?..row.get(1)?))?.collect()
        })
        .doing("reading the change log")
}

fn rebuild(folder: &Path, connection: &Connection, meta: &Meta) -> Result<TextWriter, StoreError> {
    let mut text = TextWriter::create(folder)?;
    add_chunks(connection, &text, "", [])?;
    text.commit(reached(meta), || Ok(()))?;
    Ok(text)
}

fn add_chunks(
    connection: &Connection,
    text: &TextWriter,
    which: &str,
    values: impl Params,
) -> Result<(), StoreError> {
    let doing = "reading chunks for the text index";
    let sql = format!(
        "SELECT chunk.id, first_chunk, text, title FROM chunk JOIN document ON document.id = chunk.document
         {which} ORDER BY chunk.id"
    );
    let mut statement = connection.prepare_cached(&sql).doing(doing)?;
    let mut rows = statement.query(values).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let (chunk, document) = (row.get(0).doing(doing)?, row.get(1).doing(doing)?);
        let body: String = row.get(2).doing(doing)?;
        let title: Option<String> = row.get(3).doing(doing)?;
        text.add(chunk, document, &ChunkText::new(&body, title.as_deref()))?;
    }
    Ok(())
}

fn reached(meta: &Meta) -> Reached {
    Reached { identity: meta.identity.clone(), sequence: meta.sequence }
}
