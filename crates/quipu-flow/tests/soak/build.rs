//! A plan as a flow. After each stage its type is forgotten, by a filter that keeps all, so that stages can be put one
//! behind the other in a loop; [`direct`] puts some behind each other without one.

use crate::evaluate::{below, born, children, gather, hangs, sum};
use crate::item::{Census, Item, mix};
use crate::plan::{From, Line, Op, Policy, Trouble};
use crate::wild::wild;
use quipu_flow::stage::{self, Branch, Reduce};
use quipu_flow::{Batch, ByFunction, Flow, OnError, Weigh, Weighing};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

pub(crate) type Open = Flow<Item, stage::Cpu, ByFunction<Item>>;

/// What the parts of a flow share with who watches it.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) census: Census,
    /// How often each source item was acknowledged, by its number; it is here from its birth on.
    pub(crate) acks: Arc<Mutex<Vec<u32>>>,
    pub(crate) letters: Arc<AtomicU64>,
    /// Who feeds the channels.
    pub(crate) feeders: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

pub(crate) fn open<S, W: Weighing<Item>>(flow: Flow<Item, S, W>) -> Open {
    flow.weigh(Item::weight).filter(|_| true)
}

impl Site {
    pub(crate) fn policy(&self, policy: Policy) -> Option<OnError> {
        match policy {
            Policy::Inherit => None,
            Policy::Stop => Some(OnError::Stop),
            Policy::Skip => Some(OnError::Skip),
            Policy::Letter => {
                let letters = self.letters.clone();
                Some(OnError::dead_letter(move |_| {
                    letters.fetch_add(1, SeqCst);
                    async {
                        tokio::task::yield_now().await;
                        Ok::<(), String>(())
                    }
                }))
            }
        }
    }

    pub(crate) fn own<S>(&self, flow: Flow<Item, S>, policy: Policy) -> Open {
        match self.policy(policy) {
            None => open(flow),
            Some(policy) => open(flow.on_error(policy)),
        }
    }

    pub(crate) fn line(&self, line: &Line, at: u64) -> Open {
        let census = self.census.clone();
        let items = born(line, at).map(move |value| census.item(value));
        let source = match line.from {
            From::Iter => Flow::from_iter(items),
            From::Stream => Flow::from_stream(futures_util::stream::iter(items)),
            From::SlowStream => {
                use futures_util::StreamExt;
                Flow::from_stream(futures_util::stream::iter(items).then(async |item| {
                    tokio::time::sleep(Duration::from_micros(item.value % 60)).await;
                    item
                }))
            }
            From::Channel => {
                let (sender, receiver) = tokio::sync::mpsc::channel(2);
                let feed = async move {
                    for item in items {
                        if sender.send(item).await.is_err() {
                            break;
                        }
                    }
                };
                self.feeders.lock().unwrap().push(tokio::spawn(feed));
                Flow::from_channel(receiver)
            }
        };
        let (born, acks) = (self.acks.clone(), self.acks.clone());
        let number = move |_: &Item| {
            let mut born = born.lock().unwrap();
            born.push(0);
            born.len() - 1
        };
        let source = source.on_ack(number, move |number| acks.lock().unwrap()[number] += 1);
        let source = match line.window {
            Some(window) => open(source.unacknowledged(window)),
            None => open(source),
        };
        self.body(source, &line.ops, at)
    }

    fn body(&self, flow: Open, ops: &[Op], at: u64) -> Open {
        ops.iter().enumerate().fold(flow, |flow, (index, op)| self.append(flow, op, below(at, index)))
    }

    fn branch(&self, branch: Branch<Item>, ops: &[Op], at: u64) -> Open {
        self.body(open(branch), ops, at)
    }

