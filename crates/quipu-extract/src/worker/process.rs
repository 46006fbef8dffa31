//! One worker process ([`Worker`]): started, asked, watched, ended; and the [`Registry`] of the
//! process ids that live.

use std::collections::BTreeSet;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::memory;
use super::pool::WorkerConfig;
use super::protocol::{self, Answer, PREFIX_BYTES, Request};
use crate::document::one_line;
use crate::{ExtractError, Format};

/// How much of the end of a worker's standard error is kept.
const STDERR_BYTES_MAX: usize = 4096;
/// Longest line of it that an error quotes, in bytes.
const STDERR_LINE_BYTES_MAX: usize = 300;
/// How long a worker that was asked to end, or that seems to be dying, is waited for before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// A living worker. Dropping it kills the process; the runtime reaps it.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: JoinHandle<Vec<u8>>,
    files: usize,
    entry: Entry,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Timeout,
    Memory,
    /// It did not take the file: it had died before, or died of reading it.
    NotTaken(io::Error),
    /// It took the file and gave no answer; or what it said made no sense.
    Broken(io::Error),
}

/// How to end a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// By closing its standard input, and by force after a grace.
    Asked,
    /// It seems to be dying by itself: by force after a grace.
    Dying,
    /// By force.
    Killed,
}

/// How a worker ended.
pub(super) struct Obituary {
    status: Option<ExitStatus>,
    killed: bool,
    last_line: Option<String>,
}

impl Worker {
    pub(super) fn start(config: &WorkerConfig, registry: &Arc<Registry>) -> Result<Self, ExtractError> {
        let failed = |source| ExtractError::Io { doing: "starting a worker process".into(), source };
        let mut command = Command::new(&config.command);
        command
            .args(&config.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A Ctrl-C at the terminal goes to the whole process group. It is for the program to drain its work; its
        // workers must not die of it first.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id());
        let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) = pipes else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let entry = Entry::new(pid, registry);
        Ok(Worker { child, stdin, stdout, stderr: tokio::spawn(drain(stderr)), files: 0, entry })
    }

    /// Hands over one file and waits for the answer, within the limits of time and memory.
    pub(super) async fn ask(
        &mut self,
        format: &Format,
        bytes: &[u8],
        config: &WorkerConfig,
    ) -> Result<Answer, Failure> {
        self.files += 1;
        let pid = self.entry.pid;
        let registry = Arc::clone(&self.entry.registry);
        tokio::select! {
            biased;
            answer = self.exchange(format, bytes, config) => answer,
            () = sleep(config.time_max) => Err(Failure::Timeout),
            () = grows_beyond(config.memory_bytes_max, pid, &registry) => Err(Failure::Memory),
        }
    }

    async fn exchange(
        &mut self,
        format: &Format,
        bytes: &[u8],
        config: &WorkerConfig,
    ) -> Result<Answer, Failure> {
        let request = Request { format: *format, limits: config.limits.clone() };
        let head = protocol::head(&request, bytes.len()).map_err(Failure::Broken)?;
        self.stdin.write_all(&head).await.map_err(Failure::NotTaken)?;
        self.stdin.write_all(bytes).await.map_err(Failure::NotTaken)?;
        self.stdin.flush().await.map_err(Failure::NotTaken)?;
        // That the pipe holds the request says nothing: whoever was to read it may be on its way out.
        let mut taken = [0; protocol::TAKEN.len()];
        self.stdout.read_exact(&mut taken).await.map_err(Failure::NotTaken)?;
        protocol::taken(taken).map_err(Failure::Broken)?;
        // No text is longer than its limit, and none came out of a memory smaller than it.
        let body_bytes_max = config.memory_bytes_max.min(config.limits.text_bytes_max as u64);
        read_answer(&mut self.stdout, body_bytes_max).await.map_err(Failure::Broken)
    }

    /// How many files it has been given.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// Its private memory now; 0 where unknown.
    pub(super) fn private_bytes(&self) -> u64 {
        self.entry.registry.look(self.entry.pid)
    }

