//! What people and programs read: reports as text or as one JSON document, errors with their causes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Error, Result};
use quipu_index::run::{EmbeddingFigures, FailureLine, FilesByState, RunEnded, RunReport};
use quipu_index::search::{Hit, Results};
use serde::Serialize;

use crate::commands::status::Status;
use crate::commands::verify::Verdict;

/// Failures that text names; `--json` names more.
const FAILURES_SHOWN_MAX: usize = 20;

/// Prints `value` as one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    lines(&[&text])
}

/// Prints lines of text.
pub(crate) fn lines(lines: &[&str]) -> Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Whether an error says that nobody reads what is printed any more (`quipu search … | head`).
pub(crate) fn reader_is_gone(error: &Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}

/// Prints an error with its causes; the outermost context of several is the hint.
pub(crate) fn error(error: &Error) {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let _ = writeln!(io::stderr().lock(), "quipu: {}", causes.join(": "));
}

/// Prints what is wrong with what was asked.
pub(crate) fn usage(message: &str) {
    let _ = writeln!(io::stderr().lock(), "quipu: {message}");
}

/// Prints hits: where, why, and the text with the match marked.
pub(crate) fn hits(results: &Results) -> Result<()> {
    let (mark, end) = if io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("**", "**") };
    let mut text = String::new();
    for (rank, hit) in results.hits.iter().enumerate() {
        let title = hit.title.as_deref().map_or_else(String::new, |title| format!("  {title}"));
        let _ = writeln!(
            text,
            "{:>2}. {mark}{}{end}{}{title}  ({:.3})",
            rank + 1,
            hit.path,
            place(hit),
            hit.score
        );
        if let Some(heading) = hit.heading.as_deref().filter(|&heading| Some(heading) != hit.title.as_deref())
        {
            let _ = writeln!(text, "    § {heading}");
        }
        for line in hit.snippet.marked(mark, end).lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(text, "    {}", line.trim_end());
        }
    }
    if results.hits.is_empty() {
        text.push_str("nothing found\n");
    }
    let embedding = format!(", and {:.1} ms to embed the question", results.embedding_ms);
    let embedding = if results.embedding_ms > 0.0 { &embedding } else { "" };
    let _ =
        write!(text, "{} in {:.1} ms{embedding}", counted(results.hits.len() as u64, "hit"), results.took_ms);
    lines(&[&text])
}

/// Where in the file a hit lies: `:12-20`, ` page 3`.
fn place(hit: &Hit) -> String {
    match (hit.page, hit.lines) {
        (Some(page), _) => format!(" page {page}"),
        (None, Some((first, last))) if first != last => format!(":{first}-{last}"),
        (None, Some((line, _))) => format!(":{line}"),
        (None, None) => String::new(),
    }
}

/// Prints what a run did.
pub(crate) fn run_report(report: &RunReport) -> Result<()> {
    let run = &report.run;
    let ended = match report.ended {
        RunEnded::Done => "done",
        RunEnded::Drained => "stopped early, what was under way is in; `quipu index` goes on from here",
        RunEnded::Cancelled => "stopped at once; `quipu index` goes on from here",
    };
    let mut text = format!("{ended}: {}", files(&report.files));
    let _ = write!(
        text,
        "\nthis run: {} indexed ({} of them with known content), {} unchanged, {} skipped, {} failed, {} removed",
        thousands(run.indexed),
        thousands(run.copied),
        thousands(run.unchanged + run.refreshed),
        thousands(run.skipped),
        thousands(run.failed),
        thousands(run.removed),
    );
    let _ = write!(
        text,
        "\n{} read, {} ({} embedded, {} tokens) in {:.1} s: {:.1} files/s, {} tokens/s",
        bytes(run.bytes_read),
        counted(run.chunks, "chunk"),
        thousands(run.embedded),
        thousands(run.tokens),
        report.seconds,
        report.files_per_second,
        thousands(report.tokens_per_second as u64),
    );
    embedding(&mut text, &report.embedding);
    let _ = write!(
        text,
        "\nbound by {}; peak memory {}, documents under way {} of {}",
        report.bound_by,
        bytes(report.peak_memory_bytes),
        bytes(report.budget_peak_bytes),
        bytes(report.budget_bytes),
    );
    if run.indexed > 0 {
        stage_table(&mut text, report);
    }
    for problem in &report.problems {
        let _ = write!(text, "\nproblem: {problem}");
    }
    failures(&mut text, &report.failures, report.files.failed);
    lines(&[&text])
}

