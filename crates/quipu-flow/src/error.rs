//! The two kinds of error: one item's ([`ItemError`], reported in a [`Failed`]) and a whole run's ([`RunError`]).

use crate::machine::Position;
use crate::report::Report;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// What user functions may return as an error: anything that turns into this.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why one item did not get through its stage.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The user's function said so. All members of a failed batch share one error.
    #[error(transparent)]
    User(Arc<dyn Error + Send + Sync>),
    /// The user's function panicked; the message is the panic's.
    #[error("panicked: {0}")]
    Panic(String),
    /// An io took longer than its `.timeout(…)`.
    #[error("timed out after {0:?}")]
    TimedOut(Duration),
    /// A `route` chose a branch that there is not.
    #[error("routed to branch {way} of {count}")]
    NoRoute {
        /// The number that it chose.
        way: usize,
        /// How many branches there are.
        count: usize,
    },
    /// A `map_batch` answered with another number of items than it was given.
    #[error("a batch of {given} items came back as {returned}")]
    WrongLength {
        /// Items that the function got.
        given: usize,
        /// Items that it returned.
        returned: usize,
    },
}

impl ItemError {
    pub(crate) fn user(error: impl Into<BoxError>) -> Self {
        Self::User(Arc::from(error.into()))
    }

    /// The user's own error, where this is one and of that type.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::User(error) => error.downcast_ref::<E>(),
            _ => None,
        }
    }
}

/// One item that failed, as error policies see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failed {
    /// The name that the last `.key(…)` before the failure gave the item.
    pub key: Option<String>,
    /// Where in the source's order the item stands.
    pub position: Position,
    /// The stage that failed.
    pub stage: String,
    /// Why.
    pub error: ItemError,
    /// How often it was tried.
    pub attempts: u32,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stage '{}', item {}: {}", self.stage, self.name(), self.error)
    }
}

/// Its text has its error's in it, so what comes next is what caused that.
impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl Failed {
    fn name(&self) -> String {
        self.key.clone().unwrap_or_else(|| self.position.to_string())
    }
}

/// Why a run did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A limit, size or count was zero. Only a memory budget may be.
    #[error("compiling the flow: {what} of stage '{stage}' must not be zero")]
    ZeroLimit {
        /// The stage; `run` for a setting of the whole run.
        stage: String,
        /// The setting.
        what: &'static str,
    },
    /// A graph that cannot be, or could not be held to its laws.
    #[error("compiling the flow: stage '{stage}' {why}")]
    Refused {
        /// The stage.
        stage: String,
        /// What is wrong with it, and what to do instead.
        why: &'static str,
    },
    /// There is no Tokio runtime around the call.
    #[error(
        "starting the flow: no Tokio runtime here; call it inside `#[tokio::main]` or `Runtime::block_on`"
    )]
    NoRuntime,
    /// [`run_blocking`](crate::Pipeline::run_blocking) was called in async code, whose thread other tasks need.
    #[error("starting the flow: waiting here would hold up a Tokio runtime; in async code, await `run()`")]
    WouldBlock,
    /// The runtime that serves blocking calls could not be started.
    #[error("starting a runtime for the flow")]
    Runtime(#[source] std::io::Error),
    /// The default pool of cores could not be started.
    #[error("starting the pool of cores")]
    Pool(#[from] quipu_compute::ComputeError),
    /// The operating system refused a device stage its thread.
    #[error("starting a device's thread")]
    DeviceThread(#[source] std::io::Error),
    /// An item failed under [`OnError::Stop`](crate::OnError::Stop), or a dead-letter sink refused one.
    #[error("the run was stopped by an item")]
    Failed {
        /// The item.
        #[source]
        failed: Box<Failed>,
        /// What the run had done until then.
        report: Box<Report>,
    },
}