    /// Whether it still runs, as far as the system tells: of a process that is just ending it may say so, too.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process, reaps it, and reports.
    pub(super) async fn end(self, ending: Ending) -> Obituary {
        let Worker { mut child, stdin, stdout, stderr, files: _, entry } = self;
        drop((stdin, stdout));
        let mut status = None;
        if ending != Ending::Killed {
            status = timeout(GRACE, child.wait()).await.ok().and_then(Result::ok);
        }
        let killed = status.is_none();
        if killed {
            // Fails only if the process has just ended by itself.
            let _ = child.kill().await;
            status = child.wait().await.ok();
        }
        drop(entry);
        let tail = timeout(GRACE, stderr).await.ok().and_then(Result::ok).unwrap_or_default();
        Obituary { status, killed, last_line: last_line(&tail) }
    }
}

impl Obituary {
    /// What happened, in words: signal or code, or what was wrong with its answer, and its last line.
    pub(super) fn describe(&self, error: &io::Error) -> String {
        let mut words = match self.status {
            // It was we who ended it, so its status tells nothing.
            _ if self.killed => format!("no sensible answer ({error})"),
            Some(status) if status.success() => format!("ended without an answer ({error})"),
            Some(status) => status.to_string(),
            None => format!("no status ({error})"),
        };
        if let Some(line) = &self.last_line {
            words.push_str(": ");
            words.push_str(line);
        }
        words
    }
}

async fn read_answer(stdout: &mut (impl AsyncRead + Unpin), body_bytes_max: u64) -> io::Result<Answer> {
    let mut prefix = [0; PREFIX_BYTES];
    stdout.read_exact(&mut prefix).await?;
    let lengths = protocol::lengths(&prefix)?;
    if lengths.body as u64 > body_bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its text is larger than allowed"));
    }
    let header = read_bytes(stdout, lengths.header).await?;
    let body = read_bytes(stdout, lengths.body).await?;
    protocol::join(protocol::header(&header)?, body)
}

/// Reads so many bytes, growing as they come: a length is only a promise.
async fn read_bytes(stdout: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdout.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// Returns once the process has more private memory than allowed.
async fn grows_beyond(bytes_max: u64, pid: u32, registry: &Registry) {
    while registry.look(pid) <= bytes_max {
        sleep(WorkerConfig::MEMORY_LOOK_EVERY).await;
    }
}

/// Reads standard error to its end, so that the worker never blocks on it, and keeps the last part.
async fn drain(mut stderr: ChildStderr) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut piece = [0; STDERR_BYTES_MAX];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        tail.extend_from_slice(&piece[..length]);
        let excess = tail.len().saturating_sub(STDERR_BYTES_MAX);
        tail.drain(..excess);
    }
    tail
}

fn last_line(tail: &[u8]) -> Option<String> {
    String::from_utf8_lossy(tail).lines().rev().find_map(|line| one_line(line, STDERR_LINE_BYTES_MAX))
}

/// The process ids of all living workers, and the most memory that any of them was seen to have.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pids: Mutex<BTreeSet<u32>>,
    memory_bytes_peak: AtomicU64,
}

/// A worker's place in the registry, given up when dropped.
#[derive(Debug)]
struct Entry {
    pid: u32,
    registry: Arc<Registry>,
}

impl Registry {
    pub(super) fn pids(&self) -> Vec<u32> {
        lock(&self.pids).iter().copied().collect()
    }

    pub(super) fn memory_bytes_peak(&self) -> u64 {
        self.memory_bytes_peak.load(Ordering::Relaxed)
    }

    /// A process's private memory, 0 if unknown; remembers the peak.
    fn look(&self, pid: u32) -> u64 {
        let bytes = memory::private_bytes(pid).unwrap_or(0);
        self.memory_bytes_peak.fetch_max(bytes, Ordering::Relaxed);
        bytes
    }
}

impl Entry {
    fn new(pid: u32, registry: &Arc<Registry>) -> Self {
        lock(&registry.pids).insert(pid);
        Entry { pid, registry: Arc::clone(registry) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.registry.pids).remove(&self.pid);
    }
}

/// Nothing here is left half-done by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
