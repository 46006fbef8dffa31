//! Workers that misbehave in every way known, each beside files that must not notice.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // the lint knows the helpers of an integration test not as tests

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use quipu_extract::worker::{WorkerConfig, WorkerPool};
use quipu_extract::{ExtractError, Format, Limits};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quipu-extract-test-worker");
const MEMORY_BYTES_MAX: u64 = 256 << 20;

fn config() -> WorkerConfig {
    WorkerConfig {
        workers_max: 2,
        memory_bytes_max: MEMORY_BYTES_MAX,
        time_max: Duration::from_secs(60),
        ..WorkerConfig::new(PROGRAM, ["worker"])
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

async fn extract(pool: &WorkerPool, content: &str) -> Result<String, ExtractError> {
    pool.extract(&Format::Text, content.as_bytes()).await.map(|extracted| extracted.text)
}

/// Waits for something that must come; the test hangs, and its runner says so, if it never does.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is gone, and not even a zombie is left.
fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// One file makes its worker misbehave; the file before, those after and one beside it are read as ever.
fn check(config: WorkerConfig, misdeed: &str, expected: impl Fn(&ExtractError) -> bool) {
    run(async {
        let pool = WorkerPool::new(config);
        assert_eq!(extract(&pool, "before").await.unwrap(), "before");
        let (bad, beside) = tokio::join!(extract(&pool, misdeed), extract(&pool, "beside"));
        let error = bad.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert_eq!(beside.unwrap(), "beside");
        for content in ["after", "and again"] {
            assert_eq!(extract(&pool, content).await.unwrap(), content);
        }
        let pids = pool.pids();
        assert!(pids.len() <= 2, "{pids:?}");
        pool.shutdown().await;
        assert!(pool.pids().is_empty());
        assert!(pids.into_iter().all(is_gone));
    });
}

fn crashed(error: &ExtractError, words: &[&str]) -> bool {
    matches!(error, ExtractError::Crashed { how } if words.iter().all(|word| how.contains(word)))
}

#[test]
fn a_worker_that_hangs_is_killed() {
    let config = || WorkerConfig { time_max: Duration::from_secs(3), ..config() };
    check(config(), "hang", |error| matches!(error, ExtractError::Timeout(_)));
    check(config(), "spin", |error| matches!(error, ExtractError::Timeout(_)));
}

#[test]
fn a_worker_that_eats_memory_is_killed() {
    check(
        config(),
        "allocate",
        |error| matches!(error, ExtractError::Memory { limit_bytes } if *limit_bytes == MEMORY_BYTES_MAX),
    );
}

#[test]
fn a_worker_that_dies_tells_how() {
    check(config(), "abort", |error| crashed(error, &["signal: 6"]));
    check(config(), "exit", |error| crashed(error, &["exit status: 3", "cannot go on"]));
    check(config(), "overflow", |error| crashed(error, &["signal: 6", "overflow"]));
}

#[test]
fn a_worker_that_talks_nonsense_is_killed() {
    check(config(), "garbage", |error| crashed(error, &["no frame"]));
}

#[test]
fn a_panic_costs_no_worker() {
    check(
        config(),
        "panic",
        |error| matches!(error, ExtractError::Panicked { message, .. } if message == "this parser panics"),
    );
}

#[test]
fn a_worker_that_closes_its_output_has_crashed() {
    let script = "head -c 16 > /dev/null; exec 1>&-; sleep 600";
    run(async {
        let pool = WorkerPool::new(WorkerConfig { ..WorkerConfig::new("/bin/sh", ["-c", script]) });
        let error = extract(&pool, "anything").await.unwrap_err();
        assert!(crashed(&error, &["no sensible answer"]), "{error:?}");
        assert!(pool.pids().is_empty());
    });
}

#[test]
fn a_worker_that_cannot_be_started_is_an_io_error() {
    run(async {
        let pool = WorkerPool::new(WorkerConfig::new("/nonexistent", ["worker"]));
        assert!(matches!(extract(&pool, "x").await, Err(ExtractError::Io { .. })));
    });
}

#[test]
fn a_worker_that_left_between_files_is_replaced() {
    run(async {
        let pool = WorkerPool::new(config());
        let pid: u32 = extract(&pool, "leave").await.unwrap().parse().unwrap();
        until(|| {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        })
        .await;
        assert_eq!(extract(&pool, "next").await.unwrap(), "next");
        until(|| is_gone(pid)).await;
    });
}

#[test]
fn a_worker_that_leaves_with_a_request_in_its_pipe_is_replaced() {
    run(async {
        let pool = WorkerPool::new(WorkerConfig { workers_max: 1, ..WorkerConfig::new(PROGRAM, ["short"]) });
        let mut pids = BTreeSet::new();
        for number in 0..5 {
            // More than a pipe holds, now and then: such a request is never written to its end.
            let content = "word ".repeat(1 + number % 2 * 100_000);
            assert_eq!(extract(&pool, content.trim()).await.unwrap(), content.trim());
            pids.extend(pool.pids());
        }
        assert_eq!(pids.len(), 5);
        assert_eq!(pool.pids().len(), 1);
        pool.shutdown().await;
    });
}

#[test]
fn a_file_that_kills_its_worker_is_read_once() {
    let tally = std::env::temp_dir().join(format!("quipu-extract-tally-{}", std::process::id()));
    run(async {
        let pool = WorkerPool::new(config());
        assert_eq!(extract(&pool, "before").await.unwrap(), "before");
        let error = extract(&pool, &format!("tally {}", tally.display())).await.unwrap_err();
        assert!(crashed(&error, &["exit status: 3"]), "{error:?}");
    });
    let times = std::fs::read(&tally).unwrap();
    std::fs::remove_file(&tally).unwrap();
    assert_eq!(times, b".");
}

#[test]
fn a_new_worker_that_takes_no_file_has_crashed() {
    // The file may be what it dies of, even in reading it. No other is started for it.
    let tally = std::env::temp_dir().join(format!("quipu-extract-starts-{}", std::process::id()));
    let script = "printf . >> \"$0\"; head -c 1 > /dev/null; exit 5";
    run(async {
        let arguments = ["-c".into(), script.into(), tally.clone().into_os_string()];
        let pool = WorkerPool::new(WorkerConfig::new("/bin/sh", arguments));
        let error = extract(&pool, "anything").await.unwrap_err();
        assert!(crashed(&error, &["exit status: 5"]), "{error:?}");
        assert!(pool.pids().is_empty());
    });
    let starts = std::fs::read(&tally).unwrap();
    std::fs::remove_file(&tally).unwrap();
    assert_eq!(starts, b".");
}

#[test]
fn an_interrupt_at_the_terminal_does_not_reach_workers() {
    let group = |pid: u32| -> u32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(2).unwrap().parse().unwrap()
    };
    run(async {
        let pool = WorkerPool::new(config());
        extract(&pool, "anything").await.unwrap();
        let pid = pool.pids()[0];
        assert_eq!(group(pid), pid);
        assert_ne!(group(std::process::id()), pid);
    });
}

#[test]
fn standard_error_never_blocks_a_worker() {
    run(async {
        let pool = WorkerPool::new(config());
        let first = extract(&pool, "chatter").await.unwrap();
        assert_eq!(extract(&pool, "chatter").await.unwrap(), first);
    });
}

#[test]
fn many_files_share_few_workers() {
    run(async {
        let pool = Arc::new(WorkerPool::new(config()));
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { extract(&pool, "chatter").await.unwrap() })
            })
            .collect();
        let mut pids = BTreeSet::new();
        for task in tasks {
            pids.insert(task.await.unwrap());
        }
        assert!(pids.len() <= 2, "{pids:?}");
        assert!(pool.memory_bytes_peak() > 0);
    });
}

