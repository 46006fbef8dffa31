//! What a run has done ([`Report`]) and what it is doing ([`Progress`]).

use crate::machine::End;
use std::fmt;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every item reached its end; a drained run too.
    Done,
    /// An item failed under [`OnError::Stop`](crate::OnError::Stop).
    Failed,
    /// `cancel()` was called, or the handle was dropped.
    Cancelled,
}

/// How many items ended how. Their sum is the number of births, on every ending of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ends {
    /// The sink said `Ok`.
    pub delivered: u64,
    /// A filter said no.
    pub filtered: u64,
    /// Failed under [`OnError::Skip`](crate::OnError::Skip), or as a part, which fails its parent.
    pub skipped: u64,
    /// Failed, and the dead-letter sink said `Ok`.
    pub dead_lettered: u64,
    /// Failed and stopped the run.
    pub failed: u64,
    /// Turned into its children, outputs or clones.
    pub expanded: u64,
    /// Taken into a state: by a fold, a reduce, a table.
    pub absorbed: u64,
    /// A part that was put together with its parent again.
    pub gathered: u64,
    /// Became one item with those that it was paired with.
    pub zipped: u64,
    /// Found nothing to be paired with.
    pub unpaired: u64,
    /// Was in flight when the run was stopped.
    pub cancelled: u64,
}

impl Ends {
    /// All ends together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.delivered
            + self.filtered
            + self.skipped
            + self.dead_lettered
            + self.failed
            + self.expanded
            + self.absorbed
            + self.gathered
            + self.zipped
            + self.unpaired
            + self.cancelled
    }

    pub(crate) fn count_mut(&mut self, end: End) -> &mut u64 {
        match end {
            End::Delivered => &mut self.delivered,
            End::Filtered => &mut self.filtered,
            End::Skipped => &mut self.skipped,
            End::DeadLettered => &mut self.dead_lettered,
            End::Failed => &mut self.failed,
            End::Expanded => &mut self.expanded,
            End::Absorbed => &mut self.absorbed,
            End::Gathered => &mut self.gathered,
            End::Zipped => &mut self.zipped,
            End::Unpaired => &mut self.unpaired,
            End::Cancelled => &mut self.cancelled,
        }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = [
            ("delivered", self.delivered),
            ("filtered", self.filtered),
            ("skipped", self.skipped),
            ("dead-lettered", self.dead_lettered),
            ("failed", self.failed),
            ("expanded", self.expanded),
            ("absorbed", self.absorbed),
            ("gathered", self.gathered),
            ("zipped", self.zipped),
            ("unpaired", self.unpaired),
            ("cancelled", self.cancelled),
        ];
        let some: Vec<String> =
            ends.iter().filter(|(_, count)| *count > 0).map(|(end, n)| format!("{n} {end}")).collect();
        f.write_str(if some.is_empty() { "none ended" } else { "" })?;
        f.write_str(&some.join(", "))
    }
}

/// What one run has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub ended: Ended,
    /// Items born: the source's and the children of `flat_map`s.
    pub births: u64,
    /// How they ended.
    pub ends: Ends,
    /// Per stage, the source first.
    pub stages: Vec<StageReport>,
    /// The most items that were in flight at once.
    pub items_peak: u64,
    /// The most bytes that were charged at once.
    pub bytes_peak: u64,
    /// The budget in bytes.
    pub bytes_budget: u64,
    /// How often the run could only go on over its budget.
    pub stalls: u64,
    /// From start to end.
    pub elapsed: Duration,
}

/// What one stage has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// Its kind: `map`, `io`, …
    pub kind: &'static str,
    /// Items that it was given.
    pub entered: u64,
    /// Items that it passed on.
    pub left: u64,
    /// Items that failed in it.
    pub failed: u64,
    /// How many items it worked on at once at most, where that is limited: what `.limit` said, or what an io had come to
    /// in the end.
    pub at_once: Option<usize>,
    /// Time in the user's code, summed over workers and tasks; an io's waiting for the world is in it.
    pub busy: Duration,
    /// Time that items waited before it, summed. Stages that are fused wait once, before the first of them.
    pub waiting: Duration,
    /// Time in which it had nothing to do because nothing came.
    pub starved: Duration,
    /// Time in which it had something to do and no credit for it.
    pub blocked: Duration,
    /// The most bytes that were charged to items at this stage, or at its fused segment, at once.
    pub bytes_peak: u64,
}

/// What a run is doing now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Items born so far.
    pub births: u64,
    /// How items have ended so far.
    pub ends: Ends,
    /// Per stage, the source first.
    pub stages: Vec<StageProgress>,
    /// Items in flight.
    pub items: u64,
    /// How many may be.
    pub items_budget: u64,
    /// Bytes charged now.
    pub bytes_charged: u64,
    /// How many may be.
    pub bytes_budget: u64,
    /// What bounds the run right now.
    pub bound: Bound,
    /// Since the start.
    pub elapsed: Duration,
}

