//! The run's eyes: walks the roots, compares each path with the ledger, and sends on what is due.
//!
//! One blocking thread. An unchanged file costs one stat and its share of one question to the ledger; what is
//! due goes into a channel of a named length, so a scout is never far ahead of the pipeline. Paths are also put
//! into the set of those seen, by which the run tells afterwards which files are gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::Sender;

use super::item::{Content, Item};
use super::report::Tally;
use super::roots::{Doubt, identity, text};
use crate::IndexError;
use crate::store::{FailureKind, LedgerEntry, Reader, SeenSet, State};
use crate::walk::{Apart, Found, Walk, What};

/// Paths that wait in the channel between scout and pipeline.
pub(crate) const CHANNEL_ITEMS_MAX: usize = 256;

/// Paths that one question to the ledger asks for.
const PATHS_AT_ONCE: usize = 64;

/// Folders that could not be read, or roots that are gone, which a run remembers; past this it removes nothing.
const PROBLEMS_MAX: usize = 10_000;

/// Prefix of the reason for skipping a large file.
const TOO_LARGE: &str = "too large: ";

/// Walks roots on behalf of one run.
pub(crate) struct Scout {
    pub(crate) reader: Reader,
    pub(crate) configuration_hash: [u8; 32],
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) apart: Apart,
    pub(crate) retry_failed: bool,
    pub(crate) sizes: SizeLimits,
    pub(crate) tally: Arc<Tally>,
}

/// Above which size a file is left out, and the flag that says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SizeLimits {
    /// `--max-file-size`.
    pub(crate) file_bytes_max: u64,
    /// What `--memory` can hold of one file while it is worked on.
    pub(crate) fits_memory_bytes: u64,
}

/// What a scout brings home.
pub(crate) struct Scouted {
    pub(crate) seen: SeenSet,
    /// Roots that were walked to their end.
    pub(crate) walked: Vec<String>,
    /// Roots whose silence may not be the truth.
    pub(crate) doubtful: Vec<(String, Doubt)>,
    /// Paths below which nothing is known.
    pub(crate) unreadable: Vec<String>,
    /// Items sent on.
    pub(crate) sent: u64,
    /// Whether all roots were walked; a drained run's were not.
    pub(crate) complete: bool,
}

impl SizeLimits {
    /// The least of the limits: no more than this is ever read of a file.
    pub(crate) fn least(self) -> u64 {
        self.file_bytes_max.min(self.fits_memory_bytes)
    }

    fn above_file_limit(self, bytes: u64) -> String {
        format!("{TOO_LARGE}{}, --max-file-size is {}", mib(bytes), mib(self.file_bytes_max))
    }