    fn append(&self, flow: Open, op: &Op, at: u64) -> Open {
        match op {
            Op::Map => open(flow.map(move |item| item.step(at))),
            Op::TryMap(trouble) => {
                let tried = *trouble;
                self.own(flow.try_map(move |item| tried.tries(item, at)), trouble.policy)
            }
            Op::Filter { one_in } => {
                let one_in = *one_in;
                open(flow.filter(move |item| !mix(item.value, at).is_multiple_of(one_in)))
            }
            Op::Inspect => open(flow.inspect(|item| assert!(item.weight() <= 8))),
            Op::FlatMap { most } => {
                let most = *most;
                open(
                    flow.flat_map(move |item| {
                        children(item.value, most, at).map(move |value| item.with(value))
                    }),
                )
            }
            Op::Io { .. } => self.io(flow, op, at),
            Op::Batch { size, within } => open(
                flow.batch(batch(*size, *within))
                    .flat_map(move |batch: Vec<Item>| batch.into_iter().map(move |item| item.step(at))),
            ),
            Op::MapBatch { size, within } => {
                open(flow.map_batch(batch(*size, *within), move |batch| steps(batch, at)))
            }
            Op::Device { size } => open(flow.device(
                batch(*size, false),
                || Ok::<_, String>(std::rc::Rc::new(())),
                move |_, batch| steps(batch, at),
            )),
            Op::Scan { ordered } => {
                let scan = flow.scan(0u64, move |count, item: Item| {
                    *count += 1;
                    item.step(at)
                });
                open(if *ordered { scan.ordered() } else { scan })
            }
            Op::Keyed { keys } => {
                let keys = *keys;
                open(flow.keyed(
                    move |item| item.value % keys,
                    |_| 0u64,
                    move |count, item| {
                        *count += 1;
                        item.step(at)
                    },
                ))
            }
            Op::Fold { ordered } => {
                let fold = flow.fold(self.census.item(at), move |sum, item: Item| {
                    sum.value = sum.value.wrapping_add(mix(item.value, at));
                });
                open(if *ordered { fold.ordered() } else { fold })
            }
            Op::Direct { which } => direct(flow, *which, at),
            Op::Wild { which, one_in, policy } => wild(self, flow, *which, *one_in, *policy),
            Op::Merge(_) | Op::Zip(_) | Op::Concat(_) | Op::Join(_) => self.join(flow, op, at),
            _ => self.branches(flow, op, at),
        }
    }

    fn io(&self, flow: Open, op: &Op, at: u64) -> Open {
        let &Op::Io { limit, retries, hangs: may_hang, at_most, trouble } = op else { unreachable!() };
        let run = move |item: Item| async move {
            if may_hang && hangs(item.value, at) {
                std::future::pending::<()>().await;
            }
            // One that may hang answers at once, if at all: a timeout is never a slow machine's then.
            if !may_hang {
                for _ in 0..item.value % 3 {
                    tokio::task::yield_now().await;
                }
            }
            match trouble.filter(|_| !may_hang) {
                Some(trouble) => trouble.tries(item, at),
                None => Ok(item.step(at)),
            }
        };
        let io = flow.io(run).limit(limit).retry(retries).backoff(Duration::from_micros(20));
        let io = if at_most { io.output_at_most(|_| 8) } else { io };
        if may_hang {
            return self.own(io.timeout(Duration::from_millis(1)), Policy::Skip);
        }
        self.own(io, trouble.map_or(Policy::Inherit, |trouble| trouble.policy))
    }

    fn branches(&self, flow: Open, op: &Op, at: u64) -> Open {
        let body = |number: usize, ops: &[Op], flow| self.branch(flow, ops, below(at, number));
        match op {
            Op::Fork { bodies } => {
                open(flow.fork(|one| body(0, &bodies[0], one), |other| body(1, &bodies[1], other)))
            }
            Op::Broadcast { count, body: ops } => {
                open(flow.broadcast(*count, |number, branch| body(number, ops, branch)))
            }
            Op::Route { count, body: ops } => {
                let ways = *count as u64;
                let choose = move |item: &Item| (item.value % ways) as usize;
                open(flow.route(*count, choose, |number, branch| body(number, ops, branch)))
            }
            Op::RouteIf { bodies } => open(flow.route_if(
                |item| item.value.is_multiple_of(2),
                |even| body(0, &bodies[0], even),
                |odd| body(1, &bodies[1], odd),
            )),
            Op::ForkZip { bodies } => {
                let pairs = flow.fork_zip(|one| body(0, &bodies[0], one), |other| body(1, &bodies[1], other));
                open(pairs.map(|(one, other)| one.with(mix(one.value, other.value))))
            }
            Op::Scatter { most, partial, body: ops } => self.scatter(flow, *most, *partial, ops, at),
            Op::Group { most, outputs, ordered, body: ops } => {
                let (most, outputs) = (*most, *outputs);
                let census = self.census.clone();
                let reduce = Reduce::new(
                    move || census.item(at),
                    move |sum: &mut Item, item: Item| {
                        sum.value = sum.value.wrapping_add(mix(item.value, at));
                    },
                    move |sum| (0..outputs).map(move |output| sum.with(mix(sum.value, output))),
                );
                open(flow.group(
                    move |item| children(item.value, most, at).map(move |value| item.with(value)),
                    |members| self.body(open(members), ops, at),
                    if *ordered { reduce.ordered() } else { reduce },
                ))
            }
            _ => unreachable!("no branches: {op:?}"),
        }
    }

