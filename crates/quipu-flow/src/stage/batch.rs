//! `batch`: several items become one `Vec`, and keep each member's position, credit and acknowledgement.

use super::exit::{Ask, Exit};
use super::info::{Info, Tally, nanoseconds};
use super::value::Values;
use super::{Core, Work};
use crate::flow::Flow;
use crate::machine::{Block, Kind, Member, Outcome, Quantum, Size, Task};
use crate::weigh::{ByFunction, Weighing};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How large a batch is: a maximum in items, bytes or weight, and perhaps in time.
///
/// An item that would take a batch past its maximum closes the batch first; one that is larger by itself travels alone.
pub struct Batch<T> {
    pub(crate) size: BatchSize,
    weight: Option<super::exit::Weigher<T>>,
}

/// A batch's size, erased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSize {
    pub(crate) max: usize,
    pub(crate) unit: Unit,
    pub(crate) within: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Items,
    Bytes,
    Weight,
}

impl<T: 'static> Batch<T> {
    /// So many items.
    #[must_use]
    pub fn items(max: usize) -> Self {
        Self::of(max, Unit::Items)
    }

    /// So many bytes, as the items are weighed.
    #[must_use]
    pub fn bytes(max: usize) -> Self {
        Self::of(max, Unit::Bytes)
    }

    /// So much of what `weight` says of each item: tokens, rows, pixels.
    pub fn weight(max: usize, weight: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        Self { weight: Some(Arc::new(weight)), ..Self::of(max, Unit::Weight) }
    }

    /// Not later than this after its first item, full or not. A device without it starts with what there is whenever it
    /// has nothing to do.
    #[must_use]
    pub fn within(mut self, delay: Duration) -> Self {
        self.size.within = Some(delay);
        self
    }

    fn of(max: usize, unit: Unit) -> Self {
        Self { size: BatchSize { max, unit, within: None }, weight: None }
    }
}

impl<T> std::fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({})", self.size)
    }
}

impl std::fmt::Display for BatchSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "≤ {}{}", self.max, self.unit())?;
        self.within.map_or(Ok(()), |delay| write!(f, " within {delay:?}"))
    }
}

/// Marks a flow whose last stage makes batches.
#[derive(Debug)]
pub struct Batched;

impl BatchSize {
    /// What it is measured in, as plans say it.
    pub(crate) fn unit(self) -> &'static str {
        match self.unit {
            Unit::Items => " items",
            Unit::Bytes => " bytes",
            Unit::Weight => " of weight",
        }
    }

    /// As the machine knows it.
    pub(crate) fn size(&self) -> Size {
        Size { max: self.max as u64, within: self.within }
    }
}

impl<T: 'static> Batch<T> {
    /// What an item counts for.
    pub(crate) fn ask(&self) -> Ask<T> {
        match &self.weight {
            Some(weight) => {
                let weight = weight.clone();
                Arc::new(move |item, _| weight(item) as u64)
            }
            None if matches!(self.size.unit, Unit::Bytes) => Arc::new(|_, bytes| bytes),
            None => Arc::new(|_, _| 1),
        }
    }
}

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Gathers items into `Vec`s, each oldest first. They keep each member's credit and acknowledgement.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// let report = Flow::from_iter(0..10u32)
    ///     .batch(Batch::items(4))
    ///     .sink(async |batch: Vec<u32>| { assert!(batch.len() <= 4); Ok::<(), String>(()) })
    ///     .run().await?;
    /// assert_eq!(report.ends.delivered, 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch(self, size: Batch<T>) -> Flow<Vec<T>, Batched, ByFunction<Vec<T>>> {
        let info = Info::new("batch");
        let each = self.weight.clone().weigher();
        // It weighs what its members weigh, and no more: gathering waits for no credit, so it must not grow anything.
        let weight = ByFunction(Arc::new(move |batch: &Vec<T>| batch.iter().map(|item| each(item)).sum()));
        let (ask, unit) = (size.ask(), size.size.unit());
        let flow = self.then(
            Kind::Batch { size: size.size.size(), ordered: false },
            info.clone(),
            Some(ask),
            weight,
            move |exit| Work::Core(Arc::new(Gatherer { exit, info })),
        );
        flow.measured(unit)
    }
}

impl<T, W> Flow<T, Batched, W> {
    /// Each batch is a run of the source's order, without gaps but for what has ended before. What comes too early waits,
    /// in credit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// Flow::from_iter(0..100u32)
    ///     .io(async |number| Ok::<_, String>(number))
    ///     .batch(Batch::items(4)).ordered()
    ///     .for_each(|batch: Vec<u32>| assert!(batch.windows(2).all(|pair| pair[0] + 1 == pair[1])))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ordered(mut self) -> Self {
        if let Some(Kind::Batch { ordered, .. }) = self.last_node().map(|node| &mut node.spec.kind) {
            *ordered = true;
        }
        self
    }
}

struct Gatherer<T> {
    exit: Exit<Vec<T>>,
    info: Arc<Info>,
}

impl<T: Send + 'static> Core for Gatherer<T> {
    fn run(&self, quantum: Quantum<Values>) -> Outcome<Values> {
        let Quantum { started, task: Task::Batch(blocks), .. } = quantum else {
            unreachable!("a batch is made of a batch")
        };
        let began = Instant::now();
        let mut outcome = Outcome::new(started);
        let (values, members) = flatten::<T>(blocks);
        let count = members.len() as u64;
        let batch = Vec::from(values);
        let mut member = Member::batch(&members);
        match self.exit.try_appraise(&batch, &mut member) {
            Ok(()) => {
                outcome.moved.push((0, Block::new(Values::one(batch), VecDeque::from([member]), began)));
                outcome.melted = members;
            }
            Err(error) => {
                let failure = self.info.failure(error);
                outcome.failed.extend(members.into_iter().map(|member| (member, failure.clone())));
            }
        }
        outcome.worked = 1;
        outcome.spent = began.elapsed();
        let failed = outcome.failed.len() as u64;
        let busy_ns = nanoseconds(outcome.spent);
        self.info.meter.add(Tally { entered: count, left: count - failed, failed, busy_ns });
        outcome
    }
}

/// The values and members of several blocks, one behind the other.
pub(crate) fn flatten<T: Send + 'static>(blocks: VecDeque<Block<Values>>) -> (VecDeque<T>, VecDeque<Member>) {
    let mut blocks = blocks.into_iter();
    let Some(Block { values, mut members, .. }) = blocks.next() else { return Default::default() };
    let mut values = values.column::<T>();
    for block in blocks {
        values.append(&mut block.values.column::<T>());
        members.extend(block.members);
    }
    (values, members)
}
