//! `quipu index`: take files in, follow the run, report.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use quipu_index::run::{Embedding, Run, RunEnded, RunOptions, RunReport, memory, resolve};
use quipu_index::store::Store;
use tokio::runtime;

use super::{embedding, name_of};
use crate::Ending;
use crate::args::{Common, IndexArguments};
use crate::location::locate;
use crate::progress::Progress;
use crate::render;

/// Threads for what waits. What computes has a pool of its own, one worker per core.
const WAITING_THREADS: usize = 2;

/// Longest wait at the end for calls that are blocked.
const SHUTDOWN_MAX: Duration = Duration::from_millis(100);

/// As a shell reports a program that an interrupt ended.
const EXIT_INTERRUPTED: i32 = 130;

/// The hidden command that a worker process runs.
const WORKER_COMMAND: &str = "extract-worker";

/// Runs `quipu index`.
pub(crate) fn run(common: &Common, arguments: &IndexArguments) -> Result<Ending> {
    let location = locate(common)?;
    // What cannot be done is said before anything is made or emptied.
    let options = options(arguments)?;
    let embedding = embedding(common)?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(WAITING_THREADS)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    if let Embedding::Endpoint(endpoint) = &embedding {
        runtime.block_on(endpoint.check())?;
    }
    let configuration = embedding.configuration();
    let is_new = !Store::is_at(&location.folder);
    let store = if arguments.rebuild {
        Store::rebuild(&location.folder, &configuration)
    } else {
        Store::open_or_create(&location.folder, &configuration)
    }?;
    if is_new && !common.json {
        eprintln!("new index in {}", name_of(&location));
    }
    let report = runtime.block_on(follow(store, embedding, &options, common.json));
    // What is still blocked in the file system must not hold the program.
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    let report = report?;
    if common.json {
        render::json(&report)?;
    } else {
        render::run_report(&report)?;
    }
    let well = report.is_well() && report.ended == RunEnded::Done;
    Ok(if well { Ending::Well } else { Ending::SomeFailed })
}

fn options(arguments: &IndexArguments) -> Result<RunOptions> {
    let program = env::current_exe().context("the program's own path cannot be told")?;
    Ok(RunOptions {
        roots: resolve(&arguments.paths)?,
        all_roots: arguments.rebuild,
        memory_bytes: arguments.memory.unwrap_or_else(memory::default_bytes),
        file_bytes_max: arguments.max_file_size,
        file_time_max: Duration::from_secs(arguments.max_file_seconds),
        retry_failed: arguments.retry_failed,
        prune: arguments.prune,
        worker_program: program,
        worker_arguments: vec![WORKER_COMMAND.into()],
    })
}

/// Starts the run and follows it to its end; Ctrl-C drains it, a second one stops it at once.
async fn follow(store: Store, embedding: Embedding, options: &RunOptions, quiet: bool) -> Result<RunReport> {
    let run = Run::start(store, embedding, options)?;
    let controls = run.controls();
    let mut progress = Progress::new(quiet);
    let mut joined = std::pin::pin!(run.join());
    let mut interrupts = 0_u32;
    let mut tick = tokio::time::interval(progress.period());
    loop {
        tokio::select! {
            report = &mut joined => {
                progress.finish();
                return Ok(report?);
            }
            _ = tick.tick() => progress.show(&controls.progress()),
            Ok(()) = tokio::signal::ctrl_c() => {
                interrupts += 1;
                match interrupts {
                    1 => {
                        progress.say("finishing what is under way; press Ctrl-C again to stop at once");
                        controls.drain();
                    }
                    2 => {
                        progress.say("stopping at once; what was under way is left for the next run");
                        controls.cancel();
                    }
                    // Something is stuck, in a file system perhaps; nothing that was stored is at risk.
                    _ => std::process::exit(EXIT_INTERRUPTED),
                }
            }
        }
    }
}
