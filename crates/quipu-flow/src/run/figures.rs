//! Counting: what stages have done, and how a run's figures become a progress or a report.

use super::Run;
use crate::machine::{Figures, NodeFigures, Side, SourceFigures};
use crate::report::{Bound, Progress, Report, StageProgress, StageReport, Waiting};
use std::time::{Duration, Instant};

impl Run {
    pub(super) fn report(&self) -> Report {
        let state = self.lock();
        let figures = state.machine.figures();
        let stages = self.stages.iter().enumerate().map(|(index, (info, node))| {
            let (tally, is_first) = (info.meter.read(), self.is_first(index));
            let node = state.machine.node(*node);
            StageReport {
                name: info.name().to_string(),
                kind: info.kind,
                entered: tally.entered,
                left: tally.left,
                failed: tally.failed,
                at_once: node.at_once,
                busy: Duration::from_nanos(tally.busy_ns),
                waiting: if is_first { node.waited } else { Duration::ZERO },
                starved: if is_first { node.starved } else { Duration::ZERO },
                blocked: if is_first { node.blocked } else { Duration::ZERO },
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
        let nodes: Vec<_> = (0..self.kinds.len()).map(|node| state.machine.node(node)).collect();
        drop(state);
        let stages = self.stages.iter().enumerate().map(|(index, (info, at))| {
            let (tally, is_first, node) = (info.meter.read(), self.is_first(index), &nodes[*at]);
            StageProgress {
                name: info.name().to_string(),
                kind: info.kind,
                entered: tally.entered,
                left: tally.left,
                failed: tally.failed,
                queued: if is_first { node.queued } else { 0 },
                in_flight: if is_first { node.running } else { 0 },
                bytes: if is_first { node.bytes } else { 0 },
                waiting: if is_first { self.why(node, &figures) } else { None },
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

    /// Whether a stage is the first of those that are fused with it.
    fn is_first(&self, stage: usize) -> bool {
        stage == 0 || self.stages[stage - 1].1 != self.stages[stage].1
    }

    fn name_at(&self, node: usize) -> String {
        let stage = self.stages.iter().find(|(_, at)| *at == node);
        stage.map_or_else(|| "entry".to_owned(), |(info, _)| info.name().to_string())
    }

    fn bound(&self, figures: &Figures, nodes: &[NodeFigures]) -> Bound {
        let is_on_core =
            |(node, _): &(usize, &NodeFigures)| self.kinds[*node].side(*node) == Some(Side::Core);
        let is_full = |node: &NodeFigures| (!node.has_slot || node.is_slowed) && node.queued > 0;
        let computing = nodes.iter().enumerate().filter(is_on_core);
        if computing.map(|(_, node)| node.running).sum::<usize>() >= self.pool.num_threads() {
            Bound::Cores
        } else if let Some(full) = nodes.iter().rposition(is_full) {
            Bound::Stage(self.name_at(full))
        } else if let Some(holder) = figures.holder {
            Bound::Stage(self.name_at(holder))
        } else if figures.bytes >= figures.bytes_budget {
            Bound::Memory
        } else if figures.items >= figures.items_budget {
            Bound::Items
        } else if figures.source_is_busy && figures.items == 0 {
            Bound::Source
        } else {
            Bound::Nothing
        }
    }

    /// Why items wait before a node.
    fn why(&self, node: &NodeFigures, figures: &Figures) -> Option<Waiting> {
        if let Some(source) = node.source {
            return match source {
                SourceFigures::Closed => None,
                SourceFigures::Paused => Some(Waiting::Resume),
                SourceFigures::HeldUp => Some(Waiting::Acknowledgement),
                SourceFigures::Ready if !figures.credit_is_free => Some(Waiting::Credit),
                SourceFigures::Ready => Some(Waiting::Core),
                SourceFigures::Waiting => (node.running == 0).then_some(Waiting::Input),
            };
        }
        if node.queued == 0 {
            return (node.running == 0).then_some(Waiting::Input);
        }
        Some(if !node.has_slot {
            Waiting::Slot
        } else if node.is_slowed {
            Waiting::Rate
        } else if node.is_ready {
            if node.gated && !figures.credit_is_free { Waiting::Credit } else { Waiting::Core }
        } else if node.buffered {
            Waiting::Batch
        } else if node.ordered {
            Waiting::Order
        } else {
            Waiting::Others
        })
    }
}
