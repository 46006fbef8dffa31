//! What this program asks a worker, and what it answers: one JSON document a line.

use serde::{Deserialize, Serialize};

use crate::texts::Profile;

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Embed `tokens` of a profile once, in batches of `budget`, by each of `threads` threads.
    Pass { profile: Profile, tokens: usize, budget: usize, threads: usize },
    /// Embed so many texts of mixed lengths, tokenising included.
    Mixed { texts: usize },
    /// How near the vectors of the reference's texts are.
    Cosines { budget: usize },
    /// The time from a query's words to its vector.
    Query { repetitions: usize },
    /// The most memory that this process ever had.
    Memory,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Loaded, and the first vector made.
    Ready,
    Passed(Pass),
    Cosines(Cosines),
    /// Seconds, the median.
    Query(f64),
    /// Bytes, where the system tells.
    Memory(Option<u64>),
    /// Why there is no answer.
    Failed(String),
}

/// How near to the reference, over its texts.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cosines {
    pub(crate) mean: f64,
    pub(crate) min: f64,
}

/// One pass over the texts.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pass {
    /// Of the texts, by each thread.
    pub(crate) tokens: usize,
    /// With padding; 0 where that is the library's secret.
    pub(crate) computed: usize,
    pub(crate) wall_s: f64,
    /// For each thread asked for.
    pub(crate) cpu_s: Vec<f64>,
}

impl Pass {
    /// Tokens per CPU-second, those of all threads added up.
    pub(crate) fn rate(&self) -> f64 {
        self.cpu_s.iter().map(|time| self.tokens as f64 / time).sum()
    }

    /// What was computed for nothing, beside what was asked for.
    pub(crate) fn padding(&self) -> f64 {
        self.computed as f64 / self.tokens as f64 - 1.0
    }
}
