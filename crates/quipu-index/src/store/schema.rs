//! The SQLite file: its tables, its version, and how connections to it are set up. What the rows mean is
//! said by the rooms that write them (`ledger`, `documents`, `terms`, `blocks`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::error::Doing;
use super::{Configuration, StoreError};

/// The truth of an index.
pub(super) const DATABASE_FILE: &str = "index.db";
const UNFINISHED_FILE: &str = "index.db.new";

/// Marks the file as ours in its header: "Qipu".
const APPLICATION_ID: i64 = 0x5169_7075;

/// What this program writes; each older version has a step in [`MIGRATIONS`].
pub(super) const SCHEMA_VERSION: i64 = 1;

/// `MIGRATIONS[n]` leads from version `n` to `n + 1`; the first makes the tables of an empty file.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [TABLES];

/// SQLite's page cache per connection. A larger transaction spills into the WAL.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;

/// How long a connection waits for the moments in which SQLite itself excludes everybody (recovery).
const BUSY_TIME_MAX: Duration = Duration::from_secs(10);

/// Prepared statements kept per connection: all that this crate has, with room to spare.
const STATEMENTS_MAX: usize = 64;

/// Chunk rows are about 1.2 KiB and vector blocks 200 KiB: with 8-KiB pages less is lost at page ends.
const PAGE_BYTES: i64 = 8192;

/// What is left of the WAL's file once it has been copied back.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

const TABLES: &str = "
-- One row: what the index was made with, and counts that stay exact under replacement.
CREATE TABLE meta (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    model              TEXT    NOT NULL,
    dimensions         INTEGER NOT NULL,
    configuration_hash BLOB    NOT NULL,
    identity           TEXT    NOT NULL,  -- ties the text index to this file
    sequence           INTEGER NOT NULL,  -- counts batches that changed rows
    log_start          INTEGER NOT NULL,  -- `change` holds every batch after this one
    next_chunk         INTEGER NOT NULL,  -- chunk numbers are never used twice
    next_term          INTEGER NOT NULL,
    next_number        INTEGER NOT NULL,
    documents          INTEGER NOT NULL,
    chunks             INTEGER NOT NULL,
    vectors            INTEGER NOT NULL,
    words              INTEGER NOT NULL   -- sum of all chunks' lengths
) STRICT;

