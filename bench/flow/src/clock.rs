//! CPU time: of this thread, to burn so much of it; of this process, to see what an idle pool takes.
#![allow(dead_code, reason = "the Dynamo program includes this file for its process clock alone")]

use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// Rounds of arithmetic between two looks at the clock: some microseconds.
const ROUNDS: u64 = 4_000;

/// CPU time that this thread has had.
pub(crate) fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// CPU time that all threads of this process have had.
pub(crate) fn of_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// Computes until this thread has had `time` more of a core, however long that takes by the wall.
pub(crate) fn burn(time: Duration) {
    let end = of_thread() + time;
    let mut state = 1_u64;
    while of_thread() < end {
        for _ in 0..ROUNDS {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
