//! One run of `quipu index`: what changed below the roots goes in, what is gone goes out.
//!
//! In reading order: `pipeline` is the whole way of a document; `item` is what travels on it, `stages` what each stage
//! does; `embedding` says who makes the vectors, `embed` how this machine does, `remote` how a server; `scout` finds what
//! is due, `writer` puts it into the store; [`memory`] divides the budget, `sampler` and `stopwatch` watch, `report` sums
//! up. This file starts a run and brings it to its end.

mod embed;
mod embedding;
mod finish;
mod item;
pub mod memory;
mod part;
mod pipeline;
mod remote;
mod report;
mod roots;
mod sampler;
mod scout;
mod stages;
mod stopwatch;
mod writer;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quipu_compute::{ComputeConfig, ComputePool};
use quipu_extract::Limits;
use quipu_extract::worker::{WorkerConfig, WorkerPool};
use quipu_flow::{Handle, Plan, RunError};
use tokio::task::JoinHandle;

pub use self::embedding::{Embedding, Way, Yardstick};
pub use self::finish::failures;
use self::item::with_causes;
use self::memory::Division;
use self::pipeline::{Given, Hands};
use self::remote::Remote;
use self::report::Tally;
pub use self::report::{
    EmbeddingFigures, FAILURES_NAMED_MAX, FailureLine, FilesByState, RunCounts, RunEnded, RunReport,
    StageLine,
};
pub use self::roots::resolve;
use self::sampler::Sampler;
use self::scout::{CHANNEL_ITEMS_MAX, Scout, Scouted, SizeLimits};
use self::stages::{Stages, blocking};
use self::writer::{Desk, Writer};
use crate::IndexError;
use crate::endpoint::endpoint_error;
use crate::store::Store;
use crate::walk::Apart;

/// Files under way at once, however small: enough to fill the model's batches, few enough that a run that is asked
/// to stop is done with them soon.
const FILES_UNDER_WAY_MAX: usize = 256;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Files and folders, remembered from now on; none: those remembered.
    pub roots: Vec<PathBuf>,
    /// Walk all remembered roots besides: after the index was emptied, say.
    pub all_roots: bool,
    /// The budget in bytes for documents under way and worker processes.
    pub memory_bytes: u64,
    /// Larger files are skipped.
    pub file_bytes_max: u64,
    /// Longest time that a worker may take over one file.
    pub file_time_max: Duration,
    /// Try again all that failed.
    pub retry_failed: bool,
    /// Remove what lies below roots that are missing or empty.
    pub prune: bool,
    /// The program that serves as worker process, by [`quipu_extract::worker::serve`].
    pub worker_program: PathBuf,
    /// Its arguments.
    pub worker_arguments: Vec<OsString>,
}

/// A run under way.
pub struct Run {
    handle: Handle,
    scout: JoinHandle<Result<Scouted, IndexError>>,
    stages: Arc<Stages>,
    writer: Arc<Desk>,
    tally: Arc<Tally>,
    sampler: Sampler,
    yardstick: Option<Yardstick>,
    started: Instant,
    options: RunOptions,
}

/// How far a run has come.
#[derive(Debug, Clone)]
pub struct RunProgress {
    /// What it did so far.
    pub counts: RunCounts,
    /// What bounds it now.
    pub bound_by: String,
    /// Bytes that documents under way are charged.
    pub budget_used_bytes: u64,
    /// Time since its start.
    pub elapsed: Duration,
}

/// Follows and stops a run from elsewhere; cheap to clone.
#[derive(Clone)]
pub struct RunControls {
    controls: quipu_flow::Controls,
    tally: Arc<Tally>,
    started: Instant,
}

impl RunControls {
    /// How far the run has come.
    pub fn progress(&self) -> RunProgress {
        let flow = self.controls.progress();
        RunProgress {
            counts: self.tally.counts(),
            bound_by: flow.bound.to_string(),
            budget_used_bytes: flow.bytes_charged,
            elapsed: self.started.elapsed(),
        }
    }

    /// Takes in nothing new and finishes what is under way.
    pub fn drain(&self) {
        self.controls.drain();
    }

    /// Stops at once; what is under way is left for the next run.
    pub fn cancel(&self) {
        self.controls.cancel();
    }
}

