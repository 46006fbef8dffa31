//! The builder: what a user writes. Each stage's own method stands in its file under `stage`; here is what they share.

use crate::stage::{Source, Stage};
use crate::supervise::OnError;
use crate::weigh::{ByFunction, ByType, Weigher, Weighing, weigher};
use std::marker::PhantomData;
use std::sync::Arc;

/// A pipeline under construction: its open end carries items of type `T`.
///
/// Modifiers apply to the stage before them. `S` is the kind of that stage, so that a modifier which it does not have
/// does not compile; `W` says how the open end's items are weighed.
pub struct Flow<T, S = Source, W = ByType> {
    stages: Stages,
    pub(crate) weight: W,
    end: PhantomData<fn() -> (T, S)>,
}

/// Stages whose outputs are all weighed.
pub(crate) struct Stages(Vec<Stage>);

impl Stages {
    pub(crate) fn push(&mut self, stage: Stage) {
        self.0.push(stage);
    }

    pub(crate) fn retyped<T, S, W>(self, weight: W) -> Flow<T, S, W> {
        Flow { stages: self, weight, end: PhantomData }
    }

    pub(crate) fn into_stages(self) -> Vec<Stage> {
        self.0
    }
}

impl<T, S, W> Flow<T, S, W> {
    pub(crate) fn start(source: Stage, weight: W) -> Self {
        Stages(vec![source]).retyped(weight)
    }

    pub(crate) fn last_mut(&mut self) -> &mut Stage {
        match self.stages.0.last_mut() {
            Some(stage) => stage,
            None => unreachable!("a flow begins with its source"),
        }
    }

    /// Names the stage before it in plans, reports and errors.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.last_mut().name = Some(name.into());
        self
    }

    /// What happens to items that fail in the stage before it, instead of the run's own policy.
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> Self {
        self.last_mut().on_error = Some(policy);
        self
    }
}

impl<T: 'static, S, W> Flow<T, S, W> {
    /// Names each item in error reports, from here on. Its children and what it turns into inherit the name.
    #[must_use]
    pub fn key<K: Into<String>>(mut self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        self.last_mut().key = Some(Arc::new(move |value| {
            value.downcast_ref::<T>().map_or_else(String::new, |item| key(item).into())
        }));
        self
    }

    /// Says how many bytes each item takes, heap included, where its type does not say so itself.
    #[must_use]
    pub fn weigh(self, bytes: impl Fn(&T) -> usize + Send + Sync + 'static) -> Flow<T, S, ByFunction> {
        self.stages.retyped(ByFunction(weigher(bytes)))
    }
}

impl<T: Send + 'static, S, W: Weighing<T>> Flow<T, S, W> {
    /// Closes the open end: its weight is fixed.
    pub(crate) fn weighed(self) -> (Stages, Weigher) {
        let mut stages = self.stages;
        let weigher = self.weight.weigher().0;
        if let Some(last) = stages.0.last_mut() {
            last.weigh = Some(weigher.clone());
        }
        (stages, weigher)
    }

    /// The flow with one more stage, whose items are weighed so.
    pub(crate) fn then<U, Next, Weight>(self, stage: Stage, weight: Weight) -> Flow<U, Next, Weight> {
        let (mut stages, _) = self.weighed();
        stages.push(stage);
        stages.retyped(weight)
    }
}

impl<T, S, W> std::fmt::Debug for Flow<T, S, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.stages.0.iter().map(|stage| stage.work.kind());
        f.debug_list().entries(kinds).finish()
    }
}
