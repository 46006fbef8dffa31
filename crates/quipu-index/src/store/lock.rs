//! One writer at a time: an OS lock on `lock`, which dies with its process, and `owner` beside it, which
//! says in words who holds it. The owner file is only a note: nobody decides anything by it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::StoreError;

const LOCK_FILE: &str = "lock";
const OWNER_FILE: &str = "owner";

/// Who writes: what the second one is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Seconds since 1970 (UTC).
    pub started: u64,
}

impl Owner {
    fn this_process() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        Self { pid: std::process::id(), host: host_name(), started }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return write!(formatter, "another process");
        }
        let host = if self.host.is_empty() { "an unnamed machine" } else { &self.host };
        let started = super::time::iso_from_seconds(self.started.cast_signed());
        write!(formatter, "process {} on {host} since {started}", self.pid)
    }
}

/// The right to write, held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    // The lock goes when the handle closes, on any death of the process.
    _file: File,
    owner_path: PathBuf,
}

impl Lock {
    /// Takes the lock of an index folder, or says who has it.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let owner_path = folder.join(OWNER_FILE);
        let io = |doing, path: &Path| {
            let path = path.to_path_buf();
            move |source| StoreError::Io { doing, path, source }
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io("open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = read_owner(&owner_path);
                return Err(StoreError::Locked { folder: folder.to_path_buf(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
        }
        // A full disk must not keep anybody from an index that only wants to forget something.
        if let Ok(note) = serde_json::to_vec(&Owner::this_process())
            && let Err(error) = fs::write(&owner_path, note)
        {
            tracing::warn!(path = %owner_path.display(), %error, "cannot note the lock's owner");
        }
        Ok(Self { _file: file, owner_path })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A stale note is harmless, so there is nothing to do when this fails.
        let _ = fs::remove_file(&self.owner_path);
    }
}

fn read_owner(path: &Path) -> Owner {
    fs::read(path).ok().and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default()
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        match Lock::take(folder.path()) {
            Err(StoreError::Locked { owner, .. }) => assert_eq!(owner.pid, std::process::id()),
            other => panic!("expected Locked, got {other:?}"),
        }
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_note_left_by_a_dead_process_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(OWNER_FILE), "{garbage").unwrap();
        fs::write(folder.path().join(LOCK_FILE), "").unwrap();
        Lock::take(folder.path()).unwrap();
    }
}
