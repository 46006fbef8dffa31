//! The builder: what a user writes. Each stage's own method stands in its file under `stage`; here is what they share.

use crate::machine::Kind;
use crate::plan::{Graph, Node, Outlet};
use crate::stage::chain::{Chain, Input, Named, Segment};
use crate::stage::exit::{Ask, Exit, Keyer};
use crate::stage::info::Info;
use crate::stage::{Source, Work};
use crate::supervise::OnError;
use crate::weigh::{ByFunction, ByType, Weighing};
use std::marker::PhantomData;
use std::sync::Arc;

/// A pipeline under construction: its open end carries items of type `T`.
///
/// Modifiers apply to the stage before them. `S` is the kind of that stage, so that a modifier which it does not have
/// does not compile; `W` says how the open end's items are weighed.
pub struct Flow<T, S = Source, W = ByType> {
    pub(crate) graph: Graph,
    pub(crate) end: End<T>,
    pub(crate) key: Option<Keyer<T>>,
    pub(crate) weight: W,
    kind: PhantomData<fn() -> S>,
}

/// The open end: a node or segment that does not know yet what stands behind it.
pub(crate) enum End<T> {
    /// A node whose work is made when its exit is known.
    Node { node: usize, make: Make<T> },
    /// A segment of fused stages, fed by these outlets.
    Segment(Open<T>),
}

/// A segment under construction.
pub(crate) struct Open<T> {
    inlets: Vec<Outlet>,
    chain: Box<dyn Chain<T>>,
    stages: Vec<Arc<Info>>,
    /// The stage at which it begins, where it has none of its own yet: a fork's, a route's.
    door: Arc<Info>,
    grows: bool,
}

/// Makes a node's work.
pub(crate) type Make<T> = Box<dyn FnOnce(Exit<T>) -> Work + Send>;

impl<T, S, W> Flow<T, S, W> {
    pub(crate) fn new(graph: Graph, end: End<T>, weight: W) -> Self {
        Self { graph, end, key: None, weight, kind: PhantomData }
    }

    /// The stage before the open end.
    fn last_info(&self) -> Option<&Arc<Info>> {
        match &self.end {
            End::Node { node, .. } => self.graph.nodes[*node].stages.last(),
            End::Segment(open) => open.stages.last().or(Some(&open.door)),
        }
    }

    pub(crate) fn last_node(&mut self) -> Option<&mut Node> {
        match &self.end {
            End::Node { node, .. } => self.graph.nodes.get_mut(*node),
            End::Segment(_) => None,
        }
    }

    /// Says what the batches before it are measured in.
    pub(crate) fn measured(mut self, unit: &'static str) -> Self {
        if let Some(node) = self.last_node() {
            node.unit = unit;
        }
        self
    }

    /// Names the stage before it in plans, reports and errors.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        if let Some(info) = self.last_info() {
            info.draft().name = Some(name.into());
        }
        self
    }

    /// What happens to items that fail in the stage before it, instead of the run's own policy.
    #[must_use]
    pub fn on_error(self, policy: OnError) -> Self {
        if let Some(info) = self.last_info() {
            info.draft().on_error = Some(policy);
        }
        self
    }

    /// How urgent the stage before it is: where several could go on, a core takes the one with the highest number.
    /// Stages have 1 unless this is said.
    #[must_use]
    pub fn priority(self, urgency: u32) -> Self {
        if let Some(info) = self.last_info() {
            info.draft().priority = Some(urgency);
        }
        self
    }
}

impl<T: Send + 'static, S, W> Flow<T, S, W> {
    /// Names each item in error reports, from here on. Its children and what it turns into inherit the name.
    #[must_use]
    pub fn key<K: Into<String>>(mut self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        let key: Keyer<T> = Arc::new(move |item| key(item).into());
        self.end = match self.end {
            End::Segment(open) => {
                End::Segment(Open { chain: Box::new(Named { before: open.chain, key }), ..open })
            }
            end @ End::Node { .. } => {
                self.key = Some(key);
                end
            }
        };
        self
    }

    /// Says how many bytes each item takes, heap included, where its type does not say so itself.
    #[must_use]
    pub fn weigh(self, bytes: impl Fn(&T) -> usize + Send + Sync + 'static) -> Flow<T, S, ByFunction<T>> {
        let Self { graph, end, key, .. } = self;
        Flow { graph, end, key, weight: ByFunction(Arc::new(bytes)), kind: PhantomData }
    }
}

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Fixes how the open end's items are appraised, and with it the work of the last node. What is left is the graph
    /// and where items leave it.
    pub(crate) fn close(self, ask: Option<Ask<T>>) -> (Graph, Vec<Outlet>) {
        let Self { mut graph, end, key, weight, .. } = self;
        let exit = Exit { weigh: weight.weigher(), key, ask };
        match end {
            End::Node { node, make } => {
                graph.nodes[node].work = make(exit);
                (graph, vec![Outlet { node, out: 0 }])
            }
            End::Segment(Open { inlets, chain, stages, door, grows }) => {
                let segment = Segment { chain, exit, stages: stages.clone(), door };
                let node = graph.add(&inlets, Kind::Cpu { grows }, Work::Core(Arc::new(segment)), stages);
                (graph, vec![Outlet { node, out: 0 }])
            }
        }
    }

    /// The flow with one more node behind it.
    pub(crate) fn then<U, Next, Weight>(
        self,
        kind: Kind,
        info: Arc<Info>,
        ask: Option<Ask<T>>,
        weight: Weight,
        make: impl FnOnce(Exit<U>) -> Work + Send + 'static,
    ) -> Flow<U, Next, Weight> {
        let (mut graph, inlets) = self.close(ask);
        let node = graph.add(&inlets, kind, Work::Outside, vec![info]);
        Flow::new(graph, End::Node { node, make: Box::new(make) }, weight)
    }

    /// The flow with one more stage in its segment; `extend` is given what comes before, and the stage's number.
    pub(crate) fn fuse<U, Next, Weight>(
        self,
        info: Arc<Info>,
        can_grow: bool,
        weight: impl FnOnce(&W) -> Weight,
        extend: impl FnOnce(Box<dyn Chain<T>>, usize) -> Box<dyn Chain<U>>,
    ) -> Flow<U, Next, Weight> {
        let next_weight = weight(&self.weight);
        let (graph, open) = match self.end {
            End::Segment(open) => (self.graph, open),
            End::Node { .. } => {
                let (graph, inlets) = self.close(None);
                (graph, Open::at(inlets, info.clone()))
            }
        };
        let Open { inlets, chain, mut stages, door, grows } = open;
        let chain = extend(chain, stages.len());
        stages.push(info);
        let open = Open { inlets, chain, stages, door, grows: grows || can_grow };
        Flow::new(graph, End::Segment(open), next_weight)
    }

    /// A flow that begins, or goes on, at these outlets of a graph; its modifiers are those of the stage `door`.
    pub(crate) fn at(graph: Graph, inlets: Vec<Outlet>, door: Arc<Info>, weight: W) -> Self {
        Self::new(graph, End::Segment(Open::at(inlets, door)), weight)
    }
}

impl<T: 'static> Open<T> {
    fn at(inlets: Vec<Outlet>, door: Arc<Info>) -> Self {
        Self { inlets, chain: Box::new(Input::new()), stages: Vec::new(), door, grows: false }
    }
}

impl<T, S, W> std::fmt::Debug for Flow<T, S, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages = self.graph.nodes.iter().flat_map(|node| &node.stages);
        f.debug_list().entries(stages.map(|stage| stage.kind)).finish()
    }
}