/// What one stage is doing now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageProgress {
    /// Its name.
    pub name: String,
    /// Its kind: `map`, `io`, …
    pub kind: &'static str,
    /// Items that it was given so far.
    pub entered: u64,
    /// Items that it passed on so far.
    pub left: u64,
    /// Items that failed in it so far.
    pub failed: u64,
    /// Items that wait before it; before the first of fused stages.
    pub queued: usize,
    /// Quanta that run in it; in the first of fused stages.
    pub in_flight: usize,
    /// Bytes charged to the items there.
    pub bytes: u64,
    /// What it waits for, if anything waits there.
    pub waiting: Option<Waiting>,
}

/// Why items wait before a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// For a core.
    Core,
    /// For one of its own slots.
    Slot,
    /// For its rate to allow another start.
    Rate,
    /// For the memory or item budget.
    Credit,
    /// For more items, to make a batch whole.
    Batch,
    /// For older items.
    Order,
    /// For others that it belongs with: parts, clones, members of a group; or for somebody who takes it.
    Others,
    /// For its input.
    Input,
    /// For somebody to resume the run.
    Resume,
    /// For the acknowledgement of earlier items.
    Acknowledgement,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "a core",
            Self::Slot => "a slot",
            Self::Rate => "its rate",
            Self::Credit => "credit",
            Self::Batch => "a whole batch",
            Self::Order => "older items",
            Self::Others => "those that belong to it",
            Self::Input => "input",
            Self::Resume => "being resumed",
            Self::Acknowledgement => "acknowledgements",
        })
    }
}

/// What bounds a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// Every worker computes.
    Cores,
    /// This io or sink has all its slots in use, or as many starts as its rate allows, and items wait; or this stage has
    /// the item that all others wait for to keep their order.
    Stage(String),
    /// The memory budget is used up.
    Memory,
    /// The item budget is used up.
    Items,
    /// Nothing waits but for the source.
    Source,
    /// Nothing in particular.
    Nothing,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cores => f.write_str("cores"),
            Self::Stage(name) => write!(f, "stage '{name}'"),
            Self::Memory => f.write_str("memory"),
            Self::Items => f.write_str("items in flight"),
            Self::Source => f.write_str("source"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { births, ends, items, items_budget, bytes_charged, bytes_budget, bound, elapsed, .. } =
            self;
        writeln!(
            f,
            "{elapsed:.1?}: {births} born, {} ended; {items} of {items_budget} items and {bytes_charged} of \
             {bytes_budget} bytes under way; bound by {bound}",
            ends.total()
        )?;
        let width = self.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:width$}  {:>9} {:>9} {:>7} {:>7} {:>7}  waits for",
            "stage", "in", "out", "failed", "queued", "running"
        )?;
        for StageProgress { name, entered, left, failed, queued, in_flight, waiting, .. } in &self.stages {
            let waiting = waiting.map(|waiting| waiting.to_string()).unwrap_or_default();
            let line = format!(
                "{name:width$}  {entered:>9} {left:>9} {failed:>7} {queued:>7} {in_flight:>7}  {waiting}"
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ended, births, elapsed, items_peak, bytes_peak, bytes_budget, stalls, .. } = self;
        writeln!(f, "{ended:?} after {elapsed:.1?}: {births} born: {}", self.ends)?;
        writeln!(
            f,
            "at most {items_peak} items and {bytes_peak} bytes at once, of {bytes_budget}; stall steps: {stalls}"
        )?;
        let width = self.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:width$}  {:>9} {:>9} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9} {:>12}",
            "stage",
            "in",
            "out",
            "failed",
            "at once",
            "working",
            "waiting",
            "no input",
            "no credit",
            "peak bytes"
        )?;
        for stage in &self.stages {
            let (working, waiting) = (stage.busy.as_secs_f64(), stage.waiting.as_secs_f64());
            let (starved, blocked) = (stage.starved.as_secs_f64(), stage.blocked.as_secs_f64());
            let StageReport { name, entered, left, failed, at_once, bytes_peak, .. } = stage;
            let at_once = at_once.map(|most| most.to_string()).unwrap_or_default();
            writeln!(
                f,
                "{name:width$}  {entered:>9} {left:>9} {failed:>7} {at_once:>7} {working:>8.2}s {waiting:>8.2}s {starved:>8.2}s \
                 {blocked:>8.2}s {bytes_peak:>12}"
            )?;
        }
        Ok(())
    }
}