    fn scatter(&self, flow: Open, most: u64, partial: bool, ops: &[Op], at: u64) -> Open {
        let split = move |item: Item| {
            let document = item.clone();
            (document, children(item.value, most, at).map(move |value| item.with(value)))
        };
        if partial {
            return open(flow.scatter_partial(split, |parts| self.body(open(parts), ops, at), {
                |item: Item, parts: Vec<Result<Item, _>>| {
                    let parts = parts.iter().map(|part| part.as_ref().map(|part| part.value)).collect();
                    item.with(gather(item.value, parts))
                }
            }));
        }
        open(flow.scatter(
            split,
            |parts| self.body(open(parts), ops, at),
            |item: Item, parts| {
                let parts = parts.iter().map(|part: &Item| Ok::<_, ()>(part.value)).collect();
                item.with(gather(item.value, parts))
            },
        ))
    }

    fn join(&self, flow: Open, op: &Op, at: u64) -> Open {
        match op {
            Op::Merge(other) => open(flow.merge(self.line(other, at))),
            Op::Concat(other) => open(flow.concat(self.line(other, at))),
            Op::Zip(other) => {
                let pairs = flow.zip(self.line(other, at));
                open(pairs.map(|(one, other)| one.with(mix(one.value, other.value))))
            }
            Op::Join(other) => open(flow.join_with(
                self.line(other, at),
                sum([], at),
                move |table, item: Item| *table = table.wrapping_add(mix(item.value, at)),
                |table, item| item.step(*table),
            )),
            _ => unreachable!("no other flow: {op:?}"),
        }
    }
}

impl Trouble {
    fn tries(&self, item: Item, at: u64) -> Result<Item, &'static str> {
        if !self.hits(item.value, at) {
            return Ok(item.step(at));
        }
        if self.panics {
            std::panic::panic_any("a planned panic");
        }
        Err("a planned error")
    }
}

fn batch(size: usize, within: bool) -> Batch<Item> {
    let batch = Batch::items(size);
    if within { batch.within(Duration::from_micros(300)) } else { batch }
}

fn steps(batch: Vec<Item>, at: u64) -> Vec<Item> {
    batch.into_iter().map(|item| item.step(at)).collect()
}

/// Stages directly behind each other, which make one step together.
fn direct(flow: Open, which: u64, at: u64) -> Open {
    match which {
        0 => open(
            flow.io(async |item| Ok::<_, String>(item))
                .limit(2)
                .io(move |item: Item| async move {
                    tokio::task::yield_now().await;
                    Ok::<_, String>(item.step(at))
                })
                .limit(2),
        ),
        1 => open(flow.flat_map(|item| [item]).flat_map(move |item| Some(item.step(at)))),
        2 => open(flow.scan((), |(), item| item).ordered().keyed(
            |item| item.value % 2,
            |_| (),
            move |(), item| item.step(at),
        )),
        3 => {
            let batches = flow.batch(Batch::items(3)).io(async |batch: Vec<Item>| Ok::<_, String>(batch));
            open(batches.limit(1).flat_map(move |batch| steps(batch, at)))
        }
        _ => {
            let device = flow.map_batch(Batch::items(2), |batch| batch).device(
                Batch::items(3),
                || Ok::<_, String>(()),
                |(), batch| batch,
            );
            open(device.map_batch(Batch::items(4), move |batch| steps(batch, at)))
        }
    }
}
