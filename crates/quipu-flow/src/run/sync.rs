//! The lock that hand-written protocols use: std's, or loom's when a model is checked. A poisoned one is taken all the
//! same: no user code runs under it, so no state is left half made.

#[cfg(loom)]
use loom::sync as source;
#[cfg(not(loom))]
use std::sync as source;

pub(crate) struct Mutex<T>(source::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(source::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> source::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