#[test]
fn workers_are_replaced_after_so_many_files_and_when_fat() {
    run(async {
        let pool = WorkerPool::new(WorkerConfig { workers_max: 1, recycle_after: 3, ..config() });
        let mut pids = Vec::new();
        for _ in 0..6 {
            pids.push(extract(&pool, "chatter").await.unwrap());
        }
        assert!(pids[0] == pids[2] && pids[2] != pids[3] && pids[3] == pids[5], "{pids:?}");
        let fat = extract(&pool, "fatten").await.unwrap();
        assert_ne!(extract(&pool, "chatter").await.unwrap(), fat);
    });
}

#[test]
fn a_file_larger_than_the_memory_is_not_even_sent() {
    run(async {
        let pool = WorkerPool::new(WorkerConfig { memory_bytes_max: 10, ..config() });
        assert!(matches!(extract(&pool, "eleven bytes").await, Err(ExtractError::TooLarge { .. })));
        assert!(pool.pids().is_empty());
    });
}

#[test]
fn the_limits_reach_the_worker() {
    run(async {
        let limits = Limits { text_bytes_max: 4, ..Limits::default() };
        let pool = WorkerPool::new(WorkerConfig { limits, ..config() });
        assert!(matches!(extract(&pool, "too much").await, Err(ExtractError::TooLarge { .. })));
        assert_eq!(extract(&pool, "four").await.unwrap(), "four");
    });
}

#[test]
fn a_pool_dropped_in_the_middle_leaves_no_process() {
    run(async {
        let pool = Arc::new(WorkerPool::new(config()));
        let task = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { extract(&pool, "hang").await }
        });
        extract(&pool, "beside").await.unwrap();
        until(|| pool.pids().len() == 2).await;
        let pids = pool.pids();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        drop(pool);
        until(|| pids.iter().all(|pid| is_gone(*pid))).await;
    });
}

#[test]
fn a_parent_killed_in_the_middle_leaves_no_worker() {
    let mut parent = Command::new(PROGRAM).arg("parent").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let worker: u32 = line.trim().parse().unwrap();
    assert!(!is_gone(worker));
    parent.kill().unwrap();
    parent.wait().unwrap();
    run(until(|| {
        // Whoever adopts orphans here may not reap them: a zombie has ended as well.
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }));
}

/// In a worker, because some of them overflow the parser's stack, which no code in the same process survives.
#[test]
fn truncated_and_flipped_pdfs_disturb_nobody() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/documents/heat-pump.pdf");
    let good = std::fs::read(manual).unwrap();
    run(async {
        let pool = WorkerPool::new(config());
        // A fixed sequence of damages: Knuth's linear congruential generator.
        let mut state = 1_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        for _ in 0..200 {
            let mut bad = good.clone();
            for _ in 0..below(6) {
                let at = below(bad.len());
                bad[at] ^= 1 << below(8);
            }
            if below(2) == 0 {
                bad.truncate(bad.len() - below(bad.len() / 2));
            }
            if let Ok(extracted) = pool.extract(&Format::Pdf, &bad).await {
                assert!(extracted.pages.is_sorted());
                assert!(extracted.pages.iter().all(|&page| extracted.text.is_char_boundary(page)));
            }
        }
        let extracted = pool.extract(&Format::Pdf, &good).await.unwrap();
        assert_eq!(extracted.pages.len(), 3);
        pool.shutdown().await;
    });
}
