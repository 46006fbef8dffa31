//! One budget in bytes: how it is divided between documents under way and worker processes, and what a run
//! really took.

use std::fs;

/// A worker process gets at least this much private memory.
pub const WORKER_BYTES_MIN: u64 = 128 << 20;

/// A worker process gets at most this much: what a parser needs beyond it is a document gone wrong.
const WORKER_BYTES_MAX: u64 = 1 << 30;

/// A document on its way takes up to this many times its file's size: bytes, text, chunks with their tokens.
const BYTES_PER_FILE_BYTE: u64 = 4;

/// Where nothing is said: at most this much, and a quarter of what is free.
const DEFAULT_BYTES_MAX: u64 = 1 << 30;

/// How `--memory` is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// For documents under way: the engine's budget.
    pub documents_bytes: u64,
    /// Worker processes at most.
    pub workers: usize,
    /// Private memory of each.
    pub worker_bytes: u64,
}

impl Division {
    /// Divides `memory_bytes`: half at most for workers, one per core as long as each gets [`WORKER_BYTES_MIN`],
    /// the rest for documents. One worker there is always.
    pub fn of(memory_bytes: u64, cores: usize) -> Self {
        let half = memory_bytes / 2;
        let workers = (half / WORKER_BYTES_MIN).clamp(1, cores.max(1) as u64);
        let worker_bytes = (half / workers).clamp(WORKER_BYTES_MIN, WORKER_BYTES_MAX);
        Self {
            documents_bytes: memory_bytes.saturating_sub(workers * worker_bytes),
            workers: workers as usize,
            worker_bytes,
        }
    }

    /// Largest file that the documents' share can hold while it is worked on. Never none: with no budget at all
    /// files still go through, one after another.
    pub fn file_bytes_max(&self) -> u64 {
        (self.documents_bytes / BYTES_PER_FILE_BYTE).max(1 << 20)
    }
}

/// The budget of a run that was given none: a quarter of what is free, at most 1 GiB.
pub fn default_bytes() -> u64 {
    free_bytes().map_or(DEFAULT_BYTES_MAX, |free| (free / 4).min(DEFAULT_BYTES_MAX))
}

/// What the machine, or the control group that this process is in, has free.
fn free_bytes() -> Option<u64> {
    let machine = line_kib("/proc/meminfo", "MemAvailable:");
    let read =
        |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let group = read("memory.max").and_then(|most| Some(most.saturating_sub(read("memory.current")?)));
    machine.into_iter().chain(group).min()
}

/// Memory of this process and of `others` together: proportional set size, which counts a shared page once.
/// `None` where the system does not tell.
pub fn together_bytes(others: &[u32]) -> Option<u64> {
    let own = pss_bytes("self")?;
    Some(own + others.iter().filter_map(|pid| pss_bytes(&pid.to_string())).sum::<u64>())
}

fn pss_bytes(process: &str) -> Option<u64> {
    line_kib(&format!("/proc/{process}/smaps_rollup"), "Pss:")
}

/// The value of a line such as `Pss:   1234 kB`, in bytes.
fn line_kib(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_at_most_half_and_are_at_least_one() {
        let mib = |division: Division| {
            (division.documents_bytes >> 20, division.workers, division.worker_bytes >> 20)
        };
        assert_eq!(mib(Division::of(256 << 20, 2)), (128, 1, 128));
        assert_eq!(mib(Division::of(1 << 30, 2)), (512, 2, 256));
        assert_eq!(mib(Division::of(1 << 30, 64)), (512, 4, 128));
        assert_eq!(mib(Division::of(0, 8)), (0, 1, 128));
        assert_eq!(mib(Division::of(64 << 30, 2)), (62 << 10, 2, 1024));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_allocated_is_seen() {
        let before = together_bytes(&[]).expect("Linux tells");
        let held = vec![1_u8; 64 << 20];
        let after = together_bytes(&[]).expect("Linux tells");
        assert!(after >= before + (60 << 20), "{before} {after} {}", held.len());
    }
}
