//! Small graphs, as the engine's builder would make them, and the bound that the laws state for each.

use super::Case;
use crate::machine::{Kind, Size, Spec};

/// What a node of a simulated graph does with an item, besides what its kind says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Play {
    /// How many items a source has; how many children an expander makes at most.
    pub(super) most: u64,
    pub(super) retries: u32,
    pub(super) fails: Fails,
    pub(super) filters: bool,
    /// Only one of its outputs gets each item.
    pub(super) routes: bool,
    /// The end of the flow.
    pub(super) delivers: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fails {
    #[default]
    Never,
    Skip,
    Letter,
    Stop,
    /// It is a part of something, which fails too.
    Parent,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Map {
        grows: bool,
    },
    Filter,
    Io {
        slots: usize,
        retries: u32,
        fails: Fails,
        grows: bool,
    },
    Scan {
        ordered: bool,
        grows: bool,
    },
    Keyed {
        grows: bool,
    },
    Device {
        max: u64,
        grows: bool,
    },
    MapBatch {
        max: u64,
        within: bool,
        grows: bool,
        fails: Fails,
    },
    Batch {
        max: u64,
        within: bool,
        ordered: bool,
    },
    FlatMap {
        most: u64,
    },
    Fold {
        outputs: u64,
        ordered: bool,
    },
    Fork {
        zips: bool,
        branches: Vec<Vec<Op>>,
    },
    Route {
        branches: Vec<Vec<Op>>,
    },
    Group {
        most: u64,
        outputs: u64,
        ordered: bool,
        body: Vec<Op>,
    },
    /// Another source's items come in.
    Merge {
        source: Source,
    },
    Scatter {
        most: u64,
        grows: bool,
        fails: bool,
        partial: bool,
        body: Vec<Op>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) items: u64,
    pub(super) external: bool,
    pub(super) window: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Sink { slots: usize },
    Ordered { waits: bool },
    Stream,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) sources: Vec<Source>,
    pub(super) body: Vec<Op>,
    pub(super) last: Last,
}

#[derive(Clone, Debug)]
pub(super) enum Graph {
    Flow(Line),
    /// Two flows into one.
    Joint {
        pairs: bool,
        sides: [Line; 2],
        main: Line,
    },
    /// A table, and a flow that looks things up in it.
    Lookup {
        table: Line,
        main: Line,
    },
    /// Flows of flows.
    Tree(Tree, Last),
}

/// A flow, and all that it is made of.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) start: Start,
    /// What it looks things up in, one table after the other, before its body.
    pub(super) tables: Vec<Tree>,
    pub(super) body: Vec<Op>,
}

#[derive(Clone, Debug)]
pub(super) enum Start {
    Source(Source),
    /// Flows that meet in a joint, each with its share of the budget.
    Joint {
        pairs: bool,
        sides: Vec<Tree>,
    },
    /// Flows whose items mix, and that share theirs.
    Merge(Vec<Tree>),
}

/// A graph as the machine takes it.
#[derive(Default)]
pub(super) struct Built {
    /// How many shares of the budget there are.
    pub(super) regions: usize,
    pub(super) specs: Vec<Spec>,
    pub(super) plays: Vec<Play>,
    /// Per region: the deepest path, and the places where items may grow outside the gates.
    pub(super) depth: Vec<u64>,
    pub(super) growing: Vec<u64>,
}

/// When batches close that do so in time.
const WITHIN: std::time::Duration = std::time::Duration::from_millis(1);

impl Built {
    fn add(&mut self, region: usize, before: &[(usize, usize)], kind: Kind, play: Play) -> usize {
        let node = self.specs.len();
        self.regions = self.regions.max(region + 1);
        self.specs.push(Spec { kind, outs: Vec::new(), gate: None, region, priority: 1, rate: None });
        self.plays.push(play);
        for (at, &(before, out)) in before.iter().enumerate() {
            // Only a zip cares which of its inputs an item comes through.
            let outs = &mut self.specs[before].outs;
            assert_eq!(outs.len(), out, "outputs are wired in their order");
            outs.push((node, at));
        }
        node
    }

