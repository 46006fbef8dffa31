//! Extracts every file below a folder and says what became of each: `extract_folder PATH [MEMORY_MIB]`.
//!
//! Where a file of `…/sources/NAME` has a counterpart `…/groundtruth/NAME.md`, their words are compared too
//! (multisets of lower-case words; recall, precision, F1).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs, io};

use quipu_extract::worker::{WorkerConfig, WorkerPool, serve};
use quipu_extract::{Extracted, Limits, extract, identify};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("worker") => serve(),
        Some(folder) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let memory_mib = arguments.get(1).and_then(|text| text.parse().ok()).unwrap_or(512);
            runtime.block_on(extract_all(Path::new(folder), memory_mib))
        }
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: extract_folder PATH [MEMORY_MIB]")),
    }
}

async fn extract_all(folder: &Path, memory_mib: u64) -> io::Result<()> {
    let mut config = WorkerConfig::new(env::current_exe()?, ["worker"]);
    config.memory_bytes_max = memory_mib << 20;
    let pool = WorkerPool::new(config);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut scores: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let start = Instant::now();
    for path in files(folder)? {
        let bytes = fs::read(&path)?;
        let format = identify(&path.to_string_lossy(), &bytes);
        let begun = Instant::now();
        let result = match format.is_foreign() {
            true => pool.extract(&format, &bytes).await,
            false => extract(&format, &bytes, &Limits::default()),
        };
        let milliseconds = begun.elapsed().as_millis();
        let (outcome, detail) = match &result {
            Ok(extracted) if extracted.text.trim().is_empty() => {
                (format!("{format}: empty"), describe(extracted))
            }
            Ok(extracted) => (format!("{format}: text"), describe(extracted)),
            Err(error) => (format!("{format}: failed"), error.to_string()),
        };
        let score = compare(&path, result.as_ref().map_or("", |extracted| &extracted.text));
        if let Some((recall, precision, f1)) = score {
            print!("R {recall:.3} P {precision:.3} F {f1:.3}  ");
            scores.entry(format.name()).or_default().push(f1);
        }
        println!("{milliseconds:6} ms  {outcome:<14} {}  {detail}", path.display());
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("\n{outcomes:#?}\n{:.1} s", start.elapsed().as_secs_f32());
    for (format, scores) in scores {
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        println!("{format}: mean word F1 {mean:.4} of {} files", scores.len());
    }
    println!("peak private memory of a worker: {} MiB", pool.memory_bytes_peak() >> 20);
    pool.shutdown().await;
    Ok(())
}

fn describe(extracted: &Extracted) -> String {
    format!(
        "{} bytes, {} pages, {} headings, title {:?} {:?}",
        extracted.text.len(),
        extracted.pages.len(),
        extracted.headings.len(),
        extracted.title.as_deref().unwrap_or_default(),
        extracted.metadata.get("pages_failed")
    )
}

/// All files below a folder, in order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if !path.iter().any(|part| part == "groundtruth") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Recall, precision and F1 of the words, where there is a text to compare with.
fn compare(path: &Path, text: &str) -> Option<(f64, f64, f64)> {
    let folder = path.parent()?.parent()?.join("groundtruth");
    let named = |name: Option<&std::ffi::OsStr>| -> Option<String> {
        fs::read_to_string(folder.join(format!("{}.md", name?.to_str()?))).ok()
    };
    let truth = named(path.file_name()).or_else(|| named(path.file_stem()))?;
    let (expected, found) = (words(&truth), words(text));
    let common: usize = expected.iter().map(|(word, count)| *count.min(found.get(word).unwrap_or(&0))).sum();
    let total = |words: &HashMap<String, usize>| words.values().sum::<usize>().max(1) as f64;
    let (recall, precision) = (common as f64 / total(&expected), common as f64 / total(&found));
    Some((recall, precision, 2.0 * recall * precision / (recall + precision).max(f64::MIN_POSITIVE)))
}

/// The words that a reader sees: without markdown's link targets, comments and escapes.
fn words(text: &str) -> HashMap<String, usize> {
    let text = cut(&cut(text, "<!--", "-->"), "](", ")").replace("\\_", "_").replace("&amp;", "&");
    let mut words = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words
}

/// The text without what lies between these marks.
fn cut(text: &str, from: &str, to: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(from) {
        kept.push_str(&rest[..start]);
        kept.push(' ');
        let inner = &rest[start + from.len()..];
        rest = inner.find(to).map_or("", |end| &inner[end + to.len()..]);
    }
    kept + rest
}
