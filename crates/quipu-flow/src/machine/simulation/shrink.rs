//! A failing case made smaller, so that a person can follow it: stages dropped, bodies put in place of what they stand
//! in, counts and flags down, smaller limits, and a few seeds beside the first, for a smaller graph draws otherwise.

use super::generate::{Place, is_lawful};
use super::graph::{Fails, Graph, Last, Line, Op, Source, Start, Tree};
use super::{Bias, Case};
use std::time::{Duration, Instant};

/// No search for a smaller case takes longer.
const TIME_MAX: Duration = Duration::from_secs(20);

/// So many schedules are tried before a smaller case is taken to be sound.
const SEEDS: u64 = 6;

/// A graph, a schedule for it, and what goes wrong.
pub(super) struct Found {
    pub(super) graph: Graph,
    pub(super) case: Case,
    pub(super) why: String,
}

/// The smallest case near `found` that fails too; `fails` says how, if it does.
pub(super) fn shrink(mut found: Found, fails: impl Fn(&Graph, &Case) -> Option<String>) -> Found {
    let until = Instant::now() + TIME_MAX;
    let retry = |graph: &Graph, case: &Case| {
        let near = (0..SEEDS).map(|more| Case { seed: case.seed + more, ..case.clone() });
        let mut near = near.take_while(|_| Instant::now() < until);
        near.find_map(|case| fails(graph, &case).map(|why| Found { graph: graph.clone(), case, why }))
    };
    loop {
        let cases = smaller_cases(&found.case).into_iter().map(|case| (found.graph.clone(), case));
        let graphs = smaller_graphs(&found.graph).into_iter().map(|graph| (graph, found.case.clone()));
        match cases.chain(graphs).find_map(|(graph, case)| retry(&graph, &case)) {
            Some(smaller) => found = smaller,
            None => return found,
        }
    }
}

fn smaller_cases(case: &Case) -> Vec<Case> {
    let mut smaller = Vec::new();
    let mut with = |is_smaller: bool, change: &dyn Fn(&mut Case)| {
        if is_smaller {
            let mut case = case.clone();
            change(&mut case);
            smaller.push(case);
        }
    };
    with(case.cancel_at.is_some(), &|case| case.cancel_at = None);
    with(case.drain_at.is_some(), &|case| case.drain_at = None);
    with(case.pauses, &|case| case.pauses = false);
    with(case.rate.is_some(), &|case| case.rate = None);
    with(case.adapts, &|case| case.adapts = false);
    with(case.pause_at.is_some(), &|case| case.pause_at = None);
    with(case.spurious, &|case| case.spurious = false);
    with(case.rough.fails.is_some(), &|case| case.rough.fails = None);
    with(case.rough.weightless, &|case| case.rough.weightless = false);
    with(case.rough.measured, &|case| case.rough.measured = false);
    with(case.rough.picks.is_some(), &|case| case.rough.picks = None);
    with(case.rough.alters, &|case| case.rough.alters = false);
    with(case.rough.letters, &|case| case.rough.letters = false);
    with(case.rough.slow_taker, &|case| case.rough.slow_taker = false);
    with(case.rough.loses, &|case| case.rough.loses = false);
    with(case.bias != Bias::None, &|case| case.bias = Bias::None);
    with(case.bytes_max > 3, &|case| case.bytes_max = 3);
    with(case.workers > 1, &|case| case.workers = 1);
    for budget in [0, 1, 2, 5] {
        with(case.items_budget > budget, &|case| case.items_budget = budget);
        with(case.bytes_budget > budget, &|case| case.bytes_budget = budget);
    }
    smaller
}