    pub(super) fn of(graph: &Graph) -> Self {
        let mut it = Self::default();
        match graph {
            Graph::Flow(line) => {
                let last = it.line(0, line, None);
                it.end(0, last, line.last);
            }
            Graph::Joint { pairs, sides, main } => {
                let ports: Vec<usize> = sides
                    .iter()
                    .enumerate()
                    .map(|(side, line)| {
                        let last = it.line(side + 1, line, None);
                        it.add(side + 1, &last, Kind::Port, Play::default())
                    })
                    .collect();
                let joint = it.add(0, &[], Kind::Joint { ports, pairs: *pairs }, Play::default());
                let last = it.body(0, vec![(joint, 0)], &main.body, false);
                it.end(0, last, main.last);
            }
            Graph::Lookup { table, main } => {
                let last = it.line(0, table, None);
                let fold = it.add(0, &last, Kind::Fold { ordered: false }, Play::default());
                let last = it.line(0, main, Some(fold));
                it.end(0, last, main.last);
            }
            Graph::Tree(tree, last) => {
                let open = it.tree(0, tree);
                it.end(0, open, *last);
            }
        }
        it.measure(graph);
        it
    }

    /// The same, where all that wait for the world have a case's rate, and ios adapt if it says so.
    pub(super) fn under(mut self, case: &Case) -> Self {
        let waits = |kind: &Kind| {
            matches!(kind, Kind::Io { .. } | Kind::Sink { .. } | Kind::Serial { waits: true, .. })
        };
        for spec in self.specs.iter_mut().filter(|spec| waits(&spec.kind)) {
            spec.rate = case.rate;
            if let Kind::Io { adapts, .. } = &mut spec.kind {
                *adapts = case.adapts;
            }
        }
        self
    }

    fn tree(&mut self, region: usize, tree: &Tree) -> Vec<(usize, usize)> {
        self.regions = self.regions.max(region + 1);
        let first = self.specs.len();
        let mut open = match &tree.start {
            Start::Source(source) => vec![self.source(region, source)],
            Start::Merge(flows) => flows.iter().flat_map(|flow| self.tree(region, flow)).collect(),
            Start::Joint { pairs, sides } => {
                let port = |side| {
                    let apart = self.regions;
                    let open = self.tree(apart, side);
                    self.add(apart, &open, Kind::Port, Play::default())
                };
                let ports: Vec<usize> = sides.iter().map(port).collect();
                let kind = Kind::Joint { ports, pairs: *pairs };
                vec![(self.add(region, &[], kind, Play::default()), 0)]
            }
        };
        for table in &tree.tables {
            let flow = first..self.specs.len();
            let built = self.tree(region, table);
            let gate = self.add(region, &built, Kind::Fold { ordered: false }, Play::default());
            for spec in self.specs[flow].iter_mut().filter(|spec| spec.kind.is_source()) {
                spec.gate.get_or_insert(gate);
            }
            let probe = self.add(region, &open, Kind::Cpu { grows: true }, Play::default());
            self.specs[probe].gate = Some(gate);
            open = vec![(probe, 0)];
        }
        self.body(region, open, &tree.body, false)
    }

    fn source(&mut self, region: usize, source: &Source) -> (usize, usize) {
        let kind = Kind::Source { external: source.external, window: source.window };
        (self.add(region, &[], kind, Play { most: source.items, ..Play::default() }), 0)
    }

    fn line(&mut self, region: usize, line: &Line, gate: Option<usize>) -> Vec<(usize, usize)> {
        let sources = line.sources.iter().map(|source| {
            let (node, out) = self.source(region, source);
            self.specs[node].gate = gate;
            (node, out)
        });
        let mut open: Vec<_> = sources.collect();
        if let Some(gate) = gate {
            let probe = self.add(region, &open, Kind::Cpu { grows: false }, Play::default());
            self.specs[probe].gate = Some(gate);
            open = vec![(probe, 0)];
        }
        self.body(region, open, &line.body, false)
    }

