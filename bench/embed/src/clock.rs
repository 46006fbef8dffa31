//! CPU time. Other work on the machine costs little in it; the time of day is taken where cores are to be shared.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads of this process: libraries keep threads of their own.
pub(crate) fn process() -> Duration {
    at(ClockId::ProcessCPUTime)
}

/// CPU time of this thread.
pub(crate) fn thread() -> Duration {
    at(ClockId::ThreadCPUTime)
}

fn at(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap_or_default()
}