CREATE TABLE root (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- The ledger: every path that was ever shown, in exactly one state.
CREATE TABLE file (
    id                 INTEGER PRIMARY KEY,
    path               TEXT    NOT NULL UNIQUE,
    name               TEXT    NOT NULL,
    ext                TEXT    NOT NULL,  -- lower case, without the dot
    size               INTEGER NOT NULL,
    modified_ns        INTEGER NOT NULL,
    modified           TEXT    NOT NULL,  -- ISO 8601, UTC
    state              TEXT    NOT NULL CHECK (state IN ('indexed', 'failed', 'skipped', 'pending')),
    kind               TEXT,              -- of a failure
    message            TEXT,
    attempts           INTEGER NOT NULL,
    content_hash       BLOB,              -- BLAKE3
    configuration_hash BLOB    NOT NULL
) STRICT;
CREATE INDEX file_by_state ON file (state, path);

-- The rows of a file that has text. They can be older than the ledger's entry: see `Outcome`.
CREATE TABLE document (
    id           INTEGER PRIMARY KEY REFERENCES file (id),
    first_chunk  INTEGER NOT NULL,
    end_chunk    INTEGER NOT NULL,        -- exclusive; an empty document has first = end
    missing      INTEGER NOT NULL,        -- chunks without a vector
    title        TEXT,
    author       TEXT,
    language     TEXT,
    mime         TEXT    NOT NULL,
    format       TEXT    NOT NULL,
    pages        INTEGER,
    metadata     TEXT    NOT NULL,        -- JSON object
    content_hash BLOB
) STRICT;
CREATE INDEX document_by_chunk ON document (first_chunk, end_chunk);
CREATE INDEX document_by_content ON document (content_hash);

CREATE TABLE chunk (
    id          INTEGER PRIMARY KEY,
    document    INTEGER NOT NULL REFERENCES document (id),
    range_start INTEGER NOT NULL,         -- bytes of the extracted text
    range_end   INTEGER NOT NULL,
    first_line  INTEGER,
    last_line   INTEGER,
    page        INTEGER,
    heading     TEXT,
    hash        BLOB    NOT NULL,         -- BLAKE3 of what is embedded
    text        TEXT    NOT NULL
) STRICT;
-- With what `--where` mostly asks of chunks, so that it need not go through their text.
CREATE INDEX chunk_by_document ON chunk (document, page, first_line);
CREATE INDEX chunk_by_hash ON chunk (hash);

-- What ranking reads of a chunk: its terms (the forward index) and its int8 vector.
CREATE TABLE feature (
    chunk  INTEGER PRIMARY KEY REFERENCES chunk (id),
    length INTEGER NOT NULL,              -- words; numbers do not count
    terms  BLOB    NOT NULL,              -- varints: term number less the one before, frequency
    vector BLOB                           -- scale as f32, then int8 codes; NULL: not embedded yet
) STRICT;

CREATE TABLE term (
    id   INTEGER PRIMARY KEY,
    text TEXT    NOT NULL UNIQUE,
    df   INTEGER NOT NULL                 -- chunks that hold the term
) STRICT;

-- 1-bit codes of 4,096 chunks each; slots of chunks that are gone keep their code and are masked.
CREATE TABLE vector_block (
    number   INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,            -- of the batch that wrote it last
    codes    BLOB    NOT NULL
) STRICT;

-- What the last batches did to chunks, until the text index has done the same.
CREATE TABLE change (
    sequence    INTEGER NOT NULL,
    first_chunk INTEGER NOT NULL,
    end_chunk   INTEGER NOT NULL,
    added       INTEGER NOT NULL,         -- 1 added, 0 removed
    PRIMARY KEY (sequence, first_chunk)
) STRICT, WITHOUT ROWID;
";

/// The row of `meta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) configuration: Configuration,
    pub(super) identity: String,
    pub(super) sequence: u64,
    pub(super) log_start: u64,
    pub(super) next_chunk: u64,
    pub(super) next_term: u32,
    pub(super) next_number: u32,
    pub(super) documents: u64,
    pub(super) chunks: u64,
    pub(super) vectors: u64,
    pub(super) words: u64,
}

impl Meta {
    /// Reads the row, inside whatever transaction the connection is in.
    pub(super) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let mut statement = connection
            .prepare_cached(
                "SELECT model, dimensions, configuration_hash, identity, sequence, log_start, next_chunk,
                 next_term, next_number, documents, chunks, vectors, words FROM meta WHERE id = 1",
            )
            .doing("reading the configuration")?;
        let meta = statement.query_row([], |row| {
            Ok(Self {
                configuration: Configuration {
                    model: row.get(0)?,
                    dimensions: usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                    hash: row.get(2)?,
                },
                identity: row.get(3)?,
                sequence: count(row.get(4)?),
                log_start: count(row.get(5)?),
                next_chunk: count(row.get(6)?),
                next_term: row.get(7)?,
                next_number: row.get(8)?,
                documents: count(row.get(9)?),
                chunks: count(row.get(10)?),
                vectors: count(row.get(11)?),
                words: count(row.get(12)?),
            })
        });
        meta.doing("reading the configuration")
    }

    /// Writes what a batch changes.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        connection
            .prepare_cached(
                "UPDATE meta SET sequence = ?1, log_start = ?2, next_chunk = ?3, next_term = ?4,
                 next_number = ?5, documents = ?6, chunks = ?7, vectors = ?8, words = ?9 WHERE id = 1",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    integer(self.sequence),
                    integer(self.log_start),
                    integer(self.next_chunk),
                    self.next_term,
                    self.next_number,
                    integer(self.documents),
                    integer(self.chunks),
                    integer(self.vectors),
                    integer(self.words),
                ])
            })
            .doing("writing the counts")
            .map(drop)
    }
}