/// How well the model's time was used, where it was used at all.
fn embedding(text: &mut String, figures: &EmbeddingFigures) {
    if figures.core_seconds == 0.0 {
        return;
    }
    let _ = write!(
        text,
        "\nthe model: {:.1} core seconds, {} tokens each, padding {:.1} %",
        figures.core_seconds,
        thousands(figures.tokens_per_core_second as u64),
        figures.padding * 100.0,
    );
    if let (Some(gops), Some(peak), Some(share)) =
        (figures.gops_per_core_second, figures.gops_at_peak, figures.share_of_peak)
    {
        let _ = write!(text, ", {gops:.0} of {peak:.0} Gop/s ({:.0} % of a core's peak)", share * 100.0);
    }
}

fn stage_table(text: &mut String, report: &RunReport) {
    let _ = write!(text, "\n{:<10} {:>9} {:>12} {:>12}", "stage", "items", "waited", "worked");
    for stage in &report.stages {
        let _ = write!(
            text,
            "\n{:<10} {:>9} {:>10.2} s {:>10.2} s",
            stage.name,
            thousands(stage.entered),
            stage.waiting_seconds,
            stage.working_seconds,
        );
    }
}

/// Prints what is in an index.
pub(crate) fn status(status: &Status) -> Result<()> {
    let mut text = format!("index    {}", status.db);
    let _ = write!(text, "\nmodel    {}, {} dimensions", status.model, status.dimensions);
    let _ = write!(text, "\nfiles    {}", files(&status.files));
    let vectors = thousands(status.vectors);
    let _ = write!(text, "\nchunks   {}, {vectors} with a vector", thousands(status.chunks));
    let _ = write!(text, "\nsize     {}", bytes(status.bytes));
    for root in &status.roots {
        let _ = write!(text, "\nroot     {root}");
    }
    for (reason, count) in &status.skipped {
        let _ = write!(text, "\nskipped  {} {reason}", thousands(*count));
    }
    failures(&mut text, &status.failures, status.files.failed);
    lines(&[&text])
}

/// Prints whether everything agrees.
pub(crate) fn verdict(verdict: &Verdict) -> Result<()> {
    let mut text = format!(
        "looked at {}, {}, {}",
        counted(verdict.documents, "document"),
        counted(verdict.chunks, "chunk"),
        counted(verdict.vectors, "vector"),
    );
    for disagreement in &verdict.discrepancies {
        let _ = write!(text, "\nwrong: {}; {}", disagreement.what, disagreement.advice);
    }
    let unnamed = verdict.discrepancies_total - verdict.discrepancies.len() as u64;
    if unnamed > 0 {
        let _ = write!(text, "\nand {} more", thousands(unnamed));
    }
    if verdict.changed_files + verdict.missing_files > 0 {
        let _ = write!(
            text,
            "\n{} changed and {} gone since they were indexed: `quipu index` brings the index up to date",
            counted(verdict.changed_files, "file"),
            counted(verdict.missing_files, "file"),
        );
    }
    text.push_str(if verdict.discrepancies_total == 0 {
        "\nledger, rows, vectors and text index agree"
    } else {
        "\nthe index disagrees with itself; searches still work on what it holds"
    });
    lines(&[&text])
}

fn failures(text: &mut String, failures: &[FailureLine], total: u64) {
    for failure in failures.iter().take(FAILURES_SHOWN_MAX) {
        let _ = write!(text, "\nfailed   {}: {} ({})", failure.path, failure.message, failure.kind);
    }
    let shown = failures.len().min(FAILURES_SHOWN_MAX) as u64;
    if total > shown {
        let _ = write!(
            text,
            "\nand {} more that failed; `quipu status --json` names them",
            thousands(total - shown)
        );
    }
    if total > 0 {
        text.push_str("\n`quipu index --retry-failed` tries them again");
    }
}

fn files(files: &FilesByState) -> String {
    format!(
        "{} indexed, {} failed, {} skipped, {} pending",
        thousands(files.indexed),
        thousands(files.failed),
        thousands(files.skipped),
        thousands(files.pending),
    )
}

/// `1 file`, `2 files`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", thousands(count))
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as people read them.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            (thousands(0), thousands(999), thousands(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (bytes(5), bytes(1536), bytes(5 << 30)),
            ("5 B".into(), "1.5 KiB".into(), "5.0 GiB".into())
        );
        assert_eq!((counted(1, "file"), counted(2, "file")), ("1 file".into(), "2 files".into()));
    }
}