    fn end(&mut self, region: usize, before: Vec<(usize, usize)>, last: Last) {
        let kind = match last {
            Last::Sink { slots } => Kind::Sink { slots },
            Last::Ordered { waits } => Kind::Serial { ordered: true, waits, grows: false },
            Last::Stream => Kind::Stream { ordered: false },
        };
        self.add(region, &before, kind, Play { delivers: true, ..Play::default() });
    }

    fn body(
        &mut self,
        region: usize,
        mut open: Vec<(usize, usize)>,
        body: &[Op],
        is_part: bool,
    ) -> Vec<(usize, usize)> {
        for op in body {
            open = self.op(region, open, op, is_part);
        }
        open
    }

    fn op(
        &mut self,
        region: usize,
        open: Vec<(usize, usize)>,
        op: &Op,
        is_part: bool,
    ) -> Vec<(usize, usize)> {
        let size = |max, within: bool| Size { max, within: within.then_some(WITHIN) };
        let plain = Play::default();
        let own = |fails: Fails| if is_part && fails == Fails::Stop { Fails::Parent } else { fails };
        let (kind, play) = match op {
            Op::Map { grows } => (Kind::Cpu { grows: *grows }, plain),
            Op::Filter => (Kind::Cpu { grows: false }, Play { filters: true, ..plain }),
            Op::Io { slots, retries, fails, grows } => (
                Kind::Io { slots: *slots, adapts: false, grows: *grows },
                Play { retries: *retries, fails: own(*fails), ..plain },
            ),
            Op::Scan { ordered, grows } => {
                (Kind::Serial { ordered: *ordered, waits: false, grows: *grows }, plain)
            }
            Op::Keyed { grows } => (Kind::Keyed { grows: *grows }, plain),
            Op::Device { max, grows } => (Kind::Device { size: size(*max, false), grows: *grows }, plain),
            Op::MapBatch { max, within, grows, fails } => (
                Kind::MapBatch { size: size(*max, *within), grows: *grows },
                Play { fails: own(*fails), ..plain },
            ),
            Op::Batch { max, within, ordered } => {
                (Kind::Batch { size: size(*max, *within), ordered: *ordered }, plain)
            }
            Op::FlatMap { most } => (Kind::Expand, Play { most: *most, ..plain }),
            Op::Fold { outputs, ordered } => {
                (Kind::Fold { ordered: *ordered }, Play { most: *outputs, ..plain })
            }
            Op::Merge { source } => {
                let other = self.source(region, source);
                let both = [open, vec![other]].concat();
                return vec![(self.add(region, &both, Kind::Cpu { grows: false }, plain), 0)];
            }
            Op::Route { branches } => {
                let route =
                    self.add(region, &open, Kind::Cpu { grows: false }, Play { routes: true, ..plain });
                return self.branches(region, route, branches, is_part);
            }
            Op::Fork { zips, branches } => {
                let kind = Kind::Fork { branches: branches.len(), zip: None };
                let fork = self.add(region, &open, kind, plain);
                let ends = self.branches(region, fork, branches, is_part);
                if !zips {
                    return ends;
                }
                let zip = self.add(region, &ends, Kind::Zip { branches: branches.len() }, plain);
                self.specs[fork].kind = Kind::Fork { branches: branches.len(), zip: Some(zip) };
                return vec![(zip, 0)];
            }
            Op::Group { most, outputs, ordered, body } => {
                let kind = Kind::Group { reduce: 0 };
                let group = self.add(region, &open, kind, Play { most: *most, ..plain });
                let ends = self.body(region, vec![(group, 0)], body, is_part);
                let kind = Kind::Reduce { ordered: *ordered };
                let reduce = self.add(region, &ends, kind, Play { most: *outputs, ..plain });
                self.specs[group].kind = Kind::Group { reduce };
                return vec![(reduce, 0)];
            }
            Op::Scatter { most, grows, fails, partial, body } => {
                let kind = Kind::Scatter { gather: 0 };
                let scatter = self.add(region, &open, kind, Play { most: *most, ..plain });
                let ends = self.body(region, vec![(scatter, 0)], body, true);
                let kind = Kind::Gather { grows: *grows, is_partial: *partial };
                let fails = if *fails { Fails::Skip } else { Fails::Never };
                let gather = self.add(region, &ends, kind, Play { fails, ..plain });
                self.specs[scatter].kind = Kind::Scatter { gather };
                return vec![(gather, 0)];
            }
        };
        vec![(self.add(region, &open, kind, play), 0)]
    }

