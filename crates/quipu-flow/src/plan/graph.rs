//! A graph of nodes under construction. Fragments of it are built apart, by the closures of a fork or as flows of their
//! own, and put together where they meet.

use crate::machine::{Kind, Spec};
use crate::stage::info::Info;
use crate::stage::{IoSettings, Work};
use std::any::Any;
use std::sync::Arc;

/// One node as the builder describes it.
pub(crate) struct Node {
    pub(crate) spec: Spec,
    pub(crate) work: Work,
    /// Its stages: several, where they are fused; none, where it only passes on.
    pub(crate) stages: Vec<Arc<Info>>,
    pub(crate) io: IoSettings,
    /// What a source's, or an io's, modifiers may still say; its type is theirs.
    pub(crate) hook: Option<Box<dyn Any + Send + Sync>>,
    /// Whether it belongs to a sub-flow over an item's parts.
    pub(crate) is_part: bool,
    /// Whether it belongs to a branch that a zip will pair.
    pub(crate) is_paired: bool,
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
}

impl Graph {
    /// Adds a node behind these outlets; its inputs are numbered in their order.
    pub(crate) fn add(&mut self, inlets: &[Outlet], kind: Kind, work: Work, stages: Vec<Arc<Info>>) -> usize {
        let node = self.nodes.len();
        let region = inlets.first().map_or(self.regions, |inlet| self.nodes[inlet.node].spec.region);
        self.regions = self.regions.max(region + 1);
        let spec = Spec { kind, outs: Vec::new(), gate: None, region, priority: 1 };
        let io = IoSettings::default();
        self.nodes.push(Node { spec, work, stages, io, hook: None, is_part: false, is_paired: false });
        for (input, inlet) in inlets.iter().enumerate() {
            let outs = &mut self.nodes[inlet.node].spec.outs;
            if outs.len() <= inlet.out {
                outs.resize(inlet.out + 1, (usize::MAX, 0));
            }
            outs[inlet.out] = (node, input);
        }
        node
    }

    /// Takes another graph in, whose nodes are numbered on from here. Its regions stay apart, or become `region`.
    pub(crate) fn absorb(&mut self, other: Self, region: Option<usize>) -> usize {
        let (shift, regions) = (self.nodes.len(), self.regions);
        for mut node in other.nodes {
            node.spec.shift(shift);
            node.spec.region = region.unwrap_or(node.spec.region + regions);
            self.nodes.push(node);
        }
        if region.is_none() {
            self.regions += other.regions;
        }
        shift
    }

    /// The region in which an outlet lies.
    pub(crate) fn region(&self, outlet: Outlet) -> usize {
        self.nodes[outlet.node].spec.region
    }

    pub(crate) fn mark(&mut self, from: usize, mark: impl Fn(&mut Node)) {
        self.nodes[from..].iter_mut().for_each(mark);
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
