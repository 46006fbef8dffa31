//! What pool workers do: tickets, and the quanta that compute.
//!
//! A ticket is an anonymous pool job, "do the best there is"; what that is gets decided when it runs. It goes on while
//! there is work, and lets the pool's other jobs go first after every quantum.

use super::{Load, Run};
use crate::error::ItemError;
use crate::machine::{Failure, Made, Quantum, Token, Trace};
use crate::plan::Task;
use crate::stage::{Children, Value};
use crate::supervise::contain;
use std::sync::Arc;
use std::time::Instant;

/// How a fused segment ended for one item.
enum Passage {
    Through(Made<Value>),
    Filtered,
    Failed(Failure),
}

impl Run {
    pub(super) fn spawn_ticket(self: &Arc<Self>) {
        let run = self.clone();
        self.pool.spawn_ticket(move || run.work());
    }

    /// A ticket's life.
    fn work(self: Arc<Self>) {
        let mut next = self.turn_for(true, |_, _| {});
        while let Some(quantum) = next {
            let yields = self.pool.has_waiting();
            next = self.compute(quantum, !yields);
            if yields {
                // The ticket stays counted; it only goes to the end of the pool's queue.
                self.spawn_ticket();
                return;
            }
        }
    }

    fn compute(self: &Arc<Self>, quantum: Quantum<Load>, worker: bool) -> Option<Quantum<Load>> {
        match quantum {
            Quantum::Birth => self.bear(worker),
            Quantum::Token { node, token } => match &self.segments[node].task {
                Task::Expand(_) => self.expand(node, token, worker),
                _ => self.pass(node, token, worker),
            },
            Quantum::Batch { node, batch } => self.run_batch(node, batch, worker),
            Quantum::Letter(_) => unreachable!("dead letters do not compute"),
        }
    }

    /// Carries an item through a fused segment.
    fn pass(self: &Arc<Self>, node: usize, token: Token<Load>, worker: bool) -> Option<Quantum<Load>> {
        let trace = token.trace;
        let passage = self.steps(node, token.value, trace.items());
        self.turn_for(worker, move |machine, now| match passage {
            Passage::Through(made) => machine.forward(node, trace, made.loaded(), now),
            Passage::Filtered => machine.filtered(node, trace),
            Passage::Failed(failure) => machine.failed(node, trace, &failure),
        })
    }

    fn steps(&self, node: usize, value: Load, items: u64) -> Passage {
        let segment = &self.segments[node];
        let (Task::Cpu(steps), Load::Item(mut value)) = (&segment.task, value) else {
            unreachable!("a compute node has steps, its tokens carry items")
        };
        let mut name = None;
        for (offset, (step, key)) in steps.iter().enumerate() {
            let stage = segment.first_stage + offset;
            let meter = &self.meters[stage];
            let started = Instant::now();
            meter.enter(items);
            let answer = contain(|| {
                let output = step(value)?;
                let key =
                    output.as_ref().and_then(|output| key.as_ref().map(|key| Arc::from(key(&**output))));
                Ok((output, key))
            });
            meter.work(started);
            match answer {
                Ok((Some(output), key)) => {
                    meter.leave(items);
                    name = key.or(name);
                    value = output;
                }
                Ok((None, _)) => return Passage::Filtered,
                Err(error) => {
                    meter.fail(items);
                    return Passage::Failed(Failure { key: name, ..self.failure(stage, error) });
                }
            }
        }
        match contain(|| Ok(segment.exit.appraise(value))) {
            Ok(made) => Passage::Through(Made { key: name, ..made }),
            Err(error) => {
                let last = segment.first_stage + steps.len() - 1;
                self.meters[last].fail(items);
                Passage::Failed(Failure { key: name, ..self.failure(last, error) })
            }
        }
    }

    /// Gets one child of an expander.
    fn expand(self: &Arc<Self>, node: usize, token: Token<Load>, worker: bool) -> Option<Quantum<Load>> {
        let segment = &self.segments[node];
        let (meter, stage) = (&self.meters[segment.first_stage], segment.first_stage);
        let (trace, started) = (token.trace, Instant::now());
        if trace.next_child.is_none() {
            meter.enter(trace.items());
        }
        let next = contain(|| self.next_child(node, token.value));
        meter.work(started);
        if matches!(next, Ok(Some(_))) {
            meter.leave(1);
        }
        let failure = next.as_ref().err().map(|error| self.failure(stage, error.clone()));
        if failure.is_some() {
            meter.fail(trace.items());
        }
        self.turn_for(worker, move |machine, now| match (next, failure) {
            (_, Some(failure)) => machine.failed(node, trace, &failure),
            (Ok(Some((made, children))), None) => {
                machine.child(node, trace, Load::Children(children), made.loaded(), now);
            }
            (_, None) => machine.expanded(node, trace),
        })
    }

    fn next_child(&self, node: usize, load: Load) -> Result<Option<(Made<Value>, Children)>, ItemError> {
        let segment = &self.segments[node];
        let mut children = match (load, &segment.task) {
            (Load::Children(children), _) => children,
            (Load::Item(item), Task::Expand(expand)) => expand(item),
            _ => unreachable!("an expander's task expands"),
        };
        Ok(children.next().map(|child| (segment.exit.appraise(child), children)))
    }

    fn run_batch(
        self: &Arc<Self>,
        node: usize,
        batch: Vec<Token<Load>>,
        worker: bool,
    ) -> Option<Quantum<Load>> {
        let segment = &self.segments[node];
        let (meter, started) = (&self.meters[segment.first_stage], Instant::now());
        let mut traces = Vec::with_capacity(batch.len());
        let mut values = Vec::with_capacity(batch.len());
        for token in batch {
            traces.push(token.trace);
            match token.value {
                Load::Item(value) => values.push(value),
                Load::Children(_) => unreachable!("only expanders hold children"),
            }
        }
        let items = traces.iter().map(Trace::items).sum();
        meter.enter(items);
        let answer = contain(|| match &segment.task {
            Task::Batch(gather) => Ok(vec![segment.exit.appraise(gather(values))]),
            Task::MapBatch(run) => {
                Ok(run(values)?.into_iter().map(|value| segment.exit.appraise(value)).collect())
            }
            _ => unreachable!("a gathering node has a batch's task"),
        });
        meter.work(started);
        let answer = answer.map_err(|error| self.failure(segment.first_stage, error));
        if answer.is_ok() {
            meter.leave(items)
        } else {
            meter.fail(items)
        }
        let is_one = matches!(segment.task, Task::Batch(_));
        self.turn_for(worker, move |machine, now| match answer {
            Err(failure) => machine.failed_each(node, traces, &failure),
            Ok(made) if is_one => {
                for made in made {
                    machine.forward_as_one(node, std::mem::take(&mut traces), made.loaded(), now);
                }
            }
            Ok(made) => {
                let made = made.into_iter().map(Made::loaded);
                machine.forward_each(node, traces.into_iter().zip(made).collect(), now);
            }
        })
    }
}