fn smaller_graphs(graph: &Graph) -> Vec<Graph> {
    let mut smaller = Vec::new();
    match graph {
        Graph::Flow(line) => smaller.extend(lines(line).into_iter().map(Graph::Flow)),
        Graph::Joint { pairs, sides, main } => {
            smaller.extend(sides.iter().cloned().map(Graph::Flow));
            let joint = |sides: [Line; 2], main: &Line| {
                let (pairs, main) = (*pairs, main.clone());
                Graph::Joint { pairs, sides, main }
            };
            let [one, two] = sides;
            smaller.extend(lines(one).into_iter().map(|one| joint([one, two.clone()], main)));
            smaller.extend(lines(two).into_iter().map(|two| joint([one.clone(), two], main)));
            smaller.extend(lines(main).iter().map(|main| joint(sides.clone(), main)));
        }
        Graph::Lookup { table, main } => {
            smaller.extend([table, main].map(|line| Graph::Flow(line.clone())));
            let lookup = |table, main| Graph::Lookup { table, main };
            smaller.extend(lines(table).into_iter().map(|table| lookup(table, main.clone())));
            smaller.extend(lines(main).into_iter().map(|main| lookup(table.clone(), main)));
        }
        Graph::Tree(tree, last) => {
            smaller.extend(trees(tree).into_iter().map(|tree| Graph::Tree(tree, *last)));
            if *last != (Last::Sink { slots: 1 }) {
                smaller.push(Graph::Tree(tree.clone(), Last::Sink { slots: 1 }));
            }
        }
    }
    smaller
}

/// A flow without what it is made of, or with something smaller in its place.
fn trees(tree: &Tree) -> Vec<Tree> {
    let mut smaller: Vec<Tree> = Vec::new();
    let (Tree { start, tables, body }, none) = (tree, Vec::new);
    let others = match start {
        Start::Source(_) => none(),
        Start::Joint { sides: flows, .. } | Start::Merge(flows) => flows.clone(),
    };
    smaller.extend(others.iter().chain(tables).cloned());
    let with_start = |start| Tree { start, tables: tables.clone(), body: body.clone() };
    match start {
        Start::Source(source) => {
            smaller.extend(sources(source).into_iter().map(|source| with_start(Start::Source(source))));
        }
        Start::Joint { pairs, sides } => {
            let joint = |sides| with_start(Start::Joint { pairs: *pairs, sides });
            smaller.extend(each_smaller(sides, 2).into_iter().map(joint));
        }
        Start::Merge(flows) => {
            smaller.extend(each_smaller(flows, 2).into_iter().map(|flows| with_start(Start::Merge(flows))));
        }
    }
    let with_tables = |tables| Tree { tables, ..tree.clone() };
    smaller.extend(each_smaller(tables, 0).into_iter().map(with_tables));
    let fits = |body: &Vec<Op>| is_lawful(body, Place::Free, false);
    smaller.extend(bodies(body).into_iter().filter(fits).map(|body| Tree { body, ..tree.clone() }));
    smaller
}

/// One of them smaller, or left out where there are more than `least`.
fn each_smaller(flows: &[Tree], least: usize) -> Vec<Vec<Tree>> {
    let mut smaller = Vec::new();
    for at in 0..flows.len() {
        let mut with = |tree: Option<Tree>| {
            let mut flows = flows.to_vec();
            flows.splice(at..=at, tree);
            smaller.push(flows);
        };
        if flows.len() > least {
            with(None);
        }
        trees(&flows[at]).into_iter().map(Some).for_each(with);
    }
    smaller
}

fn sources(source: &Source) -> Vec<Source> {
    let mut smaller = Vec::new();
    if source.items > 1 {
        smaller.push(Source { items: source.items / 2, ..source.clone() });
    }
    if source.items > 0 {
        smaller.push(Source { items: source.items - 1, ..source.clone() });
    }
    if source.external {
        smaller.push(Source { external: false, ..source.clone() });
    }
    if source.window.is_some() {
        smaller.push(Source { window: None, ..source.clone() });
    }
    smaller
}

fn lines(line: &Line) -> Vec<Line> {
    let mut smaller: Vec<Line> = Vec::new();
    let fits = |body: &Vec<Op>| is_lawful(body, Place::Free, false);
    smaller.extend(bodies(&line.body).into_iter().filter(fits).map(|body| Line { body, ..line.clone() }));
    for (at, source) in line.sources.iter().enumerate() {
        let mut with = |changed: Option<Source>| {
            let mut sources = line.sources.clone();
            sources.splice(at..=at, changed);
            smaller.push(Line { sources, ..line.clone() });
        };
        if line.sources.len() > 1 {
            with(None);
        }
        sources(source).into_iter().map(Some).for_each(with);
    }
    if line.last != (Last::Sink { slots: 1 }) {
        smaller.push(Line { last: Last::Sink { slots: 1 }, ..line.clone() });
    }
    smaller
}

