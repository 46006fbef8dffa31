//! `map_batch`: work that wants many items at once and gives as many back, one to one; behind it they are items again.

use super::batch::flatten;
use super::exit::Exit;
use super::info::{Info, Tally, nanoseconds};
use super::value::{Made, Values};
use super::{Batch, Core, Work};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::machine::{Block, Kind, Outcome, Quantum, Started, Task};
use crate::supervise::contain;
use crate::weigh::{ByType, Weighing};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// What a batch function may return: as many outputs as it was given items, or one error for all of them.
pub trait Outputs {
    /// One output.
    type Item;

    /// The outputs, or why there are none.
    ///
    /// # Errors
    /// The function's own.
    fn into_outputs(self) -> Result<Vec<Self::Item>, BoxError>;
}

impl<U> Outputs for Vec<U> {
    type Item = U;

    fn into_outputs(self) -> Result<Vec<U>, BoxError> {
        Ok(self)
    }
}

impl<U, E: Into<BoxError>> Outputs for Result<Vec<U>, E> {
    type Item = U;

    fn into_outputs(self) -> Result<Vec<U>, BoxError> {
        self.map_err(Into::into)
    }
}

/// Marks a flow whose last stage maps batches.
#[derive(Debug)]
pub struct MapsBatch;

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Gathers items, oldest first, and turns them into as many others at once; output *n* takes the place of input
    /// *n*. Another number of outputs is an error of the whole batch.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// Flow::from_iter(["a", "bcd", "ef"])
    ///     .map_batch(Batch::weight(4, |text: &&str| text.len()), |texts| {
    ///         texts.into_iter().map(str::to_uppercase).collect::<Vec<_>>()
    ///     })
    ///     .sink(async |text: String| { assert_eq!(text, text.to_uppercase()); Ok::<(), String>(()) })
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_batch<R, F>(self, size: Batch<T>, run: F) -> Flow<R::Item, MapsBatch>
    where
        R: Outputs,
        R::Item: Send + 'static,
        F: Fn(Vec<T>) -> R + Send + Sync + 'static,
    {
        let (info, ask, unit) = (Info::new("map_batch"), size.ask(), size.size.unit());
        let kind = Kind::MapBatch { size: size.size.size(), grows: true };
        let flow = self.then(kind, info.clone(), Some(ask), ByType, move |exit| {
            Work::Core(Arc::new(BatchMapper { run, exit, info, item: PhantomData }))
        });
        flow.measured(unit)
    }
}

struct BatchMapper<T, U, F> {
    run: F,
    exit: Exit<U>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, R, F> Core for BatchMapper<T, R::Item, F>
where
    T: Send + 'static,
    R: Outputs,
    R::Item: Send + 'static,
    F: Fn(Vec<T>) -> R + Send + Sync,
{
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Batch(blocks), .. } = quantum else {
            unreachable!("a batch is worked on as one")
        };
        map_blocks(started, blocks, &self.exit, &self.info, |items| (self.run)(items).into_outputs())
    }
}

/// Works on a batch: output *n* takes the place of input *n*.
pub(crate) fn map_blocks<T: Send + 'static, U: Send + 'static>(
    started: Started,
    blocks: VecDeque<Block<Values>>,
    exit: &Exit<U>,
    info: &Info,
    run: impl FnOnce(Vec<T>) -> Result<Vec<U>, BoxError>,
) -> Outcome<Values> {
    let began = Instant::now();
    let mut outcome = Outcome::new(started);
    let (values, members) = flatten::<T>(blocks);
    let given = members.len();
    let outputs = contain(|| run(Vec::from(values)).map_err(ItemError::user)).and_then(|outputs| {
        let returned = outputs.len();
        if returned == given { Ok(outputs) } else { Err(ItemError::WrongLength { given, returned }) }
    });
    match outputs {
        Ok(outputs) => {
            let mut made = Made::with_capacity(given);
            for (output, mut member) in outputs.into_iter().zip(members) {
                match exit.try_appraise(&output, &mut member) {
                    Ok(()) => made.push(output, member),
                    Err(error) => outcome.failed.push((member, info.failure(error))),
                }
            }
            if !made.members.is_empty() {
                outcome.moved.push((0, Block::new(Values::of(made.values), made.members, began)));
            }
        }
        Err(error) => {
            let failure = info.failure(error);
            outcome.failed.extend(members.into_iter().map(|member| (member, failure.clone())));
        }
    }
    (outcome.worked, outcome.spent) = (1, began.elapsed());
    let (given, failed) = (given as u64, outcome.failed.len() as u64);
    info.meter.add(Tally {
        entered: given,
        left: given - failed,
        failed,
        busy_ns: nanoseconds(outcome.spent),
    });
    outcome
}
