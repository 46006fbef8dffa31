//! From a graph to what runs: checked, with names, policies and the machine's specification.

use super::graph::{Graph, Node};
use crate::error::RunError;
use crate::machine::{Kind, Rate, Spec, Verdict};
use crate::stage::info::Info;
use crate::stage::{IoSettings, Work};
use crate::supervise::OnError;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A checked flow, ready to run.
pub(crate) struct Compiled {
    pub(crate) specs: Vec<Spec>,
    pub(crate) nodes: Vec<CompiledNode>,
    /// The stages in the order in which they were written, each with its node.
    pub(crate) stages: Vec<(Arc<Info>, usize)>,
}

#[derive(Clone)]
pub(crate) struct CompiledNode {
    pub(crate) work: Work,
    pub(crate) io: IoSettings,
}

/// Checks a graph, and fixes its stages' names and policies.
///
/// # Errors
/// A limit, a batch, a time or a count of zero; a graph that is refused.
pub(crate) fn compile(graph: Graph, default: &OnError) -> Result<Compiled, RunError> {
    let names = names(&graph);
    if let Some(stage) = &graph.astray {
        // It may have gone with the flow that it stood in, and so have no number.
        let stage = stage.draft().name.clone().unwrap_or_else(|| stage.kind.to_owned());
        return Err(RunError::Refused { stage, why: ASTRAY });
    }
    for node in &graph.nodes {
        check(node, &graph, &|node| name_of(node, &names))?;
    }
    let mut compiled = Compiled { specs: Vec::new(), nodes: Vec::new(), stages: Vec::new() };
    let mut names = names.into_iter();
    let mut entries = Vec::new();
    for (index, node) in graph.nodes.into_iter().enumerate() {
        let Node { mut spec, work, stages, io, is_part, .. } = node;
        entries.extend(stages.is_empty().then_some(index));
        for info in stages {
            let draft = info.draft().clone();
            let verdict = match &draft.on_error {
                Some(policy) => Verdict::from(policy),
                None if is_part => Verdict::Parent,
                None => Verdict::from(default),
            };
            info.fix(&names.next().map(|(_, name)| name).unwrap_or_default(), verdict);
            spec.priority = spec.priority.max(draft.priority.unwrap_or(1));
            compiled.stages.push((info, index));
        }
        compiled.specs.push(spec);
        compiled.nodes.push(CompiledNode { work, io });
    }
    // Where a branch begins, items only pass: they are as urgent as what they go to.
    for entry in entries.into_iter().rev() {
        if let [(next, _)] = compiled.specs[entry].outs[..] {
            compiled.specs[entry].priority = compiled.specs[next].priority;
        }
    }
    Ok(compiled)
}

const ASTRAY: &str = "has a branch or sub-flow that does not go on from the flow its closure was given; say \
                      `given.merge(other)`, and `join_with` outside of it";

const UNFINISHED: &str = "has a branch or sub-flow that was kept beyond its closure, and goes on outside of it; return \
                          each from the closure that it was given to";

type Names = Vec<(*const Info, String)>;

fn name_of(node: &Node, names: &Names) -> String {
    let first = node.stages.first().map(Arc::as_ptr);
    let name = names.iter().find(|(info, _)| Some(*info) == first).map(|(_, name)| name.clone());
    name.unwrap_or_else(|| "entry".to_owned())
}

/// The stages' names in their order: as given, else the kind, numbered from the second of a kind on.
pub(super) fn names(graph: &Graph) -> Names {
    let mut seen: HashMap<&'static str, usize> = HashMap::new();
    let infos = graph.nodes.iter().flat_map(|node| &node.stages);
    let name = |info: &Arc<Info>| {
        let given = info.draft().name.clone();
        let name = given.unwrap_or_else(|| {
            let count = seen.entry(info.kind).or_default();
            *count += 1;
            if *count == 1 { info.kind.to_owned() } else { format!("{} {count}", info.kind) }
        });
        (Arc::as_ptr(info), name)
    };
    infos.map(name).collect()
}

