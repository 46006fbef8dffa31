//! What can go wrong between a task and the cores.

use std::any::Any;

/// An error of a pool or of a job that ran on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A count that must be positive was zero.
    #[error("configuring the compute pool: {0} must not be zero")]
    Zero(&'static str),
    /// The operating system refused the threads.
    #[error("starting the compute pool's threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The job panicked; the message is the panic's.
    #[error("a compute job panicked: {0}")]
    Panicked(String),
    /// The queue holds as many jobs as its limit says.
    #[error("queueing a compute job: {0} jobs are waiting already")]
    QueueFull(usize),
    /// The job was dropped unrun, which happens only while the pool goes down.
    #[error("a compute job was dropped before it ran")]
    Dropped,
}

/// The words of a caught panic.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
