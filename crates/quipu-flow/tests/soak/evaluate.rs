//! What a plan should deliver, found by doing one thing after the other.

use crate::item::mix;
use crate::plan::{Line, Op, Plan, Policy, Trouble};

/// An item, or one that failed as a part of something.
type Value = Result<u64, ()>;

/// What is delivered, in order where [`is_sequenced`].
pub(crate) fn deliver(plan: &Plan) -> Vec<u64> {
    line(&plan.line, 0)
}

/// A source's items. `at` tells sources apart.
pub(crate) fn born(line: &Line, at: u64) -> impl Iterator<Item = u64> + Send + use<> {
    (0..line.items).map(move |number| mix(number, mix(at, 77)))
}

fn line(line: &Line, at: u64) -> Vec<u64> {
    through(&line.ops, born(line, at).collect(), at).into_iter().flatten().collect()
}

/// The number of what is the `index`th stage below stage `at`.
pub(crate) fn below(at: u64, index: usize) -> u64 {
    at * 31 + index as u64 + 1
}

fn through(ops: &[Op], values: Vec<u64>, at: u64) -> Vec<Value> {
    let values = values.into_iter().map(Ok).collect();
    ops.iter().enumerate().fold(values, |values: Vec<Value>, (index, op)| step(op, values, below(at, index)))
}

/// What has failed stands where it stood.
fn each(values: Vec<Value>, then: impl Fn(u64) -> Vec<Value>) -> Vec<Value> {
    values.into_iter().flat_map(|value| value.map_or_else(|()| vec![Err(())], &then)).collect()
}

fn troubled(value: u64, trouble: Option<Trouble>, at: u64) -> Vec<Value> {
    match trouble.filter(|trouble| trouble.hits(value, at)) {
        None => vec![Ok(mix(value, at))],
        Some(Trouble { policy: Policy::Inherit, .. }) => vec![Err(())],
        Some(_) => Vec::new(),
    }
}

impl Trouble {
    pub(crate) fn hits(&self, value: u64, at: u64) -> bool {
        mix(value, at + 5).is_multiple_of(self.one_in)
    }
}

/// Whether an io never answers for this item.
pub(crate) fn hangs(value: u64, at: u64) -> bool {
    mix(value, at + 9).is_multiple_of(16)
}

pub(crate) fn children(value: u64, most: u64, at: u64) -> impl Iterator<Item = u64> + Send + use<> {
    (0..mix(value, at + 3) % (most + 1)).map(move |child| mix(value, at + 100 + child))
}

fn step(op: &Op, values: Vec<Value>, at: u64) -> Vec<Value> {
    let branches = |bodies: &[Vec<Op>], value: u64| -> Vec<Value> {
        let all = bodies.iter().enumerate();
        all.flat_map(|(number, body)| through(body, vec![value], below(at, number))).collect()
    };
    match op {
        Op::Inspect | Op::Wild { .. } => values,
        Op::Map | Op::MapBatch { .. } | Op::Device { .. } | Op::Scan { .. } | Op::Keyed { .. } => {
            each(values, |value| vec![Ok(mix(value, at))])
        }
        Op::Batch { .. } | Op::Direct { .. } => each(values, |value| vec![Ok(mix(value, at))]),
        Op::TryMap(trouble) => each(values, |value| troubled(value, Some(*trouble), at)),
        Op::Io { hangs: true, .. } => {
            each(values, |value| if hangs(value, at) { Vec::new() } else { vec![Ok(mix(value, at))] })
        }
        Op::Io { trouble, .. } => each(values, |value| troubled(value, *trouble, at)),
        Op::Filter { one_in } => {
            each(
                values,
                |value| {
                    if mix(value, at).is_multiple_of(*one_in) { Vec::new() } else { vec![Ok(value)] }
                },
            )
        }
        Op::FlatMap { most } => each(values, |value| children(value, *most, at).map(Ok).collect()),
        Op::Fold { .. } => vec![Ok(sum(values.into_iter().flatten(), at))],
        Op::Fork { bodies } if bodies.iter().any(|body| is_whole(body)) => {
            let values: Vec<u64> = values.into_iter().flatten().collect();
            let all = bodies.iter().enumerate();
            all.flat_map(|(number, body)| through(body, values.clone(), below(at, number))).collect()
        }
        Op::Fork { bodies } => each(values, |value| branches(bodies, value)),
        Op::Broadcast { count, body } if is_whole(body) => {
            let values: Vec<u64> = values.into_iter().flatten().collect();
            (0..*count).flat_map(|number| through(body, values.clone(), below(at, number))).collect()
        }
        Op::Broadcast { count, body } => each(values, |value| branches(&vec![body.clone(); *count], value)),
        Op::Route { count, body } => {
            route(&vec![body.clone(); *count], values, at, |value| (value % *count as u64) as usize)
        }
        Op::RouteIf { bodies } => route(bodies, values, at, |value| (value % 2) as usize),
        Op::ForkZip { bodies } => each(values, |value| {
            let way = |number: usize| through(&bodies[number], vec![value], below(at, number));
            match (way(0).first(), way(1).first()) {
                (Some(Ok(one)), Some(Ok(other))) => vec![Ok(mix(*one, *other))],
                // Where both fail as parts, each is told of.
                (one, other) => one.into_iter().chain(other).copied().filter(Result::is_err).collect(),
            }
        }),
        Op::Scatter { most, partial, body } => each(values, |value| {
            let parts = through(body, children(value, *most, at).collect(), at);
            if !partial && parts.contains(&Err(())) { vec![Err(())] } else { vec![Ok(gather(value, parts))] }
        }),
        Op::Group { most, outputs, body, .. } => each(values, |value| {
            let members = through(body, children(value, *most, at).collect(), at);
            let sum = sum(members.into_iter().flatten(), at);
            (0..*outputs).map(|output| Ok(mix(sum, output))).collect()
        }),
        Op::Merge(other) | Op::Concat(other) => {
            values.into_iter().chain(line(other, at).into_iter().map(Ok)).collect()
        }
        Op::Zip(other) => {
            let pairs = values.into_iter().flatten().zip(line(other, at));
            pairs.map(|(one, other)| Ok(mix(one, other))).collect()
        }
        Op::Join(other) => {
            let table = sum(line(other, at), at);
            each(values, |value| vec![Ok(mix(value, table))])
        }
    }
}

