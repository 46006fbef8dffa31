//! Ours: quipu-flow and quipu-compute on the workloads.

use crate::clock;
use crate::drive::{Asked, drive};
use crate::peers::tokio_channels;
use crate::workloads::bridge::idle_of;
use crate::workloads::expansion::{self, BUDGET_BYTES, SlowSink};
use crate::workloads::fused::{Item, Run};
use crate::workloads::skew::{Shape, Way};
use quipu_compute::{ComputeConfig, ComputePool};
use quipu_flow::{Flow, Pipeline, Report};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A runtime and a pool of as many threads, kept warm.
pub(crate) struct Ours {
    runtime: Runtime,
    pool: ComputePool,
    threads: usize,
}

impl Ours {
    pub(crate) fn new(threads: usize) -> anyhow::Result<Self> {
        let pool = ComputePool::new(ComputeConfig::default().threads(threads))?;
        Ok(Self { runtime: tokio_channels::runtime(threads)?, pool, threads })
    }

    /// Four stages, fused, and an ordered sink.
    pub(crate) fn fused<I: Item>(&self, count: u64) -> anyhow::Result<Run> {
        let result = Arc::new(AtomicU64::new(0));
        let (into, mut sum) = (result.clone(), 0);
        let fold = move |item: I| {
            sum = item.fold(sum);
            into.store(sum, Relaxed);
        };
        let pipeline = Flow::from_iter((0..count).map(I::nth))
            .map(I::add)
            .map(I::multiply)
            .map(I::xor)
            .map(I::rotate)
            .for_each(fold)
            .ordered()
            .on(&self.pool);
        let start = Instant::now();
        self.runtime.block_on(pipeline.run())?;
        Ok((start.elapsed(), result.load(Relaxed)))
    }

    /// No-op jobs, awaited on the runtime.
    pub(crate) fn jobs(&self, asked: Asked, in_flight: usize, jobs: u64) -> anyhow::Result<Duration> {
        let pool = self.pool.clone();
        let submit = move || {
            let pool = pool.clone();
            async move { pool.execute(|| ()).await }
        };
        Ok(self.runtime.block_on(self.runtime.spawn(drive(asked, jobs, in_flight, submit)))?)
    }

    /// CPU time of a pool that has worked and now has nothing to do.
    pub(crate) fn idle(&self, jobs_before: u64) -> anyhow::Result<Duration> {
        let fresh = Self::new(self.threads)?;
        fresh.jobs(Asked::ByOne, 1, jobs_before)?;
        Ok(idle_of(clock::of_process))
    }
}

/// No setting but the workers, and those only where time is slept. `apart`: an io between the stages keeps them from
/// being fused.
pub(crate) fn skewed(shape: &Shape, apart: bool) -> anyhow::Result<Duration> {
    let runtime = tokio_channels::runtime(quipu_compute::usable_cores())?;
    let run = shape.begin();
    let stage = |index: usize| {
        let run = run.clone();
        move |item: u64| {
            run.stage(index);
            item
        }
    };
    let mut flow = Flow::from_iter(0..shape.items).map(stage(0));
    for index in 1..shape.stages.len() {
        flow = if apart {
            flow.io(async |item| Ok::<u64, Infallible>(item)).map(stage(index))
        } else {
            flow.map(stage(index))
        };
    }
    let mut pipeline = flow.for_each(drop);
    if shape.way == Way::Slept {
        pipeline = pipeline.on(&ComputePool::new(ComputeConfig::default().threads(shape.workers))?);
    }
    let start = Instant::now();
    runtime.block_on(pipeline.run())?;
    Ok(start.elapsed())
}

/// Each seed becomes its children; the sink is slow.
pub(crate) fn expanded(seeds: u64) -> anyhow::Result<Report> {
    let runtime = tokio_channels::runtime(quipu_compute::usable_cores())?;
    let mut sink = SlowSink::default();
    let pipeline: Pipeline = Flow::from_iter(0..seeds)
        .flat_map(expansion::children)
        .for_each(move |child| sink.take(child))
        .memory(BUDGET_BYTES);
    Ok(runtime.block_on(pipeline.run())?)
}
