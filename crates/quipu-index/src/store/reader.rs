//! [`Reader`]: any number of readers in any number of processes, never blocked by the writer. It answers
//! what a run asks of the ledger, and gives out [`Snapshot`]s, which are what a search works on.

use std::ops::{Deref, DerefMut, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher};

use super::blocks::BlockCache;
use super::error::Doing;
use super::schema::{self, Meta};
use super::text::Reached;
use super::{
    Bitmap, ChunkId, Configuration, Counts, Document, LedgerEntry, Snapshot, State, Store, StoreError,
    Vector, documents, ledger, recover, text, writer,
};

/// Connections kept open between queries. More queries than that at once open and close their own.
const CONNECTIONS_IDLE_MAX: usize = 8;

/// How long a snapshot waits for a text index that it cannot bring together with the rows: one that is
/// being made anew, or that commits at this moment.
const TEXT_WAIT_MAX: Duration = Duration::from_millis(250);
const TEXT_WAIT_STEP: Duration = Duration::from_millis(2);

/// A way into an index for reading. Clones share their connections and what they keep in memory.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// What the queries of a process have in common.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
    text: Mutex<Option<TextView>>,
    pub(super) blocks: BlockCache,
    live: Mutex<Option<(u64, Arc<Bitmap>)>>,
}

/// The text index as it was last looked at.
struct TextView {
    index: Index,
    reader: IndexReader,
    reached: Option<Reached>,
}

/// How a snapshot's text index stands to its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Both show the same version.
    Same,
    /// The text index is some batches behind, which is so for a moment in each commit; these chunks were
    /// added since and are searched without it.
    Behind(Vec<Range<ChunkId>>),
    /// It is ahead, or of another index, or not there.
    Unknown,
}

impl Step {
    fn between(connection: &Connection, meta: &Meta, reached: Option<u64>) -> Result<Self, StoreError> {
        match reached {
            Some(reached) if reached == meta.sequence => Ok(Self::Same),
            Some(reached) if (meta.log_start..meta.sequence).contains(&reached) => {
                recover::added_since(connection, reached).map(Self::Behind)
            }
            _ => Ok(Self::Unknown),
        }
    }
}

/// A connection for as long as it is needed.
pub(super) struct Lease {
    connection: Option<Connection>,
    shared: Arc<Shared>,
}

impl Reader {
    /// Opens an index for reading. If its text index is behind its rows and nobody writes, it is brought
    /// forward first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NotAnIndex`] or [`StoreError::Newer`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let reader = Self::attach(folder)?;
        let meta = Meta::read(&*reader.lease()?)?;
        if reader.shared.searcher(&meta).1 != Some(meta.sequence) {
            match Store::open(folder) {
                Ok(store) => store.close()?,
                // Whoever writes will have brought it forward, and a read-only disk has to do as it is.
                Err(error) => tracing::debug!(%error, "leaving the text index as it is"),
            }
        }
        Ok(reader)
    }

    /// Opens an index for reading, as it is.
    pub(super) fn attach(folder: &Path) -> Result<Self, StoreError> {
        let first = schema::open_reader(folder)?;
        let shared = Shared {
            folder: folder.to_path_buf(),
            idle: Mutex::new(vec![first]),
            text: Mutex::new(None),
            blocks: BlockCache::default(),
            live: Mutex::new(None),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Where the index lies.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// What the index was made with.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn configuration(&self) -> Result<Configuration, StoreError> {
        Ok(Meta::read(&*self.lease()?)?.configuration)
    }

    /// Refuses a configuration that is not the index's own.
    ///
    /// # Errors
    /// [`StoreError::Configuration`], which names both and the way out.
    pub fn expect(&self, configuration: &Configuration) -> Result<(), StoreError> {
        writer::check_configuration(&self.configuration()?, configuration)
    }

    /// What the ledger knows of a path.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn entry(&self, path: &str) -> Result<Option<LedgerEntry>, StoreError> {
        ledger::entry(&*self.lease()?, path)
    }

    /// What the ledger knows of many paths, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn entries(&self, paths: &[&str]) -> Result<Vec<Option<LedgerEntry>>, StoreError> {
        let lease = self.lease_in_transaction()?;
        paths.iter().map(|path| ledger::entry(&lease, path)).collect()
    }

    /// Known vectors of chunks by the hash of what is embedded, in the order of the hashes.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn vectors_by_hash(&self, hashes: &[[u8; 32]]) -> Result<Vec<Option<Vector>>, StoreError> {
        let lease = self.lease_in_transaction()?;
        hashes.iter().map(|hash| documents::vector_by_hash(&lease, hash)).collect()
    }

    /// A whole document with this content under any path, with its chunks and all their vectors.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn document_by_content(&self, content_hash: &[u8; 32]) -> Result<Option<Document>, StoreError> {
        documents::by_content(&*self.lease_in_transaction()?, content_hash)
    }

    /// The roots that runs without paths refresh.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn roots(&self) -> Result<Vec<String>, StoreError> {
        ledger::roots(&*self.lease()?)
    }

    /// Paths per state and what is stored for them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let lease = self.lease_in_transaction()?;
        let meta = Meta::read(&lease)?;
        let stored = Counts {
            documents: meta.documents,
            chunks: meta.chunks,
            vectors: meta.vectors,
            ..ledger::counts(&lease)?
        };
        Ok(stored)
    }

    /// The first failures by path, with their reasons.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn failures(&self, limit: usize) -> Result<Vec<LedgerEntry>, StoreError> {
        self.ledger(Some(State::Failed), None, limit)
    }

    /// A page of the ledger by path, of one state or all, after a given path.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn ledger(
        &self,
        state: Option<State>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        ledger::page(&*self.lease()?, state, after, limit)
    }

    /// One consistent version of everything. Keep it for a query, not for longer: while it lives, the
    /// write-ahead log cannot shrink.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.snapshot_where(|step| *step != Step::Unknown)
    }

    /// A snapshot whose text index shows exactly its version, if that comes about soon.
    pub(super) fn snapshot_in_step(&self) -> Result<Snapshot, StoreError> {
        self.snapshot_where(|step| *step == Step::Same)
    }

    fn snapshot_where(&self, good: impl Fn(&Step) -> bool) -> Result<Snapshot, StoreError> {
        let deadline = Instant::now() + TEXT_WAIT_MAX;
        loop {
            let lease = self.lease_in_transaction()?;
            let meta = Meta::read(&lease)?;
            let (searcher, reached) = self.shared.searcher(&meta);
            let step = Step::between(&lease, &meta, reached)?;
            if good(&step) || Instant::now() >= deadline {
                return Ok(Snapshot::new(lease, meta, searcher, step));
            }
            drop(lease);
            thread::sleep(TEXT_WAIT_STEP);
        }
    }

    fn lease(&self) -> Result<Lease, StoreError> {
        let idle = locked(&self.shared.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.shared.folder)?,
        };
        Ok(Lease { connection: Some(connection), shared: Arc::clone(&self.shared) })
    }

    fn lease_in_transaction(&self) -> Result<Lease, StoreError> {
        let lease = self.lease()?;
        lease.execute_batch("BEGIN").doing("taking a snapshot")?;
        Ok(lease)
    }
}