    /// Each branch begins with a node of its own, and a zip wants one end of each.
    fn branches(
        &mut self,
        region: usize,
        fork: usize,
        branches: &[Vec<Op>],
        is_part: bool,
    ) -> Vec<(usize, usize)> {
        let mut ends = Vec::new();
        for (number, branch) in branches.iter().enumerate() {
            let entry = self.add(region, &[(fork, number)], Kind::Cpu { grows: false }, Play::default());
            let open = self.body(region, vec![(entry, 0)], branch, is_part);
            ends.push((self.add(region, &open, Kind::Cpu { grows: false }, Play::default()), 0));
        }
        ends
    }

    fn measure(&mut self, graph: &Graph) {
        let regions = 1 + self.specs.iter().map(|spec| spec.region).max().unwrap_or(0);
        self.depth = match graph {
            Graph::Flow(line) => vec![1 + depth(&line.body)],
            Graph::Joint { sides, main, .. } => {
                [main, &sides[0], &sides[1]].iter().map(|line| 1 + depth(&line.body)).collect()
            }
            Graph::Lookup { table, main } => vec![1 + depth(&table.body).max(depth(&main.body))],
            Graph::Tree(tree, _) => {
                let mut depths = vec![0];
                let own = deepest(tree, &mut depths);
                depths[0] = own;
                depths
            }
        };
        self.growing = vec![0; regions];
        for spec in &self.specs {
            self.growing[spec.region] += match spec.kind {
                Kind::Io { slots, grows: true, .. } => slots as u64,
                // Its task bears beside the workers.
                Kind::Source { external: true, .. } => 1,
                Kind::Device { size, grows: true } => size.max,
                _ => 0,
            };
        }
    }
}

/// How deep the deepest path in a flow's own region is; enters those of the regions that it takes from, in their order.
fn deepest(tree: &Tree, depths: &mut Vec<u64>) -> u64 {
    let start = match &tree.start {
        Start::Source(_) => 1,
        Start::Merge(flows) => flows.iter().map(|flow| deepest(flow, depths)).max().unwrap_or(0),
        Start::Joint { sides, .. } => {
            for side in sides {
                let at = depths.len();
                depths.push(0);
                depths[at] = deepest(side, depths);
            }
            1
        }
    };
    let tables = tree.tables.iter().map(|table| deepest(table, depths)).max().unwrap_or(0);
    tables.max(start + depth(&tree.body))
}

/// How many more items than it has credit for the oldest may need along a body.
fn depth(body: &[Op]) -> u64 {
    let deepest = |branches: &[Vec<Op>]| branches.iter().map(|branch| depth(branch)).max().unwrap_or(0);
    let of = |op: &Op| match op {
        Op::FlatMap { .. } | Op::Fold { .. } => 1,
        Op::Group { body, .. } => 2 + depth(body),
        Op::Scatter { body, .. } => 1 + depth(body),
        Op::Route { branches } => deepest(branches),
        Op::Fork { zips: true, branches } => {
            branches.len() as u64 + branches.iter().map(|branch| depth(branch)).sum::<u64>()
        }
        Op::Fork { zips: false, branches } => 1 + deepest(branches),
        _ => 0,
    };
    body.iter().map(of).sum()
}
