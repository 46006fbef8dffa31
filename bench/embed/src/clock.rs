//! CPU time. Other work on the machine costs little in it; the time of day is taken where cores are to be shared.

use std::time::Duration;

pub(crate) use quipu_embed::measure::thread_time as thread;
use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads of this process: libraries keep threads of their own.
pub(crate) fn process() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
