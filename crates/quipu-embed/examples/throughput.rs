//! Tokens per second of the encoder, as `quipu model bench` measures them, and of the tokenizer beside the `tokenizers`
//! library.
//!
//! ```text
//! cargo run -p quipu-embed --example throughput [-- MODEL_FOLDER [KERNEL]]
//! ```
//!
//! Prints the best of several passes: other work on the machine only ever makes a pass slower. On Linux a second is a
//! second of CPU time, so that other work costs little in these figures.

use std::time::Duration;

use quipu_embed::measure::{self, sample_text, thread_time};
use quipu_embed::{Kernel, Tokenizer, model};

/// More of them than the kernels have, as each takes little time.
const TOKENIZER_PASSES: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = model::Settings::from_environment();
    let argument = std::env::args().nth(1);
    let located = model::locate(&settings, argument.as_deref())?;
    println!("{}", located.note);
    let wanted = std::env::args().nth(2);
    let is_wanted = |kernel: &Kernel| wanted.as_ref().is_none_or(|name| name == kernel.name());
    for kernel in Kernel::available().into_iter().filter(is_wanted) {
        let speed = measure::speed(&located.folder, kernel)?;
        println!(
            "{:>15}: loads in {:.1} ms, a question takes {:.1} ms",
            speed.kernel, speed.load_ms, speed.query_ms
        );
        for rate in speed.rates {
            println!(
                "{:>15}  {:>3} tokens, {:>2} threads: {:>7.0} tokens/s",
                "", rate.tokens, rate.threads, rate.tokens_per_second
            );
        }
    }
    tokenizer_rate(&located.folder)
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
