//! Lets contenders take turns and keeps each one's median.
//!
//! Ours and the peers' repetitions alternate within one run, so that a machine which slows down slows all of them. The
//! order turns round from one repetition to the next: nobody always runs behind the same neighbour.

use serde::Serialize;
use std::time::Duration;

/// One way to do the work.
pub(crate) struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut(u64) -> anyhow::Result<Duration> + 'a>,
}

impl<'a> Contender<'a> {
    /// `run` does the work in the size it is given and says how long that took.
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl FnMut(u64) -> anyhow::Result<Duration> + 'a,
    ) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// How much work one repetition is.
#[derive(Clone, Copy)]
pub(crate) enum Sizing {
    /// So much for everyone.
    Fixed(u64),
    /// For each as much as takes about so long; the pilot that finds out also warms up.
    Aimed { pilot: u64, time: Duration },
}

/// One cell of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// Nothing where the contender could not run.
    pub(crate) median: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Why the cell is empty.
    pub(crate) missing: Option<String>,
}

impl Figure {
    /// The median of `values`, or why there are none.
    pub(crate) fn of(name: impl Into<String>, values: anyhow::Result<Vec<f64>>) -> Self {
        let (mut values, missing) = match values {
            Ok(values) => (values, None),
            Err(why) => (Vec::new(), Some(format!("{why:#}"))),
        };
        values.sort_by(f64::total_cmp);
        Self {
            name: name.into(),
            median: values.get(values.len() / 2).copied(),
            low: values.first().copied(),
            high: values.last().copied(),
            missing,
        }
    }
}

/// Runs everyone `repetitions` times, in turns. `value` makes the row's unit of a time and a size.
pub(crate) fn side_by_side(
    contenders: Vec<Contender<'_>>,
    sizing: Sizing,
    repetitions: usize,
    value: impl Fn(Duration, u64) -> f64,
) -> Vec<Figure> {
    let mut lanes: Vec<Lane<'_>> =
        contenders.into_iter().map(|contender| Lane::start(contender, sizing)).collect();
    for repetition in 0..repetitions {
        if repetition % 2 == 0 {
            lanes.iter_mut().for_each(|lane| lane.once(&value));
        } else {
            lanes.iter_mut().rev().for_each(|lane| lane.once(&value));
        }
    }
    lanes.into_iter().map(|lane| Figure::of(lane.contender.name, lane.values)).collect()
}

/// A contender, its size of work and what came of it.
struct Lane<'a> {
    contender: Contender<'a>,
    size: u64,
    values: anyhow::Result<Vec<f64>>,
}

impl<'a> Lane<'a> {
    fn start(mut contender: Contender<'a>, sizing: Sizing) -> Self {
        let size = match sizing {
            Sizing::Fixed(size) => Ok(size),
            Sizing::Aimed { pilot, time } => (contender.run)(pilot).map(|took| {
                let scale = time.as_secs_f64() / took.as_secs_f64().max(1e-6);
                (pilot as f64 * scale).max(1.0) as u64
            }),
        };
        match size {
            Ok(size) => Self { contender, size, values: Ok(Vec::new()) },
            Err(why) => Self { contender, size: 0, values: Err(why) },
        }
    }

    fn once(&mut self, value: impl Fn(Duration, u64) -> f64) {
        let Ok(values) = &mut self.values else { return };
        match (self.contender.run)(self.size) {
            Ok(took) => values.push(value(took, self.size)),
            Err(why) => self.values = Err(why),
        }
    }
}
