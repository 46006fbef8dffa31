//! Counting: what stages have done, and how a run's figures become a progress or a report.

use super::Run;
use crate::machine::{Figures, NodeFigures};
use crate::report::{Bound, Progress, Report, StageProgress, StageReport, Waiting};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One stage's counters.
#[derive(Debug, Default)]
pub(super) struct Meter {
    entered: AtomicU64,
    left: AtomicU64,
    failed: AtomicU64,
    busy_ns: AtomicU64,
}

impl Meter {
    pub(super) fn enter(&self, items: u64) {
        self.entered.fetch_add(items, Relaxed);
    }

    pub(super) fn leave(&self, items: u64) {
        self.left.fetch_add(items, Relaxed);
    }

    pub(super) fn fail(&self, items: u64) {
        self.failed.fetch_add(items, Relaxed);
    }

    pub(super) fn work(&self, since: Instant) {
        let ns = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(ns, Relaxed);
    }
}

impl Run {
    pub(super) fn report(&self) -> Report {
        let state = self.lock();
        let figures = state.machine.figures();
        let stages = self.stages.iter().enumerate().map(|(index, info)| {
            let (meter, node) = (&self.meters[index], state.machine.node(info.segment));
            let is_first = self.segments[info.segment].first_stage == index;
            StageReport {
                name: info.name.clone(),
                kind: info.kind,
                entered: meter.entered.load(Relaxed),
                left: meter.left.load(Relaxed),
                failed: meter.failed.load(Relaxed),
                busy: Duration::from_nanos(meter.busy_ns.load(Relaxed)),
                waiting: if is_first { node.waited } else { Duration::ZERO },
                bytes_peak: node.bytes_peak,
            }
        });
        Report {
            ended: figures.ended,
            births: figures.births,
            ends: figures.ends,
            stages: stages.collect(),
            items_peak: figures.items_peak,
            bytes_peak: figures.bytes_peak,
            bytes_budget: figures.bytes_budget,
            stalls: figures.stalls,
            elapsed: state.ended_at.unwrap_or_else(Instant::now) - self.started,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let state = self.lock();
        let figures = state.machine.figures();
        let nodes: Vec<_> = (0..self.segments.len()).map(|node| state.machine.node(node)).collect();
        drop(state);
        let stages = self.stages.iter().enumerate().map(|(index, info)| {
            let (meter, node) = (&self.meters[index], &nodes[info.segment]);
            let is_first = self.segments[info.segment].first_stage == index;
            StageProgress {
                name: info.name.clone(),
                kind: info.kind,
                entered: meter.entered.load(Relaxed),
                left: meter.left.load(Relaxed),
                failed: meter.failed.load(Relaxed),
                queued: if is_first { node.queued } else { 0 },
                in_flight: if is_first { node.running } else { 0 },
                bytes: if is_first { node.bytes } else { 0 },
                waiting: if is_first { self.why(info.segment, node, figures.credit_is_free) } else { None },
            }
        });
        Progress {
            births: figures.births,
            ends: figures.ends,
            stages: stages.collect(),
            items: figures.items,
            items_budget: figures.items_budget,
            bytes_charged: figures.bytes,
            bytes_budget: figures.bytes_budget,
            bound: self.bound(&figures, &nodes),
            elapsed: self.started.elapsed(),
        }
    }

    fn bound(&self, figures: &Figures, nodes: &[NodeFigures]) -> Bound {
        let computing = nodes.iter().zip(&self.segments).filter(|(_, segment)| segment.kind.computes());
        if computing.map(|(node, _)| node.running).sum::<usize>() >= self.pool.workers() {
            Bound::Cores
        } else if let Some(full) = nodes.iter().rposition(|node| !node.has_slot && node.queued > 0) {
            Bound::Stage(self.stages[self.segments[full].first_stage].name.clone())
        } else if figures.bytes >= figures.bytes_budget {
            Bound::Memory
        } else if figures.items >= figures.items_budget {
            Bound::Items
        } else if figures.source_is_busy && nodes[1..].iter().all(|node| node.running == 0) {
            Bound::Source
        } else {
            Bound::Nothing
        }
    }

    /// Why items wait before a node.
    fn why(&self, segment: usize, node: &NodeFigures, credit_is_free: bool) -> Option<Waiting> {
        if node.queued == 0 {
            return (node.running == 0).then_some(Waiting::Input);
        }
        let kind = &self.segments[segment].kind;
        Some(if !node.has_slot {
            Waiting::Slot
        } else if kind.is_ordered() {
            Waiting::Order
        } else if node.buffered {
            Waiting::Batch
        } else if !credit_is_free && kind.is_gated() {
            Waiting::Credit
        } else {
            Waiting::Core
        })
    }
}