fn check(node: &Node, graph: &Graph, name: &dyn Fn(&Node) -> String) -> Result<(), RunError> {
    check_counts(node, name)?;
    let refuse = |why| Err(RunError::Refused { stage: name(node), why });
    if node.unfinished > 0 {
        return refuse(UNFINISHED);
    }
    let merges = matches!(node.spec.kind, Kind::Batch { .. } | Kind::Fold { .. } | Kind::Group { .. });
    if node.is_part && merges {
        return refuse("merges the parts of different items; in a sub-flow use `map_batch`, which does not");
    }
    if node.is_member && matches!(node.spec.kind, Kind::Fold { .. }) {
        return refuse("takes in the members of all groups alike; it is `Reduce` that takes in each group's");
    }
    let multiplies = match node.spec.kind {
        Kind::Expand => true,
        Kind::Fork { zip, .. } => zip.is_none(),
        _ => false,
    };
    // What is scattered inside a branch is gathered there, so its own body may multiply.
    if node.is_paired && (merges || (multiplies && !node.is_part)) {
        return refuse(
            "stands in a branch of `fork_zip`, where each item must stay one; move it behind the zip",
        );
    }
    let region = node.spec.region;
    if node
        .spec
        .outs
        .iter()
        .any(|(next, _)| graph.nodes.get(*next).is_some_and(|next| next.spec.region != region))
    {
        return refuse(
            "comes, behind a `zip` or `concat` in one branch, together with another branch; join the flows first",
        );
    }
    if node.spec.kind.is_source() && (node.is_part || node.is_paired || node.is_member) {
        return refuse(
            "brings another flow's items in where each item must come from the one that is taken apart; join the flows before or behind",
        );
    }
    let Kind::Joint { ports, .. } = &node.spec.kind else { return Ok(()) };
    let regions: Vec<usize> = ports.iter().map(|&port| graph.nodes[port].spec.region).collect();
    if regions.windows(2).any(|pair| pair[0] == pair[1]) {
        return refuse("joins a flow with itself; use `fork_zip`");
    }
    Ok(())
}

/// Only a memory budget may be zero.
fn check_counts(node: &Node, name: &dyn Fn(&Node) -> String) -> Result<(), RunError> {
    let zero = |what| Err(RunError::ZeroLimit { stage: name(node), what });
    match &node.spec.kind {
        Kind::Io { slots: 0, .. } | Kind::Sink { slots: 0 } => return zero("limit"),
        Kind::Source { window: Some(0), .. } => return zero("unacknowledged"),
        Kind::Fork { branches: 0, .. } => return zero("branches"),
        Kind::Cpu { .. } if node.spec.outs.is_empty() => return zero("branches"),
        _ => {}
    }
    if let Some(size) = node.spec.kind.batch_size() {
        if size.max == 0 {
            return zero("batch");
        }
        if size.within == Some(Duration::ZERO) {
            return zero("batch's delay");
        }
    }
    match node.spec.rate {
        Some(Rate { starts: 0, .. }) => return zero("rate"),
        Some(Rate { per: Duration::ZERO, .. }) => return zero("rate's period"),
        _ => {}
    }
    if node.io.timeout == Some(Duration::ZERO) {
        return zero("timeout");
    }
    let is_idle = node.stages.iter().any(|info| info.draft().priority == Some(0));
    if is_idle { zero("priority") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::stage::Reduce;
    use crate::{Flow, Pipeline, RunError};

    fn few() -> Flow<u32> {
        Flow::from_iter(0..3)
    }

    #[track_caller]
    fn check_refused(pipeline: Pipeline) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        assert!(matches!(pipeline.start(), Err(RunError::Refused { .. })));
    }

    #[test]
    fn another_flow_within_a_sub_flow() {
        check_refused(few().scatter(|n| (n, [n]), |parts| parts.merge(few()), |n, _| n).for_each(drop));
        check_refused(few().fork_zip(|one| one.merge(few()), |other| other).for_each(drop));
        check_refused(few().fork_zip(|one| one.zip(few()), |other| other).for_each(drop));
        let sum = || Reduce::new(|| 0, |sum: &mut u32, n: u32| *sum += n, Some);
        check_refused(few().group(|n| [n], |members| members.concat(few()), sum()).for_each(drop));
    }

    #[test]
    fn a_joint_in_one_branch_meets_the_other() {
        check_refused(few().fork(|one| one.concat(few()), |other| other).for_each(drop));
        check_refused(few().fork(|one| one, |other| other.concat(few())).for_each(drop));
    }

    #[test]
    fn a_branch_that_goes_on_with_something_else() {
        check_refused(few().fork(|one| few().merge(one), |other| other.merge(few())).for_each(drop));
        check_refused(few().fork(|_| few().map(|n| n), |other| other.map(|n| n)).for_each(drop));
        check_refused(few().fork(|one| one.map(|n| n), |_| few().map(|n| n)).for_each(drop));
        check_refused(few().scatter(|n| (n, [n]), |_| few(), |n, _: Vec<u32>| n).for_each(drop));
        let joined =
            |one: crate::stage::Branch<u32>| one.join_with(few(), 0, |sum, n| *sum += n, |sum, n| sum + n);
        check_refused(few().fork_zip(|_| few(), joined).for_each(drop));
    }
}