impl Shared {
    /// A searcher over the text index, and the sequence that it shows, if that is known.
    fn searcher(&self, meta: &Meta) -> (Option<Searcher>, Option<u64>) {
        let mut view = locked(&self.text);
        if view.as_ref().is_none_or(|view| view.sequence(meta) != Some(meta.sequence)) {
            let looked = match view.take() {
                // What was open may have been replaced by a new text index under the same name.
                Some(known) => known.look_again().or_else(|_| TextView::open(&self.folder)),
                None => TextView::open(&self.folder),
            };
            match looked {
                Ok(looked) => *view = Some(looked),
                Err(error) => tracing::debug!(%error, "the text index cannot be read"),
            }
        }
        match &*view {
            Some(view) => (Some(view.reader.searcher()), view.sequence(meta)),
            None => (None, None),
        }
    }

    /// The chunks of a version.
    pub(super) fn live(&self, connection: &Connection, sequence: u64) -> Result<Arc<Bitmap>, StoreError> {
        if let Some((known, live)) = &*locked(&self.live)
            && *known == sequence
        {
            return Ok(Arc::clone(live));
        }
        let live = Arc::new(documents::live(connection)?);
        let mut kept = locked(&self.live);
        if kept.as_ref().is_none_or(|(known, _)| *known < sequence) {
            *kept = Some((sequence, Arc::clone(&live)));
        }
        Ok(live)
    }
}

impl TextView {
    fn open(folder: &Path) -> tantivy::Result<Self> {
        let index = text::open(folder)?;
        let before = Reached::of(&index)?;
        let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Self { index, reader, reached: None }.settle(before)
    }

    fn look_again(self) -> tantivy::Result<Self> {
        let before = Reached::of(&self.index)?;
        self.reader.reload()?;
        self.settle(before)
    }

    /// A commit between reading the payload and opening the segments makes the version unknown.
    fn settle(mut self, before: Option<Reached>) -> tantivy::Result<Self> {
        let after = Reached::of(&self.index)?;
        self.reached = before.filter(|before| Some(before) == after.as_ref());
        Ok(self)
    }

    fn sequence(&self, meta: &Meta) -> Option<u64> {
        self.reached.as_ref().filter(|r| r.identity == meta.identity).map(|r| r.sequence)
    }
}

impl Lease {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let at_rest = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
        let mut idle = locked(&self.shared.idle);
        if at_rest && idle.len() < CONNECTIONS_IDLE_MAX {
            idle.push(connection);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
