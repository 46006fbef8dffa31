//! What each stage of the pipeline does to an item; which order they come in is `pipeline`'s to say, how vectors are
//! made `embed`'s and `remote`'s.
//!
//! Stages that wait are async and hand blocking calls to Tokio's blocking threads; stages that compute are plain
//! functions. A stage passes on, untouched, what is not its business.

use std::fs::File;
use std::io::{self, Read};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use quipu_embed::Embedder;
use quipu_extract::worker::WorkerPool;
use quipu_extract::{Limits, extract, identify};

use super::item::{Content, Item, Settled};
use super::report::Tally;
use crate::IndexError;
use crate::chunk::chunk;
use crate::store::{FailureKind, Outcome, Reader, StoreError};
use crate::walk::modified_ns;

/// A file changed so shortly before it was read may change again without its time changing: it is looked at
/// again by the next run, however its stat looks then. Kernels tick every 4 to 10 ms.
const TRUSTED_AGE: Duration = Duration::from_millis(20);

/// The same for file systems that know whole seconds only; FAT knows every other.
const TRUSTED_AGE_COARSE: Duration = Duration::from_secs(2);

const NANOSECONDS: i64 = 1_000_000_000;

/// Most vectors that one question to the store asks for.
const KNOWN_VECTORS_MAX: usize = 1_024;

/// What the stages share.
pub(crate) struct Stages {
    pub(crate) reader: Reader,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) workers: WorkerPool,
    pub(crate) limits: Limits,
    pub(crate) file_bytes_max: u64,
    pub(crate) tally: Arc<Tally>,
}

impl Stages {
    /// Reads the file, unless it is settled; then settles it where the index knows its bytes already.
    pub(crate) async fn read(self: Arc<Self>, item: Item) -> Result<Item, IndexError> {
        if !matches!(item.content, Content::Unread) {
            return Ok(item);
        }
        blocking(move || self.read_now(item)).await
    }

    fn read_now(&self, mut item: Item) -> Result<Item, StoreError> {
        let bytes = match read_file(&mut item, self.file_bytes_max) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(item.skip("too large: it grew while it was read")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                item.content = Content::Settled(Settled::Gone);
                return Ok(item);
            }
            Err(error) => return Ok(item.fail(FailureKind::Io, &error.to_string())),
        };
        self.tally.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let hash = *blake3::hash(&bytes).as_bytes();
        item.content_hash = Some(hash);
        if item.settled_hash == Some(hash) {
            item.content = Content::Settled(Settled::Same);
            return Ok(item);
        }
        if bytes.is_empty() {
            return Ok(item.skip("empty"));
        }
        let name = Path::new(&item.path).file_name().map_or("".into(), |name| name.to_string_lossy());
        // A panic here would stop the run, which the store's errors do and a file's bytes must not.
        let Ok(format) = catch_unwind(|| identify(&name, &bytes)) else {
            return Ok(item.fail(FailureKind::Panic, "telling its format panicked"));
        };
        match self.reader.document_by_content(&hash)? {
            Some(document) if document.format == format.name() && document.mime == format.mime() => {
                self.tally.copied.fetch_add(1, Ordering::Relaxed);
                Ok(item.settle(Outcome::Indexed(Box::new(document))))
            }
            _ => {
                item.content = Content::Bytes(bytes, format);
                Ok(item)
            }
        }
    }

    /// Has a worker process extract the formats that parse foreign bytes.
    pub(crate) async fn extract_in_worker(self: Arc<Self>, mut item: Item) -> Result<Item, IndexError> {
        match &item.content {
            Content::Bytes(bytes, format) if format.is_foreign() => {
                match self.workers.extract(format, bytes).await {
                    Ok(extracted) => item.content = Content::Text(Box::new(extracted)),
                    Err(error) => return Ok(item.not_extracted(error)),
                }
            }
            _ => {}
        }
        Ok(item)
    }

    /// Extracts, in this process, what cannot hang or crash it.
    pub(crate) fn extract(&self, mut item: Item) -> Item {
        let Content::Bytes(bytes, format) = &item.content else { return item };
        match extract(format, bytes, &self.limits) {
            Ok(extracted) => {
                item.content = Content::Text(Box::new(extracted));
                item
            }
            Err(error) => item.not_extracted(error),
        }
    }

    /// Cuts the text into chunks that fit the model.
    pub(crate) fn chunk(&self, mut item: Item) -> Item {
        if !matches!(item.content, Content::Text(_)) {
            return item;
        }
        let Content::Text(extracted) = std::mem::replace(&mut item.content, Content::Unread) else {
            return item;
        };
        let pieces = chunk(&extracted, self.embedder.tokenizer(), &self.embedder.info().prompts.document);
        if pieces.is_empty() {
            return item.without_text(&extracted);
        }
        self.tally.chunks.fetch_add(pieces.len() as u64, Ordering::Relaxed);
        item.chunked(*extracted, pieces)
    }

    /// Gives each chunk whose like the index has embedded before the vector of that one.
    pub(crate) async fn recall(self: Arc<Self>, item: Item) -> Result<Item, IndexError> {
        if !matches!(item.content, Content::Chunks(..)) {
            return Ok(item);
        }
        blocking(move || self.recall_now(item)).await
    }

    fn recall_now(&self, mut item: Item) -> Result<Item, StoreError> {
        let Content::Chunks(document, waiting) = &mut item.content else { return Ok(item) };
        for chunks in document.chunks.chunks_mut(KNOWN_VECTORS_MAX) {
            let hashes: Vec<[u8; 32]> = chunks.iter().map(|chunk| chunk.hash).collect();
            for (chunk, known) in chunks.iter_mut().zip(self.reader.vectors_by_hash(&hashes)?) {
                chunk.vector = known;
            }
        }
        waiting.retain(|chunk| document.chunks[chunk.chunk].vector.is_none());
        Ok(item)
    }
}

/// Reads a whole file of at most `bytes_max` bytes and notes in `item` what stat says of it while it is open;
/// `None` if it is larger.
fn read_file(item: &mut Item, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let started = SystemTime::now();
    let file = open(Path::new(&item.path))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no longer a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(bytes_max)).unwrap_or(0));
    (&file).take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Ok(None);
    }
    item.size = bytes.len() as u64;
    let age = metadata.modified().ok().and_then(|modified| started.duration_since(modified).ok());
    let coarse = modified_ns(&metadata) % NANOSECONDS == 0;
    let settled = age.is_some_and(|age| age > if coarse { TRUSTED_AGE_COARSE } else { TRUSTED_AGE });
    let unchanged = file.metadata()?.modified().ok() == metadata.modified().ok();
    // A nanosecond beside the truth makes the next run look again.
    item.modified_ns = modified_ns(&metadata).saturating_add(i64::from(!(settled && unchanged)));
    Ok(Some(bytes))
}

/// Opens a file that the walk saw; what took its place meanwhile, a pipe or a link, must not hold or lead away.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)
}

/// Opens a file that the walk saw.
#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, IndexError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => match error.try_into_panic() {
            // Let the engine, which contains panics, see this one as the stage's own.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(IndexError::Interrupted),
        },
    }
}
