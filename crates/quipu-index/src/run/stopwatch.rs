//! How long something took on a core. A thread's CPU time says that also where others want the core. On Linux its clock is
//! exact; the scheduler's file beside it is written at ticks only, and has nothing of what takes half a millisecond.
//! Elsewhere wall time has to do.

use std::time::Instant;

/// A measurement that has begun, of the thread that began it.
pub(crate) struct Stopwatch {
    began: Instant,
    cpu_ns: Option<u64>,
}

impl Stopwatch {
    /// Measures CPU time, where the system tells.
    pub(crate) fn of_this_core() -> Self {
        Self { cpu_ns: cpu_ns(), ..Self::of_the_wall() }
    }

    /// Measures wall time.
    pub(crate) fn of_the_wall() -> Self {
        Self { began: Instant::now(), cpu_ns: None }
    }

    /// Nanoseconds since it began.
    pub(crate) fn ns(&self) -> u64 {
        let wall = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match (self.cpu_ns, cpu_ns()) {
            (Some(began), Some(now)) => now.saturating_sub(began),
            _ => wall,
        }
    }
}

/// CPU time of this thread.
#[cfg(target_os = "linux")]
fn cpu_ns() -> Option<u64> {
    u64::try_from(quipu_embed::measure::thread_time().as_nanos()).ok()
}

/// Unknown here.
#[cfg(not(target_os = "linux"))]
fn cpu_ns() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_time_on_the_wall_alone() {
        let (core, wall) = (Stopwatch::of_this_core(), Stopwatch::of_the_wall());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(wall.ns() >= 50_000_000);
        assert!(cpu_ns().is_none() || core.ns() < 40_000_000, "{}", core.ns());
    }
}
