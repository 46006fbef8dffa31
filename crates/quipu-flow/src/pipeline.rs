//! A finished pipeline: the run's own settings, and its start. What runs it is `run`'s.

use crate::error::RunError;
use crate::machine::{Budget, Kind, Rate};
use crate::plan::{self, Graph, Plan};
use crate::report::Report;
use crate::run::{self, Handle, memory};
use crate::stage::info::Info;
use crate::supervise::OnError;
use quipu_compute::ComputePool;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle as Runtime;

const ORDERED_AND_MANY: &str = "cannot be ordered with many calls at once: what is called in order ends in any; \
                                leave out `.limit` or `.ordered`";

/// Items that may be in flight unless `.in_flight(…)` says otherwise: so many, and so many more for each worker. It
/// bounds the engine's own bookkeeping; memory is what `.memory(…)` bounds.
const ITEMS_BASE: u64 = 1024;
const ITEMS_PER_WORKER: u64 = 256;

/// A flow that ends in a sink, ready to run.
#[must_use = "a pipeline does nothing until it is run or started"]
pub struct Pipeline {
    graph: Graph,
    settings: Settings,
}

/// The run's own settings.
#[derive(Default)]
struct Settings {
    bytes: Option<u64>,
    items: Option<usize>,
    pool: Option<ComputePool>,
    on_error: OnError,
    refused: Option<&'static str>,
}

impl Pipeline {
    pub(crate) fn new(graph: Graph) -> Self {
        Self { graph, settings: Settings::default() }
    }

    /// The last stage takes items in their source's order. What came too early waits before it, in credit.
    pub fn ordered(mut self) -> Self {
        match self.graph.nodes.last_mut().map(|node| &mut node.spec.kind) {
            Some(Kind::Serial { ordered, .. } | Kind::Stream { ordered }) => *ordered = true,
            _ => self.settings.refused = Some(ORDERED_AND_MANY),
        }
        self
    }

    /// Up to so many calls of an async sink at once. Their order is nobody's then.
    pub fn limit(mut self, calls: usize) -> Self {
        match self.graph.nodes.last_mut().map(|node| &mut node.spec.kind) {
            Some(Kind::Serial { ordered: true, .. }) => self.settings.refused = Some(ORDERED_AND_MANY),
            Some(kind @ (Kind::Serial { waits: true, .. } | Kind::Sink { .. })) => {
                *kind = Kind::Sink { slots: calls }
            }
            _ => {
                self.settings.refused =
                    Some("takes one item at a time, on a core; `.limit` is for async sinks")
            }
        }
        self
    }

    /// At most so many calls of an async sink are begun in any period of this length, as `.rate` says of an io.
    pub fn rate(mut self, calls: u32, per: Duration) -> Self {
        match self.graph.nodes.last_mut().map(|node| &mut node.spec) {
            Some(spec) if matches!(spec.kind, Kind::Serial { waits: true, .. } | Kind::Sink { .. }) => {
                spec.rate = Some(Rate { starts: calls, per });
            }
            _ => self.settings.refused = Some("takes items on a core; `.rate` is for async sinks"),
        }
        self
    }

    /// Names the sink.
    pub fn named(self, name: impl Into<String>) -> Self {
        if let Some(info) = self.last_info() {
            info.draft().name = Some(name.into());
        }
        self
    }

    /// What happens to items that the sink refuses, instead of the run's own policy.
    pub fn on_error(self, policy: OnError) -> Self {
        if let Some(info) = self.last_info() {
            info.draft().on_error = Some(policy);
        }
        self
    }

    fn last_info(&self) -> Option<&Arc<Info>> {
        self.graph.nodes.last()?.stages.last()
    }

    /// What happens to failed items in every stage that has no policy of its own; [`OnError::Stop`] unless said.
    pub fn on_any_error(mut self, policy: OnError) -> Self {
        self.settings.on_error = policy;
        self
    }

    /// The bytes that items in flight may take; by default the smaller of 1 GiB and a quarter of what the machine, or
    /// its cgroup, has free. Zero is lawful: then one item goes at a time.
    ///
    /// With budget B, W workers, D the deepest path (1 for the source, and 1 for each `flat_map` or `fold`; the guide has
    /// the whole table), G the limits of ios without `.output_at_most` (256 where none is set), the batches of devices,
    /// and 1 for each stream or channel that items come from, I and L the largest item, batch or gathered group in items
    /// and bytes, what is charged stays at items ≤ B + D·I + W·(I−1) and bytes ≤ B + (D + W + G)·L. What a function
    /// allocates and drops while it runs is not charged.
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
        Plan::of(&self.graph, &self.settings.on_error, self.bytes())
    }

    /// Runs to the end. Dropping the future cancels the run.
    ///
    /// # Errors
    /// A setting that cannot be, or an item that stopped the run.
    pub async fn run(self) -> Result<Report, RunError> {
        self.start()?.join().await
    }

    /// Runs to the end while this thread waits: in a program without async code, or inside a function on the pool that
    /// needs a whole run. A worker of the run's own pool does the run's work while it waits, and nobody else's: one
    /// worker is enough, and a lock that the function holds is in nobody's way.
    ///
    /// Its ios go on the multi-threaded runtime around the call (that of a `spawn_blocking`), or else on the engine's own.
    /// Its budget is its own, beside that of the run that it stands in. A worker of *another* pool only waits: runs of two
    /// pools that wait for each other's workers wait for ever.
    ///
    /// ```
    /// use quipu_flow::Flow;
    ///
    /// let report = Flow::from_iter(["12 7", "3 4 5"])
    ///     .map(|line| {
    ///         let words = line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    ///         let numbers = Flow::from_iter(words).try_map(|word| word.parse::<u32>());
    ///         numbers.for_each(|number| assert!(number < 13)).run_blocking()
    ///     })
    ///     .weigh(|_| 0)
    ///     .for_each(|inner| assert!(inner.is_ok_and(|inner| inner.ends.delivered > 1)))
    ///     .run_blocking()?;
    /// assert_eq!(report.ends.delivered, 2);
    /// # Ok::<(), quipu_flow::RunError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Self::run); and that the call is in async code, whose thread may not wait.
    pub fn run_blocking(self) -> Result<Report, RunError> {
        run::blocking::join(self.start_on(run::blocking::runtime)?)
    }

    /// Starts the run and returns at once.
    ///
    /// # Errors
    /// A setting that cannot be, or no Tokio runtime around the call.
    pub fn start(self) -> Result<Handle, RunError> {
        self.start_on(|| Runtime::try_current().map_err(|_| RunError::NoRuntime))
    }

    /// Starts on the runtime that is asked for when all else is in order.
    fn start_on(self, runtime: impl FnOnce() -> Result<Runtime, RunError>) -> Result<Handle, RunError> {
        let bytes = self.bytes();
        let Self { graph, settings } = self;
        if settings.items == Some(0) {
            return Err(RunError::ZeroLimit { stage: "run".into(), what: "in_flight" });
        }
        if let Some(why) = settings.refused {
            return Err(RunError::Refused { stage: "sink".into(), why });
        }
        let compiled = plan::compile(graph, &settings.on_error)?;
        let pool = match settings.pool {
            Some(pool) => pool,
            None => ComputePool::shared()?,
        };
        let items = settings.items.map(|items| items as u64);
        let items = items.unwrap_or_else(|| ITEMS_BASE + ITEMS_PER_WORKER * pool.num_threads() as u64);
        let budget = Budget { items, bytes, workers: pool.num_threads() };
        run::start(compiled, budget, pool, runtime()?)
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