/// A count as SQLite keeps it. Nothing here comes near 2⁶³.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
pub(super) fn count(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}

/// Makes the file of a new index. The folder exists and nobody else writes. The file gets its name only
/// when it is complete, so that a kill in between leaves no half an index to stumble over.
pub(super) fn create(folder: &Path, configuration: &Configuration) -> Result<Connection, StoreError> {
    let (unfinished, path) = (folder.join(UNFINISHED_FILE), folder.join(DATABASE_FILE));
    let io = |doing| {
        let path = unfinished.clone();
        move |source| StoreError::Io { doing, path, source }
    };
    if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(io("remove the leftover"))?;
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&unfinished, flags).doing("creating the database")?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).doing("creating the database")?;
    let transaction = connection.transaction().doing("creating the tables")?;
    migrate_from(&transaction, 0)?;
    insert_meta(&transaction, configuration, 0)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).doing("creating the tables")?;
    transaction.commit().doing("creating the tables")?;
    connection.close().map_err(|(_, error)| error).doing("creating the database")?;
    fs::rename(&unfinished, &path).map_err(io("give its name to"))?;
    open_writer(folder)
}

/// Opens the one connection that writes, migrating an older file.
pub(super) fn open_writer(folder: &Path) -> Result<Connection, StoreError> {
    let path = existing(folder)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).doing("opening the database")?;
    let version = check_version(&connection, &path)?;
    set_up_writer(&connection)?;
    if version < SCHEMA_VERSION {
        let transaction = connection.transaction().doing("migrating the database")?;
        migrate_from(&transaction, version)?;
        transaction.commit().doing("migrating the database")?;
    }
    Ok(connection)
}

/// Opens a connection that cannot write. An older file is refused until a writer has migrated it.
pub(super) fn open_reader(folder: &Path) -> Result<Connection, StoreError> {
    let path = existing(folder)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).doing("opening the database")?;
    check_version(&connection, &path)?;
    set_up(&connection, READER_CACHE_KIB)?;
    // A double-quoted word that is no column is an error, not silently a string.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)
        .and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true))
        .and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false))
        .doing("setting up the database")?;
    Ok(connection)
}

/// Whether the folder holds an index.
pub(super) fn exists(folder: &Path) -> bool {
    folder.join(DATABASE_FILE).exists()
}

/// Removes the database of an index that is beyond repair.
pub(super) fn remove(folder: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm", ""] {
        let path = folder.join(format!("{DATABASE_FILE}{suffix}"));
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Io { doing: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes everything out but the roots. The sequence goes on, so that no reader takes what it remembers of
/// the old rows for the new.
pub(super) fn empty(connection: &mut Connection, configuration: &Configuration) -> Result<(), StoreError> {
    let doing = "emptying the index";
    let sequence = Meta::read(connection)?.sequence + 1;
    // Tables go in one step each where no reference has to be checked; all of them go.
    connection.pragma_update(None, "foreign_keys", 0).doing(doing)?;
    let transaction = connection.transaction().doing(doing)?;
    for table in ["change", "vector_block", "term", "feature", "chunk", "document", "file", "meta"] {
        transaction.execute(&format!("DELETE FROM {table}"), []).doing(doing)?;
    }
    insert_meta(&transaction, configuration, sequence)?;
    transaction.commit().doing(doing)?;
    connection.pragma_update(None, "foreign_keys", 1).doing(doing)
}

fn insert_meta(
    connection: &Connection,
    configuration: &Configuration,
    sequence: u64,
) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO meta VALUES (1, ?1, ?2, ?3, ?4, ?5, ?5, 0, 0, 0, 0, 0, 0, 0)",
            params![
                configuration.model,
                integer(configuration.dimensions as u64),
                configuration.hash,
                new_identity(),
                integer(sequence),
            ],
        )
        .doing("writing the configuration")
        .map(drop)
}

