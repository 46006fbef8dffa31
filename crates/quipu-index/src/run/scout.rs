//! The run's eyes: walks the roots, compares each path with the ledger, and sends on what is due.
//!
//! One blocking thread. An unchanged file costs one stat and its share of one question to the ledger; what is
//! due goes into a channel of a named length, so a scout is never far ahead of the pipeline. Paths are also put
//! into the set of those seen, by which the run tells afterwards which files are gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::Sender;

use super::item::{Content, Item};
use super::report::Tally;
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
    /// Remembered roots that this run does not walk: what lies below them is not its business.
    pub(crate) elsewhere: Vec<String>,
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
    /// Roots that are not there, and why: nothing below them is removed.
    pub(crate) missing: Vec<(String, String)>,
    /// Roots that show nothing: an unmounted disk looks so too.
    pub(crate) empty: Vec<String>,
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

    fn reason_to_skip(self, bytes: u64) -> Option<String> {
        const MIB: f64 = (1 << 20) as f64;
        let size = bytes as f64 / MIB;
        if bytes > self.file_bytes_max {
            let limit = self.file_bytes_max as f64 / MIB;
            return Some(format!("{TOO_LARGE}{size:.1} MiB, --max-file-size is {limit:.1} MiB"));
        }
        (bytes > self.fits_memory_bytes).then(|| {
            let limit = self.fits_memory_bytes as f64 / MIB;
            format!("{TOO_LARGE}{size:.1} MiB, --memory leaves room for files up to {limit:.1} MiB")
        })
    }
}

impl Scout {
    /// Walks every root and sends what is due; ends early when the pipeline no longer listens.
    pub(crate) fn run(self, items: &Sender<Item>) -> Result<Scouted, IndexError> {
        let mut scouted = Scouted {
            seen: SeenSet::new()?,
            walked: Vec::new(),
            missing: Vec::new(),
            empty: Vec::new(),
            unreadable: self.elsewhere.clone(),
            sent: 0,
            complete: true,
        };
        for root in &self.roots {
            match Walk::new(root, Arc::new(self.apart_from(root))) {
                Ok(walk) => {
                    let shown = self.walk(walk, items, &mut scouted)?;
                    scouted.note_root(root, shown);
                }
                Err(error) => scouted.missing.push((text(root), error.to_string())),
            }
            if !scouted.complete {
                break;
            }
        }
        Ok(scouted)
    }

    fn apart_from(&self, root: &Path) -> Apart {
        let mut apart = self.apart.clone();
        apart.roots = self.roots.iter().filter(|&other| other != root).cloned().collect();
        apart
    }

    /// Walks one root; returns how many paths it showed.
    fn walk(&self, walk: Walk, items: &Sender<Item>, scouted: &mut Scouted) -> Result<u64, IndexError> {
        let mut shown = 0;
        let mut walk = walk.peekable();
        while walk.peek().is_some() && scouted.complete {
            let group: Vec<Found> = walk.by_ref().take(PATHS_AT_ONCE).collect();
            shown += group.len() as u64;
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
        Ok(shown)
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
            What::File => match self.sizes.reason_to_skip(item.size) {
                Some(why) => self.skip_if_new(item, why, entry),
                None if item.size == 0 => self.skip_if_new(item, "empty".to_owned(), entry),
                None => self.read_if_due(item, entry),
            },
        }
    }

    fn skip_if_new(&self, item: Item, why: String, entry: Option<&LedgerEntry>) -> Option<Item> {
        let known = |entry: &LedgerEntry| {
            entry.state == State::Skipped
                && entry.message.as_deref() == Some(&why)
                && (entry.size, entry.modified_ns) == (item.size, item.modified_ns)
        };
        (!entry.is_some_and(known)).then(|| item.skip(why))
    }

    fn read_if_due(&self, mut item: Item, entry: Option<&LedgerEntry>) -> Option<Item> {
        let Some(entry) = entry else { return Some(item) };
        let retry = self.wants_retry(entry);
        // Skipped without a look inside (ignored, too large), and no longer so: as if it were new.
        let first_look = entry.state == State::Skipped && entry.content_hash.is_none();
        if !retry && !first_look && !entry.is_due(item.size, item.modified_ns, &self.configuration_hash) {
            return None;
        }
        let settled = matches!(entry.state, State::Indexed | State::Skipped | State::Failed)
            && entry.configuration_hash == self.configuration_hash
            && !retry;
        item.settled_hash = entry.content_hash.filter(|_| settled);
        Some(item)
    }

    /// Whether a failed path is tried again although nothing about it changed.
    fn wants_retry(&self, entry: &LedgerEntry) -> bool {
        let attempts_left = entry.is_due(entry.size, entry.modified_ns, &self.configuration_hash);
        entry.state == State::Failed && (self.retry_failed || attempts_left)
    }
}

impl Scouted {
    fn note_root(&mut self, root: &Path, shown: u64) {
        if !self.complete {
            return;
        }
        if shown == 0 {
            self.empty.push(text(root));
        } else {
            self.walked.push(text(root));
        }
    }

    /// Whether it is known well enough what is gone.
    pub(crate) fn may_remove(&self) -> bool {
        self.complete && self.unreadable.len() <= PROBLEMS_MAX
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
