//! How much memory a process has for itself.
//!
//! Private memory, not address space: allocators and thread stacks reserve far more than they use, and what is
//! shared with other processes (the program's own code) is nobody's excess.

/// Bytes of private memory of a process; nothing where the system does not tell (only Linux does, here).
#[cfg(target_os = "linux")]
pub(super) fn private_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Resident anonymous pages: what is resident less file pages and shared memory.
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Bytes of private memory of a process: unknown on this system, so that its limit is not enforced.
#[cfg(not(target_os = "linux"))]
pub(super) fn private_bytes(_pid: u32) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_counts() {
        let own = std::process::id();
        let before = private_bytes(own).unwrap();
        let block = vec![1_u8; 64 << 20];
        let after = private_bytes(own).unwrap();
        assert!(after >= before + (60 << 20), "{before} → {after}, {}", block.len());
        assert_eq!(private_bytes(u32::MAX), None);
    }
}
