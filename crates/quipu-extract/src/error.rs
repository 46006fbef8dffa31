//! Why a document has no text ([`ExtractError`]): what its bytes did, or what its worker process did.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Format;

/// Why extraction failed. All but [`ExtractError::Io`] can cross from a worker process to the pool.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExtractError {
    /// The bytes break the rules of their format.
    #[error("reading {format}: {message}")]
    Parse {
        /// What the bytes were taken for.
        format: Format,
        /// What the parser met.
        message: String,
    },
    /// A parser panicked; the panic was contained.
    #[error("reading {format}: the parser panicked: {message}")]
    Panicked {
        /// What the bytes were taken for.
        format: Format,
        /// What it said.
        message: String,
    },
    /// No reader for this format.
    #[error("no reader for {0}")]
    Unsupported(Format),
    /// A named limit was passed.
    #[error("larger than {limit} allows ({limit_value})")]
    TooLarge {
        /// The field of [`crate::Limits`] or constant that was passed.
        limit: Cow<'static, str>,
        /// Its value, in the unit of its name.
        limit_value: u64,
    },
    /// The document is encrypted, and the empty password does not open it.
    #[error("{0} is encrypted")]
    Encrypted(Format),
    /// Nothing is in the bytes.
    #[error("{0} is empty")]
    Empty(Format),
    /// The worker did not finish in time and was killed.
    #[error("not finished after {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The worker's private memory passed its limit and it was killed.
    #[error("took more than {limit_bytes} bytes of memory")]
    Memory {
        /// The limit, in bytes of private memory.
        limit_bytes: u64,
    },
    /// The worker ended, or spoke no sense, before it had answered.
    #[error("the worker crashed: {how}")]
    Crashed {
        /// Signal or exit code, and the last line that it wrote to standard error.
        how: String,
    },
    /// A worker could not be started or spoken to.
    #[error("{doing}")]
    #[serde(skip)]
    Io {
        /// What was being done.
        doing: Cow<'static, str>,
        /// What the system said.
        source: io::Error,
    },
}

impl ExtractError {
    pub(crate) fn parse(format: Format, message: impl ToString) -> Self {
        ExtractError::Parse { format, message: message.to_string() }
    }

    pub(crate) fn too_large(limit: &'static str, limit_value: u64) -> Self {
        ExtractError::TooLarge { limit: Cow::Borrowed(limit), limit_value }
    }

    /// Whether another try might end differently: the machine, not the bytes, may have been at fault.
    pub fn is_transient(&self) -> bool {
        use ExtractError::*;
        matches!(self, Timeout(_) | Memory { .. } | Crashed { .. } | Io { .. })
    }
}
