//! `device`: work for one thread of its own, which owns a GPU, or any model that may not leave its thread.

use super::exit::Exit;
use super::info::Info;
use super::map_batch::map_blocks;
use super::value::Values;
use super::{Batch, Outputs, Work};
use crate::error::{BoxError, ItemError};
use crate::flow::Flow;
use crate::machine::{Failure, Kind, Outcome, Quantum, Task};
use crate::supervise::contain;
use crate::weigh::{ByType, Weighing};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// Marks a flow whose last stage runs on a device.
#[derive(Debug)]
pub struct Device;

/// Work for a thread of its own.
pub(crate) trait Hosts: Send + Sync {
    /// Makes what the thread will own, and works with it until there is nothing more to take.
    ///
    /// # Errors
    /// What was to be made could not be.
    fn host(
        &self,
        take: &mut dyn FnMut(Option<Outcome<Values>>) -> Option<Quantum<Values>>,
    ) -> Result<(), Failure>;
    fn info(&self) -> &Arc<Info>;
}

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Turns batches into as many outputs, on a thread of the stage's own. `load` makes what the thread owns, there; it
    /// need not be `Send`. What it returns as an error stops the run.
    ///
    /// There is no delay to tune: an idle device starts with what there is, and while it works the next batches fill, so
    /// they are as large as it is busy. With `.within(…)`, an idle device waits that long for a batch to fill.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use quipu_flow::{Batch, Flow};
    /// use std::rc::Rc;
    /// Flow::from_iter(["a", "bc"])
    ///     .device(
    ///         Batch::items(64),
    ///         || Ok::<_, std::io::Error>(Rc::new(String::from("!"))),
    ///         |model, texts: Vec<&str>| texts.into_iter().map(|text| format!("{text}{model}")).collect::<Vec<_>>(),
    ///     )
    ///     .for_each(|text| assert!(text.ends_with('!')))
    ///     .run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn device<M, E, R, L, F>(self, size: Batch<T>, load: L, run: F) -> Flow<R::Item, Device>
    where
        M: 'static,
        E: Into<BoxError>,
        R: Outputs,
        R::Item: Send + 'static,
        L: FnOnce() -> Result<M, E> + Send + 'static,
        F: FnMut(&mut M, Vec<T>) -> R + Send + 'static,
    {
        let (info, ask, unit) = (Info::new("device"), size.ask(), size.size.unit());
        let kind = Kind::Device { size: size.size.size(), grows: true };
        let flow = self.then(kind, info.clone(), Some(ask), ByType, move |exit| {
            let load = move || load().map_err(Into::into);
            let parts = Mutex::new(Some((load, run)));
            Work::Host(Arc::new(Host { parts, exit, info, item: PhantomData }))
        });
        flow.measured(unit)
    }
}

struct Host<T, U, L, F> {
    parts: Mutex<Option<(L, F)>>,
    exit: Exit<U>,
    info: Arc<Info>,
    item: PhantomData<fn(T)>,
}

impl<T, M, R, L, F> Hosts for Host<T, R::Item, L, F>
where
    T: Send + 'static,
    R: Outputs,
    R::Item: Send + 'static,
    L: FnOnce() -> Result<M, BoxError> + Send,
    F: FnMut(&mut M, Vec<T>) -> R + Send,
{
    fn host(
        &self,
        take: &mut dyn FnMut(Option<Outcome<Values>>) -> Option<Quantum<Values>>,
    ) -> Result<(), Failure> {
        let Some((load, mut run)) = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let model = contain(|| load().map_err(ItemError::user));
        let mut model = model.map_err(|error| self.info.failure(error))?;
        let mut answer = None;
        while let Some(Quantum { started, task, .. }) = take(answer.take()) {
            let Task::Batch(blocks) = task else { unreachable!("a device works on batches") };
            let work = |items| run(&mut model, items).into_outputs();
            answer = Some(map_blocks(started, blocks, &self.exit, &self.info, work));
        }
        Ok(())
    }

    fn info(&self) -> &Arc<Info> {
        &self.info
    }
}
