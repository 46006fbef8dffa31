//! Pinning workers to cores, where the operating system lets a thread choose (Linux).

use crate::error::ComputeError;

/// The cores that this process may use.
pub(crate) struct Cores {
    #[cfg(target_os = "linux")]
    usable: Vec<usize>,
}

#[cfg(target_os = "linux")]
impl Cores {
    /// Asks for this thread's affinity, which its workers would inherit.
    pub(crate) fn usable() -> Result<Self, ComputeError> {
        let set =
            rustix::thread::sched_getaffinity(None).map_err(|error| ComputeError::Pinning(error.into()))?;
        let usable = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect();
        Ok(Self { usable })
    }

    /// Pins this thread; more workers than cores go round.
    pub(crate) fn pin(&self, worker: usize) -> Result<(), ComputeError> {
        let mut set = rustix::thread::CpuSet::new();
        set.set(self.usable[worker % self.usable.len()]);
        rustix::thread::sched_setaffinity(None, &set).map_err(|error| ComputeError::Pinning(error.into()))
    }
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    pub(crate) fn usable() -> Result<Self, ComputeError> {
        Err(ComputeError::Pinning(std::io::ErrorKind::Unsupported.into()))
    }

    pub(crate) fn pin(&self, _worker: usize) -> Result<(), ComputeError> {
        Err(ComputeError::Pinning(std::io::ErrorKind::Unsupported.into()))
    }
}