fn route(bodies: &[Vec<Op>], values: Vec<Value>, at: u64, choose: impl Fn(u64) -> usize) -> Vec<Value> {
    if !bodies.iter().any(|body| is_whole(body)) {
        return each(values, |value| {
            let way = choose(value);
            through(&bodies[way], vec![value], below(at, way))
        });
    }
    let values: Vec<u64> = values.into_iter().flatten().collect();
    let all = bodies.iter().enumerate();
    let way = |(number, body): (usize, &Vec<Op>)| {
        let own = values.iter().copied().filter(|value| choose(*value) == number).collect();
        through(body, own, below(at, number))
    };
    all.flat_map(way).collect()
}

/// What depends on all values and not on their order.
pub(crate) fn sum(values: impl IntoIterator<Item = u64>, at: u64) -> u64 {
    values.into_iter().fold(at, |sum, value| sum.wrapping_add(mix(value, at)))
}

/// What depends on the parts and on their order.
pub(crate) fn gather<E>(document: u64, parts: Vec<Result<u64, E>>) -> u64 {
    parts.into_iter().fold(document, |whole, part| mix(whole, part.unwrap_or(1)))
}

/// Whether what a body makes cannot be said item by item.
fn is_whole(body: &[Op]) -> bool {
    body.iter().any(|op| {
        matches!(op, Op::Fold { .. } | Op::Merge(_)) || bodies(op).iter().any(|body| is_whole(body))
    })
}

/// The bodies and lines within a stage.
pub(crate) fn bodies(op: &Op) -> Vec<&[Op]> {
    match op {
        Op::Fork { bodies } | Op::RouteIf { bodies } | Op::ForkZip { bodies } => {
            bodies.iter().map(Vec::as_slice).collect()
        }
        Op::Broadcast { body, .. }
        | Op::Route { body, .. }
        | Op::Scatter { body, .. }
        | Op::Group { body, .. } => vec![body],
        Op::Merge(line) | Op::Zip(line) | Op::Concat(line) | Op::Join(line) => vec![&line.ops],
        _ => Vec::new(),
    }
}

/// Whether the results follow from the plan: nothing is half done, and what is paired has an order.
pub(crate) fn is_determined(ops: &[Op]) -> bool {
    ops.iter().enumerate().all(|(index, op)| match op {
        Op::Wild { .. } => false,
        Op::Zip(other) => {
            is_sequenced(&ops[..index]) && is_sequenced(&other.ops) && is_determined(&other.ops)
        }
        op => bodies(op).into_iter().all(is_determined),
    })
}

/// Whether results behind an order have one: batches stand where their oldest member stands, and what two sources bear
/// is numbered as it comes.
pub(crate) fn is_sequenced(ops: &[Op]) -> bool {
    ops.iter().all(|op| match op {
        Op::Batch { .. } | Op::Merge(_) | Op::Direct { which: 3 } => false,
        Op::Join(_) | Op::Group { .. } => true,
        Op::Fork { bodies } | Op::RouteIf { bodies } => {
            bodies.iter().all(|body| !is_whole(body) && is_sequenced(body))
        }
        Op::Broadcast { body, .. } | Op::Route { body, .. } => !is_whole(body) && is_sequenced(body),
        // What a fold gives stands behind everything, so that it keeps its order only by itself.
        Op::Concat(other) | Op::Zip(other) => is_sequenced(&other.ops),
        op => bodies(op).into_iter().all(is_sequenced),
    })
}