    fn above_memory(self, bytes: u64) -> String {
        let room = mib(self.fits_memory_bytes);
        format!("{TOO_LARGE}{}, --memory leaves room for files up to {room}", mib(bytes))
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl Scout {
    /// Walks every root and sends what is due; ends early when the pipeline no longer listens.
    pub(crate) fn run(self, items: &Sender<Item>) -> Result<Scouted, IndexError> {
        let mut scouted = Scouted {
            seen: SeenSet::new()?,
            walked: Vec::new(),
            doubtful: Vec::new(),
            unreadable: Vec::new(),
            sent: 0,
            complete: true,
        };
        for root in &self.roots {
            let doubt = self.walk_root(root, items, &mut scouted)?;
            if !scouted.complete {
                break;
            }
            match doubt {
                Some(doubt) => scouted.doubtful.push((text(root), doubt)),
                None => scouted.walked.push(text(root)),
            }
        }
        Ok(scouted)
    }

    /// Walks one root; says what is in doubt about it.
    fn walk_root(
        &self,
        root: &Path,
        items: &Sender<Item>,
        scouted: &mut Scouted,
    ) -> Result<Option<Doubt>, IndexError> {
        let doubt = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Doubt::Missing,
            _ => Doubt::Unreadable(error.to_string()),
        };
        let start = || Ok((identity(root)?, Walk::new(root, Arc::new(self.apart_from(root)))?));
        let (before, walk) = match start() {
            Ok(started) => started,
            Err(error) => return Ok(Some(doubt(error))),
        };
        if walk.is_empty_folder() {
            return Ok(Some(Doubt::Empty));
        }
        self.walk(walk, items, scouted)?;
        // A disk that is unmounted meanwhile shows ever fewer files: then nobody knows which are gone.
        Ok(match identity(root) {
            Ok(after) if after == before => None,
            Ok(_) => Some(Doubt::Unreadable("another folder took its place while it was walked".to_owned())),
            Err(error) => Some(doubt(error)),
        })
    }

    fn apart_from(&self, root: &Path) -> Apart {
        let mut apart = self.apart.clone();
        apart.roots = self.roots.iter().filter(|&other| other != root).cloned().collect();
        apart
    }

    /// Sends what is due of all that a walk shows, as long as the pipeline listens.
    fn walk(&self, walk: Walk, items: &Sender<Item>, scouted: &mut Scouted) -> Result<(), IndexError> {
        let mut walk = walk.peekable();
        while walk.peek().is_some() {
            if !scouted.complete || items.is_closed() {
                scouted.complete = false;
                break;
            }
            let group: Vec<Found> = walk.by_ref().take(PATHS_AT_ONCE).collect();
            let paths: Vec<&str> = group.iter().map(|found| found.path.as_str()).collect();
            scouted.seen.insert(&paths)?;
            let entries = self.reader.entries(&paths)?;
            self.tally.shown.fetch_add(group.len() as u64, Ordering::Relaxed);
            for (found, entry) in group.into_iter().zip(entries) {
                if matches!(found.what, What::Unreadable(_)) && scouted.unreadable.len() <= PROBLEMS_MAX {
                    scouted.unreadable.push(found.path.clone());
                }
                match self.due(found, entry) {
                    Some(item) => {
                        scouted.complete &= items.blocking_send(item).is_ok();
                        scouted.sent += 1;
                    }
                    None => _ = self.tally.unchanged.fetch_add(1, Ordering::Relaxed),
                }
            }
        }
        Ok(())
    }

    /// The item to send for a path, if there is anything to do for it.
    fn due(&self, found: Found, entry: Option<LedgerEntry>) -> Option<Item> {
        let item = Item {
            path: found.path,
            size: found.size,
            modified_ns: found.modified_ns,
            content_hash: None,
            settled_hash: None,
            content: Content::Unread,
        };
        let entry = entry.as_ref();
        match found.what {
            What::Skipped(why) => self.skip_if_new(item, why, entry),
            What::Unreadable(why) => {
                let known =
                    entry.is_some_and(|entry| entry.state == State::Failed && !self.wants_retry(entry));
                (!known).then(|| item.fail(FailureKind::Io, &why))
            }
            What::File if item.size > self.sizes.file_bytes_max => {
                let why = self.sizes.above_file_limit(item.size);
                self.skip_if_new(item, why, entry)
            }
            What::File if item.size == 0 => self.skip_if_new(item, "empty".to_owned(), entry),
            What::File => self.read_if_due(item, entry),
        }
    }

    fn skip_if_new(&self, item: Item, why: String, entry: Option<&LedgerEntry>) -> Option<Item> {
        let known = entry.is_some_and(|entry| {
            entry.state == State::Skipped
                && entry.message.as_deref() == Some(&why)
                && (entry.size, entry.modified_ns) == (item.size, item.modified_ns)
        });
        (!known).then(|| item.skip(why))
    }

    fn read_if_due(&self, mut item: Item, entry: Option<&LedgerEntry>) -> Option<Item> {
        if let Some(entry) = entry {
            let retry = self.wants_retry(entry);
            // Skipped without a look inside (ignored, too large), and no longer so: as if it were new.
            let first_look = entry.state == State::Skipped && entry.content_hash.is_none();
            if !retry && !first_look && !entry.is_due(item.size, item.modified_ns, &self.configuration_hash) {
                return None;
            }
            let settled = entry.state != State::Pending
                && entry.configuration_hash == self.configuration_hash
                && !retry;
            item.settled_hash = entry.content_hash.filter(|_| settled);
        }
        if item.size <= self.sizes.fits_memory_bytes {
            return Some(item);
        }
        // The limit moves with what is free, so a skip for it is not written again for a new figure; and a file
        // that is indexed and unchanged was let go above, whatever is free today.
        let known = entry.is_some_and(|entry| {
            entry.state == State::Skipped
                && entry.message.as_deref().is_some_and(|why| why.starts_with(TOO_LARGE))
                && (entry.size, entry.modified_ns) == (item.size, item.modified_ns)
        });
        let why = self.sizes.above_memory(item.size);
        (!known).then(|| item.skip(why))
    }

    /// Whether a failed path is tried again although nothing about it changed.
    fn wants_retry(&self, entry: &LedgerEntry) -> bool {
        let attempts_left = entry.is_due(entry.size, entry.modified_ns, &self.configuration_hash);
        entry.state == State::Failed && (self.retry_failed || attempts_left)
    }
}

impl Scouted {
    /// Whether more could not be read than a run remembers: then it does not know what is gone.
    pub(crate) fn lost_count(&self) -> bool {
        self.unreadable.len() > PROBLEMS_MAX
    }
}
