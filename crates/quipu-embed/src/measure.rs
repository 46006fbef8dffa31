//! How fast a model is on this machine, kernel by kernel: what `quipu model bench` and the example `throughput` print.
//!
//! Other work on the machine only ever makes a pass slower, so each figure is the best of several. On Linux a second is a
//! second of CPU time of the thread, so that other work costs little; elsewhere it is the clock's. The main type is
//! [`Speed`]; which kernels to measure, and how to show it, is left to the caller.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{BATCH_TOKENS, EmbedError, Embedder, Encoder, Kernel, TokenIds};

/// Tokens in a short text, about a question or a heading with its line, and in a long one, about a full chunk.
pub const LENGTHS: [usize; 2] = [33, 241];

/// A question of ten words.
const QUERY: &str = "how do the stages of a pipeline share their cores";

const PASSES: usize = 3;
/// No other pass begins after so much time, or slow kernels would take minutes.
const PASSES_TIME_MAX: Duration = Duration::from_millis(150);
/// CPU time is told in steps of some milliseconds.
const PASS_TIME_MIN: Duration = Duration::from_millis(60);
const QUERIES: usize = 31;
const QUERIES_TIME_MAX: Duration = Duration::from_millis(100);

/// How fast a kernel is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Speed {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Milliseconds to load the model, its files in the system's cache.
    pub load_ms: f64,
    /// Milliseconds from a question of ten words to its vector, the median.
    pub query_ms: f64,
    /// Tokens per second, short texts first, on one thread before all.
    pub rates: Vec<Rate>,
}

/// Tokens per second.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Rate {
    /// Tokens in a text, about.
    pub tokens: usize,
    /// Threads that embed at once.
    pub threads: usize,
    /// Of all of them together.
    pub tokens_per_second: f64,
}

/// Measures a model in `folder` with `kernel`, in about a second.
///
/// # Errors
/// As [`Encoder::load`], and as [`Embedder::embed_into`] for a model with broken weights.
pub fn speed(folder: &Path, kernel: Kernel) -> Result<Speed, EmbedError> {
    // The first time may find out about the model what is then noted beside it.
    Encoder::load_with(folder, kernel)?;
    let start = Instant::now();
    let encoder = Encoder::load_with(folder, kernel)?;
    let load_ms = milliseconds(start.elapsed());
    let query_ms = query_ms(&encoder)?;
    let mut lengths = LENGTHS.map(|tokens| tokens.min(encoder.info().tokens_max)).to_vec();
    lengths.dedup();
    let mut threads = vec![1, thread::available_parallelism().map_or(1, usize::from)];
    threads.dedup();
    let mut rates = Vec::new();
    for tokens in lengths {
        let batch = batch(&encoder, tokens);
        for &threads in &threads {
            let tokens_per_second = best_rate(&encoder, &batch, threads)?;
            rates.push(Rate { tokens, threads, tokens_per_second });
        }
    }
    Ok(Speed { kernel: kernel.name(), load_ms, query_ms, rates })
}

/// CPU time of this thread where the system tells it, else the time of day.
#[cfg(target_os = "linux")]
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// CPU time of this thread where the system tells it, else the time of day.
#[cfg(not(target_os = "linux"))]
pub fn thread_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

/// Some thousand words of prose, code and punctuation, the same each time.
pub fn sample_text() -> String {
    let clauses = [
        "the harbour was quiet before the boats came in",
        "granite cools slowly, deep under the ground",
        "each node keeps a copy of the log and votes on every entry",
        "salt lowers the freezing point of water by a few degrees",
        "she tuned the old piano by ear; the committee postponed its decision",
        "fn gather(rows: &[f32]) -> f32 { rows.iter().sum() }",
    ];
    (0..400).map(|index| clauses[(index * 5 + index / 6) % clauses.len()]).collect::<Vec<_>>().join(". ")
}

/// Median of single questions, tokenised and embedded, by the clock.
fn query_ms(encoder: &Encoder) -> Result<f64, EmbedError> {
    let mut vector = vec![0.0; encoder.info().dimensions];
    let mut times = Vec::with_capacity(QUERIES);
    let begun = Instant::now();
    while times.len() < QUERIES && (times.len() < 2 || begun.elapsed() < QUERIES_TIME_MAX) {
        let start = Instant::now();
        encoder.embed_into(&[encoder.tokenizer().encode(QUERY)], &mut vector)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(milliseconds(times[times.len() / 2]))
}

/// A batch of sequences around `tokens` long, as different from one another as real ones.
fn batch(encoder: &Encoder, tokens: usize) -> Vec<TokenIds> {
    let tokenizer = encoder.tokenizer();
    let pieces = tokenizer.pieces(&sample_text());
    let mut batch = Vec::new();
    let mut total = 0;
    while total < BATCH_TOKENS {
        let length = (tokens + batch.len() * 7 % 11).saturating_sub(5).min(tokenizer.tokens_max());
        let length = length.saturating_sub(tokenizer.specials()).clamp(1, pieces.len());
        let start = batch.len() * 131 % (pieces.len() - length + 1);
        batch.push(tokenizer.sequence(&[&pieces[start..start + length]]));
        total += length;
    }
    // Above the budget it would be two batches, the second a short one.
    if batch.len() > 1 {
        batch.pop();
    }
    batch
}

/// Tokens per second of all threads together, each with a batch of its own.
fn best_rate(encoder: &Encoder, batch: &[TokenIds], threads: usize) -> Result<f64, EmbedError> {
    let (mut best, begun) = (0.0_f64, Instant::now());
    for number in 0..PASSES {
        if number > 0 && begun.elapsed() > PASSES_TIME_MAX {
            break;
        }
        let rate = thread::scope(|scope| {
            let passes: Vec<_> = (0..threads).map(|_| scope.spawn(|| pass(encoder, batch))).collect();
            let rates = passes.into_iter().map(|pass| match pass.join() {
                Ok(rate) => rate,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            rates.sum::<Result<f64, EmbedError>>()
        })?;
        best = best.max(rate);
    }
    Ok(best)
}

/// Tokens per second of this thread, over as many batches as the clock needs.
fn pass(encoder: &Encoder, batch: &[TokenIds]) -> Result<f64, EmbedError> {
    let mut vectors = vec![0.0; batch.len() * encoder.info().dimensions];
    let of_batch: usize = batch.iter().map(TokenIds::len).sum();
    let (start, mut tokens) = (thread_time(), 0);
    loop {
        encoder.embed_into(batch, &mut vectors)?;
        tokens += of_batch;
        let elapsed = thread_time() - start;
        if elapsed >= PASS_TIME_MIN {
            return Ok(tokens as f64 / elapsed.as_secs_f64());
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
