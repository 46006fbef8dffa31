//! A finished pipeline: the run's own settings, and its start. What runs it is `run`'s.

use crate::error::RunError;
use crate::plan::{self, Plan};
use crate::report::Report;
use crate::run::{self, Handle, memory};
use crate::stage::{Stage, Work};
use crate::supervise::OnError;
use quipu_compute::ComputePool;

/// Items that may be in flight unless `.in_flight(…)` says otherwise: so many, and so many more for each worker. It
/// bounds the engine's own bookkeeping; memory is what `.memory(…)` bounds.
const ITEMS_BASE: u64 = 1024;
const ITEMS_PER_WORKER: u64 = 256;

/// A flow that ends in a sink, ready to run.
#[must_use = "a pipeline does nothing until it is run or started"]
pub struct Pipeline {
    stages: Vec<Stage>,
    settings: Settings,
}

/// The run's own settings.
#[derive(Default)]
struct Settings {
    bytes: Option<u64>,
    items: Option<usize>,
    pool: Option<ComputePool>,
    on_error: OnError,
}

impl Pipeline {
    pub(crate) fn new(stages: Vec<Stage>) -> Self {
        Self { stages, settings: Settings::default() }
    }

    /// The sink takes items in their source's order. What came too early waits before it, in credit.
    pub fn ordered(mut self) -> Self {
        if let Some(Work::Sink { ordered, .. }) = self.stages.last_mut().map(|stage| &mut stage.work) {
            *ordered = true;
        }
        self
    }

    /// Names the sink.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if let Some(sink) = self.stages.last_mut() {
            sink.name = Some(name.into());
        }
        self
    }

    /// What happens to items that the sink refuses, instead of the run's own policy.
    pub fn on_error(mut self, policy: OnError) -> Self {
        if let Some(sink) = self.stages.last_mut() {
            sink.on_error = Some(policy);
        }
        self
    }

    /// What happens to failed items in every stage that has no policy of its own; [`OnError::Stop`] unless said.
    pub fn on_any_error(mut self, policy: OnError) -> Self {
        self.settings.on_error = policy;
        self
    }

    /// The bytes that items in flight may take; by default the smaller of 1 GiB and a quarter of what the machine, or
    /// its cgroup, has free. Zero is lawful: then one item goes at a time.
    ///
    /// With budget B, W workers, D the deepest path (1, and 1 for each `flat_map`), G the limits of ios without
    /// `.output_at_most`, I and L the largest item or batch in items and bytes, what is charged stays at
    /// items ≤ B + D·I + W·(I−1) and bytes ≤ B + (D + W + G)·L. What a function allocates and drops while it runs is
    /// not charged.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.settings.bytes = Some(bytes);
        self
    }

    /// How many items may be in flight.
    pub fn in_flight(mut self, items: usize) -> Self {
        self.settings.items = Some(items);
        self
    }

    /// The cores to use; by default one pool that all runs of the process share.
    pub fn on(mut self, pool: &ComputePool) -> Self {
        self.settings.pool = Some(pool.clone());
        self
    }

    /// What would run: stages, how they are fused, where they wait.
    ///
    /// ```
    /// let pipeline = quipu_flow::Flow::from_iter(0..3u32)
    ///     .map(|number| number + 1).filter(|number| number % 2 == 0)
    ///     .sink(async |_| Ok::<(), String>(()));
    /// assert!(pipeline.explain().to_string().contains("map → filter"));
    /// assert!(pipeline.explain().mermaid().starts_with("flowchart"));
    /// ```
    #[must_use]
    pub fn explain(&self) -> Plan {
        Plan::of(&self.stages, &self.settings.on_error, self.bytes())
    }

    /// Runs to the end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// A setting that cannot be, or an item that stopped the run.
    pub async fn run(self) -> Result<Report, RunError> {
        self.start()?.join().await
    }

    /// Starts the run and returns at once.
    ///
    /// # Errors
    /// A setting that cannot be, or no Tokio runtime around the call.
    pub fn start(self) -> Result<Handle, RunError> {
        let bytes = self.bytes();
        let Self { stages, settings } = self;
        if settings.items == Some(0) {
            return Err(RunError::ZeroLimit { stage: "run".into(), what: "in_flight" });
        }
        let compiled = plan::compile(stages, &settings.on_error)?;
        let pool = match settings.pool {
            Some(pool) => pool,
            None => ComputePool::shared()?,
        };
        let items = settings.items.map(|items| items as u64);
        let items = items.unwrap_or_else(|| ITEMS_BASE + ITEMS_PER_WORKER * pool.workers() as u64);
        run::start(compiled, items, bytes, pool)
    }

    fn bytes(&self) -> u64 {
        self.settings.bytes.unwrap_or_else(memory::default_budget)
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.explain())
    }
}
