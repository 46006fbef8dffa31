//! [`Store`]: the one writer of an index. Each change is one transaction over rows and ledger; the text
//! index makes its segments before that commits and commits after it, carrying the same sequence number,
//! so that a crash at any point leaves at most a gap that the next opening closes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::batch::Batch;
use super::error::Doing;
use super::lock::Lock;
use super::schema::{self, Meta};
use super::terms::TermTable;
use super::text::{Reached, TextWriter};
use super::{ChunkId, Configuration, FileRecord, Reader, SeenSet, StoreError, Vector, ledger, recover};

/// Paths that leave the index in one transaction: a folder of a million files leaves in many.
const PATHS_REMOVED_MAX: usize = 512;

/// Paths of the ledger held in memory while looking for those that are gone.
const PATHS_READ_MAX: usize = 4096;

/// The writer of an index. There is one per index, on one machine, at any time: it holds the lock until it
/// is dropped or its process dies.
pub struct Store {
    folder: PathBuf,
    connection: Connection,
    /// `None` after a failure that leaves it in doubt: the next change opens it again.
    text: Option<TextWriter>,
    terms: TermTable,
    meta: Meta,
    // Last, so that it is given back when all else is closed.
    _lock: Lock,
}

impl Store {
    /// Makes a new, empty index in `folder`, which is created.
    ///
    /// # Errors
    /// [`StoreError::Record`] if there is an index already, and whatever the file system says.
    pub fn create(folder: &Path, configuration: &Configuration) -> Result<Self, StoreError> {
        let lock = lock_folder(folder)?;
        if schema::exists(folder) {
            let path = folder.display().to_string();
            return Err(StoreError::Record { path, what: "there is an index already".into() });
        }
        Self::assemble(folder, schema::create(folder, configuration)?, lock)
    }

