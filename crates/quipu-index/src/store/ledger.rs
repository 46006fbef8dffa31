//! The ledger: one row of `file` per path that a source has shown, in exactly one state. It is written in
//! the same transaction as the rows it speaks of; those are the matter of `documents`.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::error::Doing;
use super::schema::{count, integer};
use super::time::iso_from_nanoseconds;
use super::{Counts, DocumentId, FailureKind, FileRecord, LedgerEntry, Outcome, State, StoreError};

/// What the ledger says of a document whose text is in but not all of its vectors.
pub(super) const WAITS_FOR_VECTORS: &str = "vectors";

/// What the ledger says of a failed file that a person wants tried again.
const WAITS_FOR_RETRY: &str = "retry";

const ENTRY_COLUMNS: &str =
    "path, state, kind, message, attempts, size, modified_ns, content_hash, configuration_hash";

/// The part of an entry that an outcome decides.
struct Standing<'a> {
    state: State,
    kind: Option<FailureKind>,
    message: Option<&'a str>,
    attempts: u32,
}

/// Writes a path's entry; returns its number, which is also its document's.
pub(super) fn record(
    connection: &Connection,
    record: &FileRecord,
    configuration_hash: &[u8; 32],
) -> Result<DocumentId, StoreError> {
    let standing = standing(connection, record)?;
    let name = record.path.rsplit('/').next().unwrap_or(&record.path);
    let size = i64::try_from(record.size).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO file (path, name, ext, size, modified_ns, modified, state, kind, message, attempts,
               content_hash, configuration_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (path) DO UPDATE SET size = excluded.size, modified_ns = excluded.modified_ns,
               modified = excluded.modified, state = excluded.state, kind = excluded.kind,
               message = excluded.message, attempts = excluded.attempts,
               content_hash = excluded.content_hash, configuration_hash = excluded.configuration_hash
             RETURNING id",
        )
        .and_then(|mut statement| {
            statement.query_row(
                params![
                    record.path,
                    name,
                    extension(name),
                    size,
                    record.modified_ns,
                    iso_from_nanoseconds(record.modified_ns),
                    standing.state.name(),
                    standing.kind.map(FailureKind::name),
                    standing.message,
                    standing.attempts,
                    record.content_hash,
                    configuration_hash,
                ],
                |row| row.get(0),
            )
        })
        .doing("writing the ledger")
}

fn standing<'a>(connection: &Connection, record: &'a FileRecord) -> Result<Standing<'a>, StoreError> {
    let plain = |state, message| Standing { state, kind: None, message, attempts: 0 };
    Ok(match &record.outcome {
        Outcome::Indexed(document) if document.chunks.iter().all(|chunk| chunk.vector.is_some()) => {
            plain(State::Indexed, None)
        }
        Outcome::Indexed(_) => plain(State::Pending, Some(WAITS_FOR_VECTORS)),
        Outcome::Skipped(why) => plain(State::Skipped, Some(why)),
        Outcome::Pending(why) => plain(State::Pending, Some(why)),
        Outcome::Failed(failure) => Standing {
            state: State::Failed,
            kind: Some(failure.kind),
            message: Some(&failure.message),
            attempts: 1 + attempts_before(connection, record)?,
        },
    })
}

/// Failed attempts at the same version of the file: a changed file starts afresh.
fn attempts_before(connection: &Connection, record: &FileRecord) -> Result<u32, StoreError> {
    let same = |entry: &LedgerEntry| {
        entry.state == State::Failed && entry.size == record.size && entry.modified_ns == record.modified_ns
    };
    Ok(entry(connection, &record.path)?.filter(same).map_or(0, |entry| entry.attempts))
}

/// Notes a new stat of content that did not change.
pub(super) fn touch(
    connection: &Connection,
    path: &str,
    size: u64,
    modified_ns: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE file SET size = ?2, modified_ns = ?3, modified = ?4 WHERE path = ?1")
        .and_then(|mut statement| {
            statement.execute(params![path, integer(size), modified_ns, iso_from_nanoseconds(modified_ns)])
        })
        .doing("writing the ledger")
        .map(drop)
}

/// Makes every failed path wait for the next run.
pub(super) fn retry_failed(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .execute(
            "UPDATE file SET state = 'pending', message = ?1, attempts = 0, kind = NULL
             WHERE state = 'failed'",
            [WAITS_FOR_RETRY],
        )
        .doing("writing the ledger")
        .map(|rows| rows as u64)
}

/// Says that a document has all its vectors now.
pub(super) fn vectors_complete(connection: &Connection, file: DocumentId) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE file SET state = 'indexed', message = NULL
             WHERE id = ?1 AND state = 'pending' AND message = ?2",
        )
        .and_then(|mut statement| statement.execute(params![file, WAITS_FOR_VECTORS]))
        .doing("writing the ledger")
        .map(drop)
}

