//! Looks at a run a few times a second: how much memory it takes, and what bounds it.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two looks. Reading a process's memory map costs up to a millisecond.
const PERIOD: Duration = Duration::from_millis(200);

/// A thread that looks until it is asked what it saw.
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Seen>,
}

/// What a sampler saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) peak_memory_bytes: u64,
    bounds: HashMap<String, u64>,
}

impl Sampler {
    /// Begins to look: `memory` says how much is taken now, `bound` what bounds the run now.
    pub(crate) fn start(
        memory: impl Fn() -> u64 + Send + 'static,
        bound: impl Fn() -> String + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new().name("quipu-sampler".to_owned()).spawn(move || {
            let mut seen = Seen::default();
            loop {
                seen.peak_memory_bytes = seen.peak_memory_bytes.max(memory());
                if stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                    return seen;
                }
                *seen.bounds.entry(bound()).or_default() += 1;
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops looking.
    pub(crate) fn finish(self) -> Seen {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

impl Seen {
    /// What bounded the run at most looks.
    pub(crate) fn bound_by(&self) -> String {
        let most = self.bounds.iter().max_by_key(|&(name, &times)| (times, std::cmp::Reverse(name.as_str())));
        most.map_or_else(|| "nothing: it was over at once".to_owned(), |(name, _)| name.clone())
    }
}