/// A name that no other index has: a text folder copied in from elsewhere must not be believed.
fn new_identity() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&now.to_le_bytes()).update(&std::process::id().to_le_bytes());
    hasher.update(&(&raw const now).addr().to_le_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
}

fn existing(folder: &Path) -> Result<PathBuf, StoreError> {
    let path = folder.join(DATABASE_FILE);
    if path.exists() { Ok(path) } else { Err(StoreError::NotFound { folder: folder.to_path_buf() }) }
}

fn check_version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let read = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let not_ours = || StoreError::NotAnIndex { path: path.to_path_buf() };
    let application = read("application_id").map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => not_ours(),
        _ => StoreError::Database { doing: "opening the database", source: error },
    })?;
    if application != APPLICATION_ID {
        return Err(not_ours());
    }
    let found = read("user_version").doing("reading the schema's version")?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { found, known: SCHEMA_VERSION });
    }
    Ok(found)
}

fn migrate_from(connection: &Connection, version: i64) -> Result<(), StoreError> {
    let done = usize::try_from(version).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(done) {
        connection.execute_batch(step).doing("migrating the database")?;
    }
    connection.pragma_update(None, "user_version", SCHEMA_VERSION).doing("migrating the database")
}

fn set_up_writer(connection: &Connection) -> Result<(), StoreError> {
    set_up(connection, WRITER_CACHE_KIB)?;
    let mode: Option<String> = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .optional()
        .doing("setting up the database")?;
    if mode.as_deref() != Some("wal") {
        return Err(StoreError::Damaged { what: "the database cannot keep a write-ahead log here".into() });
    }
    for (name, value) in [("synchronous", 2), ("foreign_keys", 1), ("journal_size_limit", WAL_BYTES_KEPT)] {
        // Some of these answer with a row, some do not.
        connection
            .query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(()))
            .optional()
            .doing("setting up the database")?;
    }
    Ok(())
}

fn set_up(connection: &Connection, cache_kib: i64) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(BUSY_TIME_MAX).doing("setting up the database")?;
    connection.pragma_update(None, "cache_size", -cache_kib).doing("setting up the database")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        Configuration { model: "test".into(), dimensions: 8, hash: [7; 32] }
    }

    #[test]
    fn a_new_file_knows_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &configuration()).unwrap();
        let reader = open_reader(folder.path()).unwrap();
        let meta = Meta::read(&reader).unwrap();
        assert_eq!((meta.configuration, meta.sequence), (configuration(), 0));
    }

    #[test]
    fn commits_are_on_disk_before_they_return() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &configuration()).unwrap();
        let writer = open_writer(folder.path()).unwrap();
        let pragma = |name| writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
        let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let writer = create(folder.path(), &configuration()).unwrap();
        writer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        for refused in [open_reader(folder.path()), open_writer(folder.path())] {
            assert!(matches!(refused, Err(StoreError::Newer { found, .. }) if found == SCHEMA_VERSION + 1));
        }
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(open_reader(folder.path()), Err(StoreError::NotFound { .. })));
        let path = folder.path().join(DATABASE_FILE);
        std::fs::write(&path, "no database at all, but long enough to look at").unwrap();
        assert!(matches!(open_writer(folder.path()), Err(StoreError::NotAnIndex { .. })));
        std::fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
        assert!(matches!(open_writer(folder.path()), Err(StoreError::NotAnIndex { .. })));
    }

    #[test]
    fn readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &configuration()).unwrap();
        let reader = open_reader(folder.path()).unwrap();
        assert!(reader.execute("DELETE FROM meta", []).is_err());
    }
}
