//! A graph of nodes under construction. Fragments of it are built apart, by the closures of a fork or as flows of their
//! own, and put together where they meet.

use crate::machine::{Kind, Spec};
use crate::stage::info::Info;
use crate::stage::{IoSettings, Work};
use std::any::Any;
use std::cmp::Ordering;
use std::sync::Arc;

/// One node as the builder describes it.
pub(crate) struct Node {
    pub(crate) spec: Spec,
    pub(crate) work: Work,
    /// Its stages: several, where they are fused; none, where it only passes on.
    pub(crate) stages: Vec<Arc<Info>>,
    pub(crate) io: IoSettings,
    /// In what a batch is measured.
    pub(crate) unit: &'static str,
    /// What a source's, or an io's, modifiers may still say; its type is theirs.
    pub(crate) hook: Option<Box<dyn Any + Send + Sync>>,
    /// Whether it belongs to a sub-flow over an item's parts.
    pub(crate) is_part: bool,
    /// Whether it belongs to a branch that a zip will pair.
    pub(crate) is_paired: bool,
    /// Whether it belongs to what the members of a group go through.
    pub(crate) is_member: bool,
    /// How many closures have yet to come back with what they make of its items: branches, or a sub-flow.
    pub(crate) unfinished: usize,
}

/// Where a node's items leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outlet {
    pub(crate) node: usize,
    pub(crate) out: usize,
}

#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) regions: usize,
    /// The stage of which a branch or a sub-flow does not go on from the flow that it was given.
    pub(crate) astray: Option<Arc<Info>>,
}

impl Graph {
    /// Adds a node behind these outlets; its inputs are numbered in their order.
    pub(crate) fn add(&mut self, inlets: &[Outlet], kind: Kind, work: Work, stages: Vec<Arc<Info>>) -> usize {
        let node = self.nodes.len();
        let region = inlets.first().map_or(self.regions, |inlet| self.nodes[inlet.node].spec.region);
        self.regions = self.regions.max(region + 1);
        let spec = Spec { kind, outs: Vec::new(), gate: None, region, priority: 1, rate: None };
        let io = IoSettings::default();
        self.nodes.push(Node {
            spec,
            work,
            stages,
            io,
            unit: "",
            hook: None,
            is_part: false,
            is_paired: false,
            is_member: false,
            unfinished: 0,
        });
        for (input, inlet) in inlets.iter().enumerate() {
            let outs = &mut self.nodes[inlet.node].spec.outs;
            if outs.len() <= inlet.out {
                outs.resize(inlet.out + 1, (usize::MAX, 0));
            }
            outs[inlet.out] = (node, input);
        }
        node
    }

    /// Takes another graph in, whose nodes are numbered on from here. Its regions stay apart.
    pub(crate) fn absorb(&mut self, other: Self) -> usize {
        let regions = self.regions;
        self.regions += other.regions;
        self.take_in(other, |region| region + regions)
    }

    /// The same, but the region in which the other graph ends is one with `region`: both draw on one share.
    pub(crate) fn absorb_into(&mut self, region: usize, other: Self, end: Outlet) -> usize {
        let (regions, ends_in) = (self.regions, other.region(end));
        self.regions += other.regions - 1;
        self.take_in(other, |other| match other.cmp(&ends_in) {
            Ordering::Less => other + regions,
            Ordering::Equal => region,
            Ordering::Greater => other + regions - 1,
        })
    }

    fn take_in(&mut self, other: Self, region: impl Fn(usize) -> usize) -> usize {
        let shift = self.nodes.len();
        self.astray = self.astray.take().or(other.astray);
        for mut node in other.nodes {
            node.spec.shift(shift);
            node.spec.region = region(node.spec.region);
            self.nodes.push(node);
        }
        shift
    }

    /// The region in which an outlet lies.
    pub(crate) fn region(&self, outlet: Outlet) -> usize {
        self.nodes[outlet.node].spec.region
    }

    /// Where a node is after a closure has gone on from it. What does not begin with the nodes that the closure was given
    /// is refused when the flow is compiled; until then any node will do.
    pub(crate) fn find(&mut self, node: usize, stage: &Arc<Info>) -> usize {
        let is_it = |node: &&mut Node| node.stages.first().is_some_and(|first| Arc::ptr_eq(first, stage));
        let Some(found) = self.nodes.get_mut(node).filter(is_it) else {
            self.astray.get_or_insert_with(|| stage.clone());
            return 0;
        };
        // A closure may have kept the flow that an earlier one was given: that one's branch is missing for ever.
        found.unfinished = found.unfinished.saturating_sub(1);
        node
    }

    pub(crate) fn mark(&mut self, from: usize, mark: impl Fn(&mut Node)) {
        self.nodes.iter_mut().skip(from).for_each(mark);
    }
}

impl Outlet {
    pub(crate) fn shifted(self, by: usize) -> Self {
        Self { node: self.node + by, ..self }
    }
}

impl Spec {
    /// Renumbers all nodes that it speaks of.
    fn shift(&mut self, by: usize) {
        for (node, _) in &mut self.outs {
            // An outlet that leads nowhere yet leads nowhere still.
            *node = node.saturating_add(by);
        }
        if let Some(gate) = &mut self.gate {
            *gate += by;
        }
        match &mut self.kind {
            Kind::Joint { ports, .. } => ports.iter_mut().for_each(|port| *port += by),
            Kind::Group { reduce: node } | Kind::Scatter { gather: node } => *node += by,
            Kind::Fork { zip: Some(zip), .. } => *zip += by,
            _ => {}
        }
    }
}
