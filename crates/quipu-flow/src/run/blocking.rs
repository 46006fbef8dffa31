//! Waiting for a run with a thread: where it may, and on which runtime the run's ios go meanwhile.

use super::{Handle, Run};
use crate::error::RunError;
use crate::report::Report;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::{Builder, RuntimeFlavor};

/// Checks that this thread may wait, and says on which runtime what it waits for runs.
///
/// A runtime with threads of its own goes on without this one. One that has none may be waiting for this very thread, so
/// that the engine's own, which has a thread, takes its place.
pub(crate) fn runtime() -> Result<tokio::runtime::Handle, RunError> {
    refuse_async_context()?;
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => Ok(runtime),
        _ => own_runtime().map_err(RunError::Runtime),
    }
}

/// Tokio knows where blocking would hold up a runtime's tasks, and tells nobody; but its own blocking calls panic there.
fn refuse_async_context() -> Result<(), RunError> {
    let blocking_call = || drop(tokio::sync::Mutex::const_new(()).blocking_lock());
    catch_unwind(blocking_call).map_err(|_| RunError::WouldBlock)
}

/// One thread's runtime for all runs of the process that are waited for where there is no other; it lasts as long as the
/// process.
fn own_runtime() -> std::io::Result<tokio::runtime::Handle> {
    static OWN: Mutex<Option<tokio::runtime::Handle>> = Mutex::new(None);
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*own {
        return Ok(runtime.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("quipu-flow".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(own.insert(handle).clone())
}

/// Waits for the run's end. A worker of the run's own pool helps until then: the run may have no other.
pub(crate) fn join(handle: Handle) -> Result<Report, RunError> {
    let run: Arc<Run> = handle.run().clone();
    if run.pool.is_worker() {
        run.help();
    }
    run.runtime.block_on(handle.join())
}
