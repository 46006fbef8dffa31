//! The plan as people read it: text, Mermaid for a page, DOT for a drawing.

use super::compile::names;
use super::graph::{Graph, Node};
use crate::machine::{CALLS_MIN, Kind, Side, Size};
use crate::supervise::OnError;
use std::fmt::{self, Write};

/// What a pipeline will do. `Display` is its text form.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    stages: Vec<PlannedStage>,
    segments: Vec<Segment>,
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

/// What runs in one go.
#[derive(Clone, Debug)]
struct Segment {
    title: String,
    needs: String,
    on_error: &'static str,
    next: Vec<usize>,
}

impl Plan {
    pub(crate) fn of(graph: &Graph, default: &OnError, memory_bytes: u64) -> Self {
        let mut names = names(graph).into_iter().map(|(_, name)| name);
        let (mut stages, mut segments) = (Vec::new(), Vec::new());
        for (index, node) in graph.nodes.iter().enumerate() {
            let needs = needs(node, index);
            let mut titles = Vec::new();
            let mut policy = word(default);
            for info in &node.stages {
                let name = names.next().unwrap_or_default();
                let draft = info.draft();
                policy = match &draft.on_error {
                    Some(policy) => word(policy),
                    None if node.is_part => "fail its item",
                    None => word(default),
                };
                titles.push(title(&name, info.kind));
                let needs = needs.clone();
                stages.push(PlannedStage { name, kind: info.kind, segment: index, needs, on_error: policy });
            }
            let title =
                if titles.is_empty() { nameless(&node.spec.kind).to_owned() } else { titles.join(" → ") };
            let next = next(graph, index);
            segments.push(Segment { title, needs, on_error: policy, next });
        }
        Self { stages, segments, memory_bytes }
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
        for (index, segment) in self.segments.iter().enumerate() {
            let (title, needs) = (segment.title.replace('"', "'"), segment.needs.replace('"', "'"));
            let _ = writeln!(chart, "    s{index}[\"{title}<br/><small>{needs}</small>\"]");
        }
        for (index, next) in self.edges() {
            let _ = writeln!(chart, "    s{index} --> s{next}");
        }
        chart
    }

    /// The plan as a Graphviz drawing.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut drawing = String::from("digraph flow {\n    rankdir=LR;\n    node [shape=box];\n");
        for (index, segment) in self.segments.iter().enumerate() {
            let (title, needs) = (segment.title.replace('"', "'"), segment.needs.replace('"', "'"));
            let _ = writeln!(drawing, "    s{index} [label=\"{title}\\n{needs}\"];");
        }
        for (index, next) in self.edges() {
            let _ = writeln!(drawing, "    s{index} -> s{next};");
        }
        drawing + "}\n"
    }

    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let of = |(index, segment): (usize, &Segment)| {
            segment.next.iter().map(move |&next| (index, next)).collect()
        };
        self.segments.iter().enumerate().flat_map(move |each| -> Vec<(usize, usize)> { of(each) })
    }
}

/// Where a node's items go: along its outputs, or through a port to the flow that takes from it.
fn next(graph: &Graph, node: usize) -> Vec<usize> {
    let outs = graph.nodes[node].spec.outs.iter().map(|(next, _)| *next);
    let takes = |other: &Node| matches!(&other.spec.kind, Kind::Joint { ports, .. } if ports.contains(&node));
    let joints = (0..graph.nodes.len()).filter(|&other| takes(&graph.nodes[other]));
    let tables = (0..graph.nodes.len()).filter(|&other| {
        let spec = &graph.nodes[other].spec;
        spec.gate == Some(node) && !spec.kind.is_source()
    });
    outs.chain(joints).chain(tables).collect()
}

fn title(name: &str, kind: &str) -> String {
    if name.starts_with(kind) { name.to_owned() } else { format!("{name} ({kind})") }
}

fn nameless(kind: &Kind) -> &'static str {
    match kind {
        Kind::Port => "port",
        Kind::Stream { .. } => "stream",
        _ => "entry",
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory: {} for items in flight", size(self.memory_bytes))?;
        for (index, Segment { title, needs, on_error, next }) in self.segments.iter().enumerate() {
            let goes_on = next.len() == 1 && next[0] == index + 1;
            let next: Vec<String> = next.iter().map(ToString::to_string).collect();
            let to =
                if goes_on || next.is_empty() { String::new() } else { format!(" → {}", next.join(", ")) };
            writeln!(f, "{index:>3}  {title}  [{needs}; on error: {on_error}]{to}")?;
        }
        Ok(())
    }
}

fn word(policy: &OnError) -> &'static str {
    match policy {
        OnError::Stop => "stop",
        OnError::Skip => "skip",
        OnError::DeadLetter(_) => "dead letter",
    }
}

fn needs(node: &Node, index: usize) -> String {
    let place = match node.spec.kind.side(index) {
        Some(Side::Core) => "a core",
        Some(Side::Tokio) => "Tokio",
        Some(Side::Device(_)) => "a thread of its own",
        None => "somebody who takes",
    };
    let mut needs = vec![place.to_owned()];
    needs.extend(own_needs(node));
    needs.extend(node.spec.rate.map(|rate| format!("≤ {} starts in {:?}", rate.starts, rate.per)));
    if node.spec.gate.is_some() {
        needs.push("the whole table".to_owned());
    }
    if node.spec.kind.keeps_order() {
        needs.push("in order".to_owned());
    }
    if node.spec.priority > 1 {
        needs.push(format!("priority {}", node.spec.priority));
    }
    needs.join(", ")
}

fn own_needs(node: &Node) -> Vec<String> {
    match &node.spec.kind {
        Kind::Source { window, .. } => {
            let window = window.map(|window| format!("≤ {window} unacknowledged"));
            std::iter::once("credit for each item".to_owned()).chain(window).collect()
        }
        Kind::Joint { .. } => vec!["credit for each item".to_owned()],
        Kind::Expand | Kind::Group { .. } | Kind::Scatter { .. } => vec!["credit for each child".to_owned()],
        Kind::Fork { branches, .. } => vec![format!("credit for each of {branches} clones")],
        Kind::Io { slots, adapts, .. } => {
            let least = if *adapts { format!("{CALLS_MIN} to ") } else { "≤ ".to_owned() };
            let timeout = node.io.timeout.map(|each| format!("timeout {each:?}"));
            let retries = (node.io.retries > 0).then(|| format!("{} retries", node.io.retries));
            std::iter::once(format!("{least}{slots} at once")).chain(timeout).chain(retries).collect()
        }
        Kind::Sink { slots } => vec![format!("≤ {slots} at once")],
        Kind::Serial { .. } => vec!["one at a time".to_owned()],
        Kind::Keyed { .. } => vec!["one at a time for each key".to_owned()],
        Kind::Batch { size, .. } | Kind::MapBatch { size, .. } | Kind::Device { size, .. } => {
            vec![batch(node, *size)]
        }
        Kind::Reduce { .. } => vec!["one at a time for each group".to_owned()],
        Kind::Fold { .. } => vec!["one at a time".to_owned(), "the end of its input".to_owned()],
        Kind::Gather { .. } => vec!["an end of each part".to_owned()],
        Kind::Zip { branches } => vec![format!("its {branches} clones")],
        Kind::Cpu { .. } | Kind::Port | Kind::Stream { .. } => Vec::new(),
    }
}

fn batch(node: &Node, size: Size) -> String {
    let within = size.within.map(|delay| format!(" within {delay:?}")).unwrap_or_default();
    format!("a batch of ≤ {}{}{within}", size.max, node.unit)
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