    /// Opens an index to write to it. A text index that is behind or broken is put right here.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NotAnIndex`], [`StoreError::Newer`], or
    /// [`StoreError::Locked`] with the owner's name while somebody else writes.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        if !schema::exists(folder) {
            return Err(StoreError::NotFound { folder: folder.to_path_buf() });
        }
        let lock = lock_folder(folder)?;
        Self::assemble(folder, schema::open_writer(folder)?, lock)
    }

    /// Whether there is an index in `folder`.
    pub fn is_at(folder: &Path) -> bool {
        schema::exists(folder)
    }

    /// Opens an index made with this configuration, or makes it.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::Configuration`] for another configuration.
    pub fn open_or_create(folder: &Path, configuration: &Configuration) -> Result<Self, StoreError> {
        let lock = lock_folder(folder)?;
        if !schema::exists(folder) {
            return Self::assemble(folder, schema::create(folder, configuration)?, lock);
        }
        let connection = schema::open_writer(folder)?;
        check_configuration(&Meta::read(&connection)?.configuration, configuration)?;
        Self::assemble(folder, connection, lock)
    }

    /// Empties an index (its roots stay) and gives it a new configuration; makes it if there is none. A
    /// database that is damaged is made from scratch.
    ///
    /// # Errors
    /// As [`Store::open`]; an index of a newer program is not touched.
    pub fn rebuild(folder: &Path, configuration: &Configuration) -> Result<Self, StoreError> {
        let lock = lock_folder(folder)?;
        if !schema::exists(folder) {
            return Self::assemble(folder, schema::create(folder, configuration)?, lock);
        }
        let emptied = schema::open_writer(folder).and_then(|mut connection| {
            schema::empty(&mut connection, configuration)?;
            Ok(connection)
        });
        let connection = match emptied {
            Err(error) if is_damage(&error) => {
                schema::remove(folder)?;
                schema::create(folder, configuration)?
            }
            other => other?,
        };
        Self::assemble(folder, connection, lock)
    }

    fn assemble(folder: &Path, connection: Connection, lock: Lock) -> Result<Self, StoreError> {
        let meta = Meta::read(&connection)?;
        let text = recover::text_writer(folder, &connection, &meta)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            connection,
            text: Some(text),
            terms: TermTable::default(),
            meta,
            _lock: lock,
        })
    }

    /// What the index was made with.
    pub fn configuration(&self) -> &Configuration {
        &self.meta.configuration
    }

    /// Refuses a configuration that is not the index's own.
    ///
    /// # Errors
    /// [`StoreError::Configuration`], which names both and the way out.
    pub fn expect(&self, configuration: &Configuration) -> Result<(), StoreError> {
        check_configuration(&self.meta.configuration, configuration)
    }

    /// The number of the last batch that changed rows.
    pub fn sequence(&self) -> u64 {
        self.meta.sequence
    }

    /// A reader of this index, which sees what was written when it takes a snapshot.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::attach(&self.folder)
    }

    /// Stores a batch: each path's ledger entry, and its rows replaced as one. All of it in one
    /// transaction; when this returns, rows and text index are on disk. A path that comes twice counts
    /// with its last record. Returns the sequence number, which only rises when rows changed.
    ///
    /// # Errors
    /// Nothing of the batch is stored and nothing stored before is lost. [`StoreError::Text`] alone can
    /// come after the rows are durable: then the text index follows with the next change or opening.
    pub fn write(&mut self, records: &[FileRecord]) -> Result<u64, StoreError> {
        let last: HashMap<&str, usize> =
            records.iter().enumerate().map(|(index, record)| (record.path.as_str(), index)).collect();
        self.change(|batch| {
            for (index, record) in records.iter().enumerate() {
                if last.get(record.path.as_str()) == Some(&index) {
                    batch.record(record)?;
                }
            }
            Ok(())
        })?;
        Ok(self.meta.sequence)
    }

    /// Fills in missing vectors; a document whose last one comes in is `indexed`. Returns the sequence.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn add_vectors(&mut self, vectors: &[(ChunkId, Vector)]) -> Result<u64, StoreError> {
        let dimensions = self.meta.configuration.dimensions;
        if let Some((chunk, _)) = vectors.iter().find(|(_, vector)| vector.codes.len() != dimensions) {
            let what = format!("its vector does not have {dimensions} dimensions");
            return Err(StoreError::Record { path: format!("chunk {chunk}"), what });
        }
        self.change(|batch| vectors.iter().try_for_each(|(chunk, vector)| batch.add_vector(*chunk, vector)))?;
        Ok(self.meta.sequence)
    }

    /// Notes a new stat of files whose content did not change.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::DiskFull`].
    pub fn touch(&mut self, files: &[(&str, u64, i64)]) -> Result<(), StoreError> {
        self.in_ledger(|connection| {
            files.iter().try_for_each(|(path, size, modified_ns)| {
                ledger::touch(connection, path, *size, *modified_ns)
            })
        })
    }

    /// Makes every failed path wait for the next run; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::DiskFull`].
    pub fn retry_failed(&mut self) -> Result<u64, StoreError> {
        self.in_ledger(ledger::retry_failed)
    }

    /// Remembers a root that runs without paths refresh.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::DiskFull`].
    pub fn remember_root(&mut self, path: &str) -> Result<(), StoreError> {
        self.in_ledger(|connection| {
            connection
                .execute("INSERT OR IGNORE INTO root (path) VALUES (?1)", [path])
                .doing("remembering a root")
                .map(drop)
        })
    }

    /// Forgets a root, not what lies below it. Whether it was one.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::DiskFull`].
    pub fn forget_root(&mut self, path: &str) -> Result<bool, StoreError> {
        self.in_ledger(|connection| {
            connection
                .execute("DELETE FROM root WHERE path = ?1", [path])
                .doing("forgetting a root")
                .map(|rows| rows > 0)
        })
    }

    /// Takes paths out of the index; returns how many were in it.
    ///
    /// # Errors
    /// As [`Store::write`]; paths are removed in groups, so some may be gone already.
    pub fn forget(&mut self, paths: &[&str]) -> Result<u64, StoreError> {
        let mut removed = 0;
        for group in paths.chunks(PATHS_REMOVED_MAX) {
            removed += self.change(|batch| {
                group.iter().try_fold(0, |removed, path| Ok(removed + u64::from(batch.forget(path)?)))
            })?;
        }
        Ok(removed)
    }

    /// Takes a path and everything below it out of the index; returns how many paths.
    ///
    /// # Errors
    /// As [`Store::forget`].
    pub fn forget_below(&mut self, prefix: &str) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let paths = ledger::paths_below(&self.connection, prefix, None, PATHS_REMOVED_MAX)?;
            if paths.is_empty() {
                return Ok(removed);
            }
            removed += self.forget(&paths.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
    }

    /// Takes out of the index what lies below the roots that a run walked and was not seen there, unless
    /// it lies below a folder that could not be read whole. Returns how many paths.
    ///
    /// Whether a root that shows nothing at all is an empty folder or an unmounted disk is for the
    /// caller to judge: leave such a root out.
    ///
    /// # Errors
    /// As [`Store::forget`].
    pub fn sweep(&mut self, seen: &SeenSet, roots: &[&str], unreadable: &[&str]) -> Result<u64, StoreError> {
        let mut removed = 0;
        for root in roots {
            let mut after: Option<String> = None;
            loop {
                let page = ledger::paths_below(&self.connection, root, after.as_deref(), PATHS_READ_MAX)?;
                let Some(last) = page.last().cloned() else { break };
                let mut gone = Vec::new();
                for path in &page {
                    let spared = unreadable.iter().any(|folder| ledger::is_below(path, folder));
                    if !spared && !seen.contains(path)? {
                        gone.push(path.as_str());
                    }
                }
                removed += self.forget(&gone)?;
                after = Some(last);
            }
        }
        Ok(removed)
    }

    /// Closes the index and waits for what the text index still merges. Dropping does the same, silently.
    ///
    /// # Errors
    /// [`StoreError::Text`]; everything is on disk all the same.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.text.take().map_or(Ok(()), TextWriter::close)
    }

    /// One transaction on the ledger alone.
    fn in_ledger<T>(
        &mut self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let doing = "writing the ledger";
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let done = change(&transaction)?;
        transaction.commit().doing(doing)?;
        Ok(done)
    }

    /// One batch: rows, ledger and text index.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut text = self.text_in_step()?;
        let done = self.attempt(&mut text, change);
        if done.is_err() {
            self.terms.roll_back();
            // A writer that cannot even forget is opened afresh by the next change.
            self.text = text.roll_back().is_ok().then_some(text);
        } else {
            self.text = Some(text);
        }
        done
    }

    /// The text writer, at the sequence of the rows.
    fn text_in_step(&mut self) -> Result<TextWriter, StoreError> {
        match self.text.take() {
            Some(text) if text.has_reached(&self.meta.identity, self.meta.sequence) => return Ok(text),
            Some(text) => text.close()?,
            None => {}
        }
        recover::text_writer(&self.folder, &self.connection, &self.meta)
    }

    fn attempt<T>(
        &mut self,
        text: &mut TextWriter,
        change: impl FnOnce(&mut Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let doing = "committing a batch";
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let mut batch = Batch::new(&transaction, text, &mut self.terms, self.meta.clone());
        let done = change(&mut batch)?;
        let Some(meta) = batch.finish(self.meta.sequence)? else {
            transaction.commit().doing(doing)?;
            return Ok(done);
        };
        let reached = Reached { identity: meta.identity.clone(), sequence: meta.sequence };
        text.commit(reached, || {
            transaction.commit().doing(doing)?;
            self.meta = meta;
            Ok(done)
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(text) = self.text.take()
            && let Err(error) = text.close()
        {
            tracing::warn!(%error, "closing the text index");
        }
    }
}

/// Says what the index was made with and what it is asked to be, if they differ.
pub(super) fn check_configuration(stored: &Configuration, wanted: &Configuration) -> Result<(), StoreError> {
    // The name is a folder's; what decides is the hash.
    if (stored.hash, stored.dimensions) == (wanted.hash, wanted.dimensions) {
        return Ok(());
    }
    let name = |configuration: &Configuration| {
        let [a, b, c, d, ..] = configuration.hash;
        format!(
            "{} ({} dimensions, version {a:02x}{b:02x}{c:02x}{d:02x})",
            configuration.model, configuration.dimensions
        )
    };
    Err(StoreError::Configuration { stored: name(stored), wanted: name(wanted) })
}

fn lock_folder(folder: &Path) -> Result<Lock, StoreError> {
    fs::create_dir_all(folder).map_err(|source| StoreError::Io {
        doing: "make the folder",
        path: folder.to_path_buf(),
        source,
    })?;
    Lock::take(folder)
}

fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Damaged { .. } => true,
        StoreError::Database { source, .. } => {
            matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        }
        _ => false,
    }
}

#[cfg(test)]
impl Store {
    /// Lets the database grow by so many pages and no more: a full disk. Returns a limit that is none.
    pub(super) fn limit_pages(&self, more: i64) -> i64 {
        let pages: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        self.connection
            .query_row(&format!("PRAGMA max_page_count = {}", pages.saturating_add(more)), [], |_| Ok(()))
            .unwrap();
        i64::from(i32::MAX)
    }
}
