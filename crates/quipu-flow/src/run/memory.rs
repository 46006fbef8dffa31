//! How much memory a run may take when nobody says: what the machine and its cgroup have free.

use std::fs;
use std::path::Path;

/// Not more than this unless `.memory(…)` says so.
const BUDGET_BYTES_MAX: u64 = 1 << 30;

/// The share of the free memory that a run takes by default.
const FREE_SHARE_DIVISOR: u64 = 4;

/// The smaller of 1 GiB and a quarter of what is free.
pub(crate) fn default_budget() -> u64 {
    let free = [machine_free(), cgroup_free()].into_iter().flatten().min();
    free.map_or(BUDGET_BYTES_MAX, |free| (free / FREE_SHARE_DIVISOR).min(BUDGET_BYTES_MAX))
}

fn machine_free() -> Option<u64> {
    available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Limit less use, of this process's cgroup and those above it; version 2, then version 1.
fn cgroup_free() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let mut folder = root.join(own);
    let mut free = None::<u64>;
    while folder.starts_with(root) {
        let here = limit_less_use(&folder.join("memory.max"), &folder.join("memory.current"));
        free = [free, here].into_iter().flatten().min();
        if !folder.pop() {
            break;
        }
    }
    let old = root.join("memory");
    free.or_else(|| limit_less_use(&old.join("memory.limit_in_bytes"), &old.join("memory.usage_in_bytes")))
}

/// `None` where there is no limit: version 2 says `max` then, version 1 a number beyond any memory.
fn limit_less_use(limit: &Path, used: &Path) -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    Some(read(limit)?.saturating_sub(read(used)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_bytes() {
        assert_eq!(available("MemTotal:  9 kB\nMemAvailable:     512 kB\n"), Some(512 * 1024));
        assert_eq!(available("MemTotal:  9 kB\n"), None);
    }

    #[test]
    fn the_default_is_never_more_than_its_limit() {
        assert!(default_budget() <= BUDGET_BYTES_MAX);
    }
}