/// A path's number.
pub(super) fn find(connection: &Connection, path: &str) -> Result<Option<DocumentId>, StoreError> {
    connection
        .prepare_cached("SELECT id FROM file WHERE path = ?1")
        .and_then(|mut statement| statement.query_row([path], |row| row.get(0)).optional())
        .doing("reading the ledger")
}

/// Removes a path whose rows are gone.
pub(super) fn remove(connection: &Connection, file: DocumentId) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM file WHERE id = ?1")
        .and_then(|mut statement| statement.execute([file]))
        .doing("writing the ledger")
        .map(drop)
}

/// What the ledger knows of a path.
pub(super) fn entry(connection: &Connection, path: &str) -> Result<Option<LedgerEntry>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {ENTRY_COLUMNS} FROM file WHERE path = ?1"))
        .and_then(|mut statement| statement.query_row([path], read_entry).optional())
        .doing("reading the ledger")
}

/// A page of the ledger, by path.
pub(super) fn page(
    connection: &Connection,
    state: Option<State>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let of_state = if state.is_some() { "state = ?1" } else { "?1 IS NULL" };
    let sql =
        format!("SELECT {ENTRY_COLUMNS} FROM file WHERE {of_state} AND path > ?2 ORDER BY path LIMIT ?3");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let state = state.map(State::name);
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement.query_map(params![state, after.unwrap_or(""), limit], read_entry)?.collect()
        })
        .doing("reading the ledger")
}

/// The paths from `after` on that lie below a prefix, the prefix itself included, by path.
pub(super) fn paths_below(
    connection: &Connection,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let (first, end) = below(prefix);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT path FROM file WHERE (path = ?1 OR (path >= ?2 AND path < ?3)) AND path > ?4
             ORDER BY path LIMIT ?5",
        )
        .and_then(|mut statement| {
            let values: [&dyn ToSql; 5] = [&prefix, &first, &end, &after.unwrap_or(""), &limit];
            statement.query_map(values, |row| row.get(0))?.collect()
        })
        .doing("reading the ledger")
}

/// Whether a path is the prefix or lies below it.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The bounds of the paths strictly below a prefix: `0` is the character after `/`.
fn below(prefix: &str) -> (String, String) {
    let prefix = prefix.trim_end_matches('/');
    (format!("{prefix}/"), format!("{prefix}0"))
}

/// Paths per state; what is stored for them stands in `meta`.
pub(super) fn counts(connection: &Connection) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let rows: Vec<(String, i64)> = connection
        .prepare_cached("SELECT state, count(*) FROM file GROUP BY state")
        .and_then(|mut statement| statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .doing("counting the ledger")?;
    for (state, paths) in rows {
        let paths = count(paths);
        match State::from_name(&state) {
            Some(State::Indexed) => counts.indexed = paths,
            Some(State::Failed) => counts.failed = paths,
            Some(State::Skipped) => counts.skipped = paths,
            Some(State::Pending) => counts.pending = paths,
            None => return Err(StoreError::Damaged { what: format!("a path in state {state:?}") }),
        }
    }
    Ok(counts)
}

/// The roots that the index remembers.
pub(super) fn roots(connection: &Connection) -> Result<Vec<String>, StoreError> {
    connection
        .prepare_cached("SELECT path FROM root ORDER BY path")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .doing("reading the roots")
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    let kind: Option<String> = row.get(2)?;
    Ok(LedgerEntry {
        path: row.get(0)?,
        // The table's CHECK keeps every other word out.
        state: State::from_name(row.get_ref(1)?.as_str()?).unwrap_or(State::Pending),
        kind: kind.as_deref().map(FailureKind::from_name),
        message: row.get(3)?,
        attempts: row.get(4)?,
        size: count(row.get(5)?),
        modified_ns: row.get(6)?,
        content_hash: row.get(7)?,
        configuration_hash: row.get(8)?,
    })
}

/// Lower case, without the dot; a name that only begins with a dot has none.
fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_lowercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        for (name, expected) in [("a.PDF", "pdf"), (".bashrc", ""), ("a.tar.gz", "gz"), ("README", "")] {
            assert_eq!(extension(name), expected, "{name}");
        }
    }

    #[test]
    fn below_means_whole_parts_of_a_path() {
        for (path, prefix, expected) in [
            ("/a/b", "/a", true),
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/ab", "/a", false),
            ("/a-b", "/a", false),
            ("/x", "/", true),
        ] {
            assert_eq!(is_below(path, prefix), expected, "{path} below {prefix}");
            let (first, end) = below(prefix);
            let in_range = *path >= *first && *path < *end;
            assert_eq!(in_range || path == prefix.trim_end_matches('/'), expected, "{path} below {prefix}");
        }
    }
}
