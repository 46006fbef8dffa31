//! Stages into segments: checked, fused, each with what its outputs must be appraised for.

use crate::error::RunError;
use crate::machine::{Made, NodeKind, Verdict};
use crate::stage::{
    BatchStep, Expander, Gatherer, IoWork, Items, Keyer, Measure, SinkWork, SourceWork, Stage, Step, Unit,
    Value, Work,
};
use crate::supervise::OnError;
use crate::weigh::Weigher;
use std::sync::Arc;
use std::time::Duration;

/// A checked flow, ready to run.
pub(crate) struct Compiled {
    pub(crate) stages: Vec<StageInfo>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) source: SourceWork,
    pub(crate) sink: SinkWork,
}

/// What reports say of a stage.
pub(crate) struct StageInfo {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) segment: usize,
    pub(crate) verdict: Verdict,
}

/// One node's work.
pub(crate) struct Segment {
    pub(crate) first_stage: usize,
    pub(crate) kind: NodeKind,
    pub(crate) task: Task,
    pub(crate) exit: Exit,
}

pub(crate) enum Task {
    Source,
    Cpu(Vec<(Step, Option<Keyer>)>),
    Expand(Expander),
    Io(IoWork),
    Batch(Gatherer),
    MapBatch(BatchStep),
    Sink,
}

/// How a segment's outputs are appraised: by themselves, and for the segment behind.
#[derive(Default)]
pub(crate) struct Exit {
    key: Option<Keyer>,
    weigh: Option<Weigher>,
    unit: Option<Unit>,
    at_most: Option<Measure>,
    copies: bool,
}

impl Exit {
    /// Weighs, measures and names a value. This calls user functions.
    pub(crate) fn appraise(&self, value: Value) -> Made<Value> {
        let item = &*value;
        let bytes = self.weigh.as_ref().map_or(0, |weigh| weigh(item));
        let measure = match &self.unit {
            None => 0,
            Some(Unit::Items) => 1,
            Some(Unit::Bytes) => bytes,
            Some(Unit::Weight(weight)) => weight(item),
        };
        let at_most = self.at_most.as_ref().map_or(bytes, |at_most| at_most(item).max(bytes));
        let reserve = at_most + if self.copies { bytes } else { 0 };
        let key = self.key.as_ref().map(|key| Arc::from(key(item)));
        Made { value, bytes, measure, reserve, key }
    }
}

/// Checks and fuses.
///
/// # Errors
/// A limit, a batch or a time of zero.
pub(crate) fn compile(stages: Vec<Stage>, default: &OnError) -> Result<Compiled, RunError> {
    let names = names(&stages);
    for (stage, name) in stages.iter().zip(&names) {
        check(stage, name)?;
    }
    let mut fuser = Fuser::default();
    for (stage, name) in stages.into_iter().zip(names) {
        fuser.add(stage, name, default);
    }
    match fuser {
        Fuser { stages, segments, source: Some(source), sink: Some(sink) } => {
            Ok(Compiled { stages, segments, source, sink })
        }
        _ => unreachable!("the builder begins with a source and ends with a sink"),
    }
}

#[derive(Default)]
struct Fuser {
    stages: Vec<StageInfo>,
    segments: Vec<Segment>,
    source: Option<SourceWork>,
    sink: Option<SinkWork>,
}

impl Fuser {
    fn add(&mut self, stage: Stage, name: String, default: &OnError) {
        let verdict = Verdict::from(stage.on_error.as_ref().unwrap_or(default));
        let first_stage = self.stages.len();
        let kind = stage.work.kind();
        let mut exit = Exit { weigh: stage.weigh, key: stage.key, ..Exit::default() };
        let (node, task) = match stage.work {
            Work::Map { grows, step, .. } => {
                let step = (step, exit.key.take());
                match self.segments.last_mut() {
                    Some(Segment {
                        kind: NodeKind::Cpu { grows: any },
                        task: Task::Cpu(steps),
                        exit: last,
                        ..
                    }) => {
                        *any |= grows;
                        steps.push(step);
                        *last = exit;
                        self.stages.push(StageInfo { name, kind, segment: self.segments.len() - 1, verdict });
                        return;
                    }
                    _ => (NodeKind::Cpu { grows }, Task::Cpu(vec![step])),
                }
            }
            other => self.boundary(other),
        };
        self.stages.push(StageInfo { name, kind, segment: self.segments.len(), verdict });
        self.segments.push(Segment { first_stage, kind: node, task, exit });
    }

    /// A segment that nothing fuses with; the one before it learns what its outputs must be appraised for.
    fn boundary(&mut self, work: Work) -> (NodeKind, Task) {
        let mut nobody = Exit::default();
        let before = self.segments.last_mut().map_or(&mut nobody, |segment| &mut segment.exit);
        match work {
            Work::Source(work) => {
                let external = matches!(work.items, Items::Stream(_));
                self.source = Some(work);
                (NodeKind::Source { external }, Task::Source)
            }
            Work::Sink { ordered, run } => {
                self.sink = Some(run);
                (NodeKind::Sink { ordered }, Task::Sink)
            }
            Work::FlatMap(expand) => (NodeKind::Expand, Task::Expand(expand)),
            Work::Map { grows, step, .. } => (NodeKind::Cpu { grows }, Task::Cpu(vec![(step, None)])),
            Work::Io(io) => {
                before.at_most = io.at_most.clone();
                before.copies = io.copy.is_some();
                (NodeKind::Io { slots: io.limit }, Task::Io(io))
            }
            Work::Batch { size, gather } => {
                before.unit = Some(size.unit);
                (gathers(size.max, size.within, false), Task::Batch(gather))
            }
            Work::MapBatch { size, run } => {
                before.unit = Some(size.unit);
                (gathers(size.max, size.within, true), Task::MapBatch(run))
            }
        }
    }
}

fn gathers(max: usize, within: Option<Duration>, grows: bool) -> NodeKind {
    NodeKind::Gather { size_max: max as u64, within, grows }
}

/// Only a memory budget may be zero.
fn check(stage: &Stage, name: &str) -> Result<(), RunError> {
    let zero = |what| Err(RunError::ZeroLimit { stage: name.to_owned(), what });
    match &stage.work {
        Work::Io(io) if io.limit == 0 => zero("limit"),
        Work::Io(io) if io.timeout == Some(Duration::ZERO) => zero("timeout"),
        Work::Batch { size, .. } | Work::MapBatch { size, .. } if size.max == 0 => zero("batch"),
        Work::Batch { size, .. } | Work::MapBatch { size, .. } if size.within == Some(Duration::ZERO) => {
            zero("batch's delay")
        }
        _ => Ok(()),
    }
}

/// The stages' names: as given, else the kind, numbered from the second of a kind on.
pub(super) fn names(stages: &[Stage]) -> Vec<String> {
    let unnamed = |stage: &Stage, kind| stage.name.is_none() && stage.work.kind() == kind;
    let name = |(index, stage): (usize, &Stage)| match &stage.name {
        Some(name) => name.clone(),
        None => {
            let kind = stage.work.kind();
            match stages[..index].iter().filter(|before| unnamed(before, kind)).count() {
                0 => kind.to_owned(),
                before => format!("{kind} {}", before + 1),
            }
        }
    };
    stages.iter().enumerate().map(name).collect()
}
