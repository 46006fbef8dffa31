//! Tokens per second of the encoder, for short and long texts, on one and two threads, and of the tokenizer beside the
//! `tokenizers` library.
//!
//! ```text
//! cargo run -p quipu-embed --example throughput [-- MODEL_FOLDER [KERNEL]]
//! ```
//!
//! Prints the best of several passes: other work on the machine only ever makes a pass slower. On Linux a second is a
//! second of CPU time, so that other work costs little in these figures.

use std::time::{Duration, Instant};

use quipu_embed::{BATCH_TOKENS, Embedder, Encoder, Kernel, TokenIds, Tokenizer, model, plan_batches};

const PASSES: usize = 5;
/// More of them, as each takes little time.
const TOKENIZER_PASSES: usize = 7;
const TOKENS_PER_PASS: usize = 2_048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = model::Settings::from_environment();
    let argument = std::env::args().nth(1);
    let located = model::locate(&settings, argument.as_deref())?;
    println!("{}", located.note);
    cold_start(&located.folder)?;
    let wanted = std::env::args().nth(2);
    let is_wanted = |kernel: &Kernel| wanted.as_ref().is_none_or(|name| name == kernel.name());
    for kernel in Kernel::available().into_iter().filter(is_wanted) {
        let encoder = Encoder::load_with(&located.folder, kernel)?;
        for tokens in [33, 241] {
            let chunks = chunks(&encoder, tokens);
            let measured = [1, 2].map(|threads| best_rate(&encoder, &chunks, threads));
            let [one, two] = measured;
            println!(
                "{:>8}, {tokens:>3} tokens: {one:>7.0} tokens/s on 1 thread, {two:>7.0} on 2",
                kernel.name()
            );
        }
    }
    tokenizer_rate(&located.folder)
}

fn cold_start(folder: &std::path::Path) -> Result<(), quipu_embed::EmbedError> {
    let start = Instant::now();
    let encoder = Encoder::load(folder)?;
    let loaded = start.elapsed();
    let mut vector = vec![0.0; encoder.info().dimensions];
    encoder.embed_into(&[encoder.tokenizer().encode("how do stages share cores")], &mut vector)?;
    println!("load {loaded:.1?}, first vector after {:.1?}", start.elapsed());
    Ok(())
}

/// Sequences around `tokens` long, as different from one another as real ones.
fn chunks(encoder: &Encoder, tokens: usize) -> Vec<TokenIds> {
    let pieces = encoder.tokenizer().pieces(&sample_text());
    let mut chunks = Vec::new();
    let mut total = 0;
    while total < TOKENS_PER_PASS {
        let length = tokens - 5 + chunks.len() * 7 % 11 - encoder.tokenizer().specials();
        let start = chunks.len() * 131 % (pieces.len() - length);
        chunks.push(encoder.tokenizer().sequence(&[&pieces[start..start + length]]));
        total += length;
    }
    chunks
}

fn best_rate(encoder: &Encoder, chunks: &[TokenIds], threads: usize) -> f64 {
    let tokens: usize = chunks.iter().map(TokenIds::len).sum();
    let rates = (0..PASSES).map(|_| {
        std::thread::scope(|scope| {
            let passes: Vec<_> = (0..threads).map(|_| scope.spawn(|| pass(encoder, chunks))).collect();
            let times = passes.into_iter().map(|pass| pass.join().expect("a pass does not panic"));
            times.map(|time| tokens as f64 / time.as_secs_f64()).sum()
        })
    });
    rates.fold(0.0, f64::max)
}

/// Embeds in cuts of the budget, as the pipeline does; how long that took this thread.
fn pass(encoder: &Encoder, chunks: &[TokenIds]) -> Duration {
    let start = thread_time();
    let lengths: Vec<usize> = chunks.iter().map(TokenIds::len).collect();
    for batch in plan_batches(&lengths, BATCH_TOKENS) {
        let sequences: Vec<TokenIds> = batch.iter().map(|&index| chunks[index].clone()).collect();
        let mut vectors = vec![0.0; sequences.len() * encoder.info().dimensions];
        encoder.embed_into(&sequences, &mut vectors).expect("sequences of the tokenizer fit the model");
    }
    thread_time() - start
}

/// CPU time of this thread where the system tells it, else the time of day.
fn thread_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// Ours beside the `tokenizers` library, turn by turn: loading, pieces, and pieces with their offsets.
fn tokenizer_rate(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let file = folder.join("tokenizer.json");
    let (text, library) = (sample_text(), |error| format!("the library: {error}"));
    let ours = Tokenizer::load(&file, usize::MAX)?;
    let mut theirs = tokenizers::Tokenizer::from_file(&file).map_err(library)?;
    theirs.with_truncation(None).map_err(library)?;
    theirs.with_padding(None);
    let tokens = ours.pieces(&text).len() as f64;
    let mut seconds = [[f64::INFINITY; 3]; 2];
    for _ in 0..TOKENIZER_PASSES {
        let measured = [
            cost(|| ours.pieces(&text).len()),
            cost(|| ours.pieces_with_offsets(&text).len()),
            cost(|| usize::from(Tokenizer::load(&file, usize::MAX).is_ok())),
            cost(|| theirs.encode_fast(text.as_str(), false).map_or(0, |pieces| pieces.len())),
            cost(|| theirs.encode(text.as_str(), false).map_or(0, |pieces| pieces.len())),
            cost(|| usize::from(tokenizers::Tokenizer::from_file(&file).is_ok())),
        ];
        for (least, measured) in seconds.as_flattened_mut().iter_mut().zip(measured) {
            *least = least.min(measured);
        }
    }
    for (name, [bare, offsets, load]) in ["ours", "library"].into_iter().zip(seconds) {
        let (bare, offsets) = (tokens / bare, tokens / offsets);
        println!(
            "tokenizer, {name:>7}: {bare:>9.0} tokens/s, {offsets:>9.0} with offsets, loads in {:.1} ms",
            load * 1e3
        );
    }
    Ok(())
}

/// Seconds of a call, over as many calls as the clock needs, which ticks in milliseconds.
fn cost(run: impl Fn() -> usize) -> f64 {
    const CLOCK_TICKS: Duration = Duration::from_millis(60);
    let (start, mut calls) = (thread_time(), 0);
    loop {
        std::hint::black_box(run());
        calls += 1;
        let elapsed = thread_time() - start;
        if elapsed >= CLOCK_TICKS {
            return elapsed.as_secs_f64() / f64::from(calls);
        }
    }
}

fn sample_text() -> String {
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
