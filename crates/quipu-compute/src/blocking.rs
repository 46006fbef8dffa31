//! Borrowing work on the pool's workers while its owner waits: the crate's one piece of `unsafe`.
//!
//! Work that borrows must go through the same queue as all other (Rayon's own `install` goes through its injector,
//! which a busy pool never looks at), and the queue holds `'static` jobs. So the lifetime is erased, and this thread
//! does not go on until the work is over.
#![allow(unsafe_code)]

use crate::pool::ComputePool;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `work` on a worker and returns its answer, or unwinds with its panic. Blocks.
pub(crate) fn run_borrowed<R, F>(pool: &ComputePool, work: F) -> R
where
    R: Send,
    F: FnOnce() -> R + Send,
{
    let mut answer = None;
    let slot = &mut answer;
    let work: Box<dyn FnOnce() + Send + '_> =
        Box::new(move || *slot = Some(catch_unwind(AssertUnwindSafe(work))));
    // SAFETY: only the lifetime changes. `work` and what it borrows, `answer` among it, live until this function
    // returns or unwinds, and it does neither before the handle's `park_until_done` says that the job is over. By then the
    // box is consumed: a job's work is moved out of its cell and called before its answer is published (`Job::run`),
    // and nobody else can drop it, as this thread holds the only handle and the handle holds the pool.
    let work: Box<dyn FnOnce() + Send + 'static> = unsafe { std::mem::transmute(work) };
    let guard = AbortOnUnwind;
    let mut handle = pool.execute(work);
    handle.park_until_done();
    std::mem::forget(guard);
    drop(handle);
    match answer {
        Some(Ok(answer)) => answer,
        Some(Err(panic)) => resume_unwind(panic),
        None => unreachable!("the job is over"),
    }
}

/// Ends the process rather than let borrowed work outlive its owner's frame.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Panics where blocking would hold up a runtime's tasks. Tokio knows which threads those are and asks the same of its
/// own blocking calls; it tells nobody, so one of those is made, on a lock that is free.
#[track_caller]
pub(crate) fn refuse_async_context() {
    drop(tokio::sync::Mutex::const_new(()).blocking_lock());
}
