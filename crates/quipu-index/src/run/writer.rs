//! The run's hand: turns finished items into one transaction, and failures of our own code into ledger entries.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use quipu_flow::{Failed, ItemError};

use super::item::{ForStore, Item, brief};
use super::report::Tally;
use super::stages::blocking;
use crate::IndexError;
use crate::store::{Failure, FailureKind, FileRecord, Outcome, Store, StoreError};
use crate::walk::modified_ns;

/// The store, and who counts what goes into it.
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) tally: Arc<Tally>,
}

/// Where the one writer sits while its run goes; empty once the run has ended. A cancelled run may leave a write
/// behind that has not begun: it finds nobody there.
pub(crate) type Desk = Mutex<Option<Writer>>;

impl Writer {
    /// Takes the writer away at the end of its run, after a write that is under way.
    pub(crate) fn retire(desk: &Desk) -> Result<Self, StoreError> {
        desk.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(StoreError::Closed)
    }

    /// Does `work` with the writer, on a thread that may block.
    async fn at<T: Send + 'static>(
        desk: Arc<Desk>,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, IndexError> {
        blocking(move || {
            let mut writer = desk.lock().unwrap_or_else(PoisonError::into_inner);
            work(writer.as_mut().ok_or(StoreError::Closed)?)
        })
        .await
    }

    /// Writes a batch of documents, ledger included, as one transaction; durable when it returns.
    pub(crate) async fn write(desk: Arc<Desk>, items: Vec<Item>) -> Result<(), IndexError> {
        Self::at(desk, move |writer| writer.write_now(items)).await
    }

    fn write_now(&mut self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut same = Vec::new();
        let mut records = Vec::with_capacity(items.len());
        for item in items {
            match item.for_store() {
                ForStore::Record(record) => records.push(record),
                ForStore::Stat(path, size, modified_ns) => same.push((path, size, modified_ns)),
                ForStore::Nothing => _ = self.tally.vanished.fetch_add(1, Ordering::Relaxed),
            }
        }
        if !records.is_empty() {
            self.store.write(&records)?;
        }
        if !same.is_empty() {
            let stats: Vec<_> =
                same.iter().map(|(path, size, modified_ns)| (path.as_str(), *size, *modified_ns)).collect();
            self.store.touch(&stats)?;
        }
        self.tally.refreshed.fetch_add(same.len() as u64, Ordering::Relaxed);
        records.iter().for_each(|record| self.count(record));
        Ok(())
    }

    /// Records a file that our own code failed on (a panic, a stage's error).
    pub(crate) async fn failed(desk: Arc<Desk>, failed: Failed) -> Result<(), IndexError> {
        Self::at(desk, move |writer| {
            let record = failure_record(failed);
            writer.store.write(std::slice::from_ref(&record))?;
            writer.count(&record);
            Ok(())
        })
        .await
    }

    fn count(&self, record: &FileRecord) {
        let counter = match record.outcome {
            Outcome::Indexed(_) => &self.tally.indexed,
            Outcome::Failed(_) => &self.tally.failed,
            Outcome::Skipped(_) => &self.tally.skipped,
            Outcome::Pending(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn failure_record(failed: Failed) -> FileRecord {
    let path = failed.key.unwrap_or_else(|| format!("(unnamed item {})", failed.position));
    let metadata = std::fs::metadata(Path::new(&path)).ok();
    let kind = match failed.error {
        ItemError::Panic(_) => FailureKind::Panic,
        _ if failed.stage == "embed" => FailureKind::Embed,
        _ => FailureKind::Other,
    };
    let message = brief(&format!("in stage '{}': {}", failed.stage, failed.error));
    FileRecord {
        path,
        size: metadata.as_ref().map_or(0, std::fs::Metadata::len),
        modified_ns: metadata.as_ref().map_or(0, modified_ns),
        content_hash: None,
        outcome: Outcome::Failed(Failure { kind, message }),
    }
}