impl Run {
    /// Starts a run on `store`, which was opened for `embedding`'s configuration, inside a Tokio runtime.
    ///
    /// # Errors
    /// A root that is not there, an index that remembers none, or a store that cannot be read.
    pub fn start(mut store: Store, embedding: Embedding, options: &RunOptions) -> Result<Self, IndexError> {
        let reader = store.reader()?;
        let roots = roots::choose(&mut store, &reader, &options.roots, options.all_roots)?;
        let pool = ComputePool::new(ComputeConfig::default()).map_err(|error| engine(&error))?;
        let division = Division::of(options.memory_bytes, pool.num_threads());
        let sizes = SizeLimits {
            file_bytes_max: options.file_bytes_max,
            fits_memory_bytes: division.file_bytes_max(),
        };
        let tally = Arc::new(Tally::default());
        let scout = Scout {
            reader: reader.clone(),
            configuration_hash: store.configuration().hash,
            roots,
            apart: Apart { index: canonical(reader.folder()), roots: Vec::new() },
            retry_failed: options.retry_failed,
            sizes,
            tally: Arc::clone(&tally),
        };
        let text_bytes_max = usize::try_from(options.file_bytes_max).unwrap_or(usize::MAX);
        let limits = Limits { text_bytes_max, ..Limits::default() };
        let (way, embedder, yardstick) =
            (embedding.way(), Arc::clone(embedding.model()), embedding.yardstick());
        let remote = match embedding {
            Embedding::Cores { .. } | Embedding::Device { .. } => Given::none(),
            Embedding::Endpoint(endpoint) => {
                Given::to_run(&Arc::new(Remote { endpoint, tally: Arc::clone(&tally) }))
            }
        };
        let stages = Arc::new(Stages {
            reader,
            embedder,
            workers: WorkerPool::new(worker_config(options, division, &limits)),
            limits,
            file_bytes_max: sizes.least(),
            tally: Arc::clone(&tally),
        });
        let writer = Arc::new(Desk::new(Some(Writer { store, tally: Arc::clone(&tally) })));
        let (files, to_pipeline) = tokio::sync::mpsc::channel(CHANNEL_ITEMS_MAX);
        let hands = Hands { stages: Given::to_run(&stages), remote, writer: Given::to_run(&writer) };
        let handle = pipeline::pipeline(to_pipeline, &hands, way, division.workers)
            .memory(division.documents_bytes)
            .in_flight(FILES_UNDER_WAY_MAX)
            .on(&pool)
            .start()
            .map_err(stopped)?;
        let scout = tokio::task::spawn_blocking(move || scout.run(&files));
        let sampler = sampler(&handle, &stages)?;
        Ok(Self {
            handle,
            scout,
            stages,
            writer,
            tally,
            sampler,
            yardstick,
            started: Instant::now(),
            options: options.clone(),
        })
    }

    /// Follows and stops the run from elsewhere.
    pub fn controls(&self) -> RunControls {
        RunControls {
            controls: self.handle.controls(),
            tally: Arc::clone(&self.tally),
            started: self.started,
        }
    }

    /// Waits for the run's end, removes what is gone, and reports.
    ///
    /// # Errors
    /// Where a stage or the store stopped the run; what was written before stays.
    pub async fn join(self) -> Result<RunReport, IndexError> {
        let flow = self.handle.join().await;
        let scouted = self.scout.await.map_err(|_| IndexError::Interrupted)?;
        let seen = self.sampler.finish();
        let (reader, options, tally) = (self.stages.reader.clone(), self.options, self.tally);
        let (desk, elapsed, yardstick) = (self.writer, self.started.elapsed(), self.yardstick);
        let (flow, scouted) = match (flow, scouted) {
            (Ok(flow), scouted) => (flow, scouted?),
            (Err(error), scouted) => {
                let leave =
                    move || finish::leave(&mut Writer::retire(&desk)?.store, &reader, scouted.as_ref().ok());
                // What could not be noted either, the next walk shows again.
                let _ = blocking(leave).await;
                return Err(stopped(error));
            }
        };
        blocking(move || {
            let mut writer = Writer::retire(&desk)?;
            let gone = finish::settle(&mut writer.store, &reader, &scouted, &options, &flow)?;
            let report = finish::report(&reader, &tally, gone, elapsed, &flow, (&seen, yardstick))?;
            writer.store.close()?;
            Ok(report)
        })
        .await
    }
}

/// A path as roots are written, where it exists.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The plan of the pipeline that a run with this much memory would run; nothing is opened, started or called.
pub fn explain(memory_bytes: u64, way: Way) -> Plan {
    let division = Division::of(memory_bytes, std::thread::available_parallelism().map_or(1, usize::from));
    let (_files, to_pipeline) = tokio::sync::mpsc::channel(1);
    pipeline::pipeline(to_pipeline, &Hands::to_show(), way, division.workers)
        .memory(division.documents_bytes)
        .explain()
}

fn worker_config(options: &RunOptions, division: Division, limits: &Limits) -> WorkerConfig {
    WorkerConfig {
        workers_max: division.workers,
        memory_bytes_max: division.worker_bytes,
        time_max: options.file_time_max,
        limits: limits.clone(),
        ..WorkerConfig::new(&options.worker_program, &options.worker_arguments)
    }
}

fn sampler(handle: &Handle, stages: &Arc<Stages>) -> Result<Sampler, IndexError> {
    let (controls, watched) = (handle.controls(), Arc::clone(stages));
    Sampler::start(
        move || memory::together_bytes(&watched.workers.pids()).unwrap_or(0),
        move || controls.progress().bound.to_string(),
    )
    .map_err(|error| engine(&error))
}

fn engine(error: &dyn std::error::Error) -> IndexError {
    IndexError::Engine(with_causes(error))
}

fn stopped(error: RunError) -> IndexError {
    if let Some(error) = endpoint_error(&error) {
        return IndexError::Endpoint(error);
    }
    match error {
        RunError::Failed { failed, .. } => {
            IndexError::Stopped { stage: failed.stage.clone(), reason: with_causes(&failed.error) }
        }
        other => engine(&other),
    }
}