/// A body without one of its stages, with what stands in a stage instead of it, or with a smaller stage.
fn bodies(body: &[Op]) -> Vec<Vec<Op>> {
    let mut smaller = Vec::new();
    for (at, op) in body.iter().enumerate() {
        let mut with = |ops: Vec<Op>| {
            let mut body = body.to_vec();
            body.splice(at..=at, ops);
            smaller.push(body);
        };
        with(Vec::new());
        inner(op).into_iter().for_each(&mut with);
        smaller_ops(op).into_iter().for_each(|op| with(vec![op]));
    }
    smaller
}

fn inner(op: &Op) -> Vec<Vec<Op>> {
    match op {
        Op::Fork { branches, .. } | Op::Route { branches } => branches.clone(),
        Op::Group { body, .. } | Op::Scatter { body, .. } => vec![body.clone()],
        _ => Vec::new(),
    }
}

fn smaller_ops(op: &Op) -> Vec<Op> {
    let mut smaller = Vec::new();
    let mut with = |change: &dyn Fn(&mut Op) -> bool| {
        let mut op = op.clone();
        if change(&mut op) {
            smaller.push(op);
        }
    };
    with(&|op| grows(op).is_some_and(std::mem::take));
    with(&|op| flag(op).is_some_and(std::mem::take));
    with(&|op| fails(op).is_some_and(|fails| std::mem::take(fails) != Fails::Never));
    with(&|op| if let Op::Io { retries, .. } = op { std::mem::take(retries) > 0 } else { false });
    with(&|op| if let Op::Io { slots, .. } = op { std::mem::replace(slots, 1) > 1 } else { false });
    with(&|op| if let Op::Group { outputs, .. } = op { std::mem::take(outputs) > 0 } else { false });
    with(&|op| {
        count(op).is_some_and(|(count, least)| {
            *count > least && {
                *count -= 1;
                true
            }
        })
    });
    for at in 0..branches(&mut op.clone()).len() {
        let mut shorter = op.clone();
        if let Op::Fork { branches, .. } | Op::Route { branches } = &mut shorter
            && branches.len() > 2
        {
            branches.remove(at);
            smaller.push(shorter);
        }
        for body in bodies(branches(&mut op.clone())[at]) {
            let mut changed = op.clone();
            *branches(&mut changed)[at] = body;
            smaller.push(changed);
        }
    }
    smaller
}

fn branches(op: &mut Op) -> Vec<&mut Vec<Op>> {
    match op {
        Op::Fork { branches, .. } | Op::Route { branches } => branches.iter_mut().collect(),
        Op::Group { body, .. } | Op::Scatter { body, .. } => vec![body],
        _ => Vec::new(),
    }
}

fn grows(op: &mut Op) -> Option<&mut bool> {
    match op {
        Op::Map { grows }
        | Op::Io { grows, .. }
        | Op::Scan { grows, .. }
        | Op::Keyed { grows }
        | Op::Device { grows, .. }
        | Op::MapBatch { grows, .. }
        | Op::Scatter { grows, .. } => Some(grows),
        _ => None,
    }
}

fn flag(op: &mut Op) -> Option<&mut bool> {
    match op {
        Op::Batch { within, ordered, .. } => Some(if *ordered { ordered } else { within }),
        Op::MapBatch { within, .. } => Some(within),
        Op::Scan { ordered, .. } | Op::Fold { ordered, .. } | Op::Group { ordered, .. } => Some(ordered),
        Op::Scatter { partial, fails, .. } => Some(if *partial { partial } else { fails }),
        _ => None,
    }
}

fn fails(op: &mut Op) -> Option<&mut Fails> {
    match op {
        Op::Io { fails, .. } | Op::MapBatch { fails, .. } => Some(fails),
        _ => None,
    }
}

/// What is counted, and the least that it may be.
fn count(op: &mut Op) -> Option<(&mut u64, u64)> {
    match op {
        Op::Device { max, .. } | Op::MapBatch { max, .. } | Op::Batch { max, .. } => Some((max, 1)),
        Op::FlatMap { most } | Op::Group { most, .. } | Op::Scatter { most, .. } => Some((most, 0)),
        Op::Fold { outputs, .. } => Some((outputs, 0)),
        _ => None,
    }
}
