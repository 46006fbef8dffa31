//! The plan as people read it: text, and Mermaid for a page.

use super::fuse::names;
use crate::stage::{Stage, Work};
use crate::supervise::OnError;
use std::fmt;

/// What a pipeline will do. `Display` is its text form.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    stages: Vec<PlannedStage>,
    memory_bytes: u64,
}

/// One stage of a plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedStage {
    /// Its name; its kind, numbered where there are several, unless it was named.
    pub name: String,
    /// Its kind: `map`, `io`, …
    pub kind: &'static str,
    /// The segment that it belongs to. Stages of one segment are fused.
    pub segment: usize,
    /// What it needs: a core, Tokio, credit, its limits.
    pub needs: String,
    /// What happens to items that fail in it.
    pub on_error: &'static str,
}

impl Plan {
    pub(crate) fn of(stages: &[Stage], default: &OnError, memory_bytes: u64) -> Self {
        let mut segment = 0;
        let planned = stages.iter().zip(names(stages)).enumerate().map(|(index, (stage, name))| {
            let is_fused = index > 0 && is_map(stage) && is_map(&stages[index - 1]);
            segment += usize::from(index > 0 && !is_fused);
            let on_error = word(stage.on_error.as_ref().unwrap_or(default));
            PlannedStage { name, kind: stage.work.kind(), segment, needs: needs(&stage.work), on_error }
        });
        Self { stages: planned.collect(), memory_bytes }
    }

    /// The stages, the source first.
    #[must_use]
    pub fn stages(&self) -> &[PlannedStage] {
        &self.stages
    }

    /// The plan as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut chart = String::from("flowchart LR\n");
        for (index, segment) in self.segments().enumerate() {
            let titles: Vec<String> = segment.iter().map(PlannedStage::title).collect();
            let label = titles.join(" → ").replace('"', "'");
            let needs = segment[0].needs.replace('"', "'");
            chart.push_str(&format!("    s{index}[\"{label}<br/><small>{needs}</small>\"]\n"));
            if index > 0 {
                chart.push_str(&format!("    s{} --> s{index}\n", index - 1));
            }
        }
        chart
    }

    fn segments(&self) -> impl Iterator<Item = &[PlannedStage]> {
        self.stages.chunk_by(|a, b| a.segment == b.segment)
    }
}

impl PlannedStage {
    fn title(&self) -> String {
        if self.name.starts_with(self.kind) {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.kind)
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory: {} MiB for items in flight", self.memory_bytes >> 20)?;
        for (index, segment) in self.segments().enumerate() {
            let titles: Vec<String> = segment.iter().map(PlannedStage::title).collect();
            writeln!(
                f,
                "{index:>3}  {}  [{}; on error: {}]",
                titles.join(" → "),
                segment[0].needs,
                segment[0].on_error
            )?;
        }
        Ok(())
    }
}

fn is_map(stage: &Stage) -> bool {
    matches!(stage.work, Work::Map { .. })
}

fn word(policy: &OnError) -> &'static str {
    match policy {
        OnError::Stop => "stop",
        OnError::Skip => "skip",
        OnError::DeadLetter(_) => "dead letter",
    }
}

fn needs(work: &Work) -> String {
    match work {
        Work::Source(source) => match source.items {
            crate::stage::Items::Iterator(_) => "a core, credit for each item".to_owned(),
            crate::stage::Items::Stream(_) => "Tokio, credit for each item".to_owned(),
        },
        Work::Map { .. } => "a core".to_owned(),
        Work::FlatMap(_) => "a core, credit for each child".to_owned(),
        Work::Io(io) => {
            let timeout = io.timeout.map(|each| format!(", timeout {each:?}")).unwrap_or_default();
            let retries = if io.retries > 0 { format!(", {} retries", io.retries) } else { String::new() };
            format!("Tokio, ≤ {} at once{timeout}{retries}", io.limit)
        }
        Work::Batch { size, .. } => format!("a batch {size}"),
        Work::MapBatch { size, .. } => format!("a core, a batch {size}"),
        Work::Sink { ordered, .. } => {
            format!("Tokio, one at a time{}", if *ordered { ", in order" } else { "" })
        }
    }
}
