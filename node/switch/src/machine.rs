//! What this process may use of its machine, where the system tells.

/// Memory in bytes.
pub(crate) fn memory() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = all.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let bytes = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)?;
    // A container may have less; `max` there is no number.
    let cap = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(bytes.min(cap.unwrap_or(u64::MAX)))
}

/// Sockets and files at once.
#[cfg(unix)]
pub(crate) fn descriptors() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// Sockets and files at once: the system sets no limit.
#[cfg(not(unix))]
pub(crate) fn descriptors() -> Option<u64> {
    None
}
