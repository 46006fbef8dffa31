//! What can go wrong between a task and the cores.

use std::any::Any;

/// An error of a pool or of a job that ran on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A count that must be positive was zero.
    #[error("configuring the compute pool: {0} must not be zero")]
    Zero(&'static str),
    /// A setting that does not mean anything.
    #[error("configuring the compute pool: {setting} is {value:?}, expected {expected}")]
    Setting {
        /// Where it stands: a field, a variable of the environment or a key.
        setting: String,
        /// What stands there.
        value: String,
        /// What might.
        expected: &'static str,
    },
    /// Settings that are no TOML, or none of ours.
    #[cfg(feature = "toml")]
    #[error("reading the compute pool's settings")]
    Toml(#[from] Box<toml::de::Error>),
    /// The operating system refused the threads.
    #[error("starting the compute pool's threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Workers cannot be pinned to cores here.
    #[error("pinning the compute pool's threads to cores")]
    Pinning(#[source] std::io::Error),
    /// This thread was given no pool.
    #[error(
        "finding a compute pool: this thread has no ComputeContext; give Tokio's threads one with \
         ComputeContext::install on the runtime's Builder, and the thread that calls block_on with \
         ComputeContext::enter (#[tokio::main] cannot: build the runtime yourself)"
    )]
    NoContext,
    /// The job panicked; the message is the panic's.
    #[error("a compute job panicked: {0}")]
    Panicked(String),
    /// The queue holds as many jobs as its limit says.
    #[error("queueing a compute job: {0} jobs are waiting already")]
    QueueFull(usize),
    /// The job was cancelled before it ran.
    #[error("a compute job was cancelled before it ran")]
    Cancelled,
}

/// The words of a caught panic.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
