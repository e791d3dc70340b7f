//! What a process has used so far.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
    },
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

/// Bytes that streams whose content nobody looks at have taken.
static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// What tells how long polls take, where a stack measures that.
static POLLS: OnceLock<Box<dyn Fn() -> Duration + Send + Sync>> = OnceLock::new();

/// Has [`Usage::now`] tell what `longest` says: how long a stack kept a thread at a time, save for one time in a
/// thousand. For stacks that measure it. The first call counts.
pub fn tell_polls(longest: impl Fn() -> Duration + Send + Sync + 'static) {
    let _first = POLLS.set(Box::new(longest));
}

/// Counts what such a stream took.
pub(crate) fn count_received(bytes: usize) {
    RECEIVED.fetch_add(bytes as u64, Relaxed);
}

/// What this process has used since it started. The difference of two is what happened in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When: microseconds of the machine's monotonic clock, which all its processes share.
    pub now_us: u64,
    /// Microseconds that the process ran, on all processors.
    pub cpu_user_us: u64,
    /// Microseconds that the kernel ran for it.
    pub cpu_sys_us: u64,
    /// Memory that it holds now, in KiB; 0 where the system does not tell.
    pub rss_kib: u64,
    /// Bytes that it took in bulk: in the server all that clients upload, in the client all that it downloads.
    pub received: u64,
    /// What [`tell_polls`] was given, in nanoseconds; 0 for stacks that don't measure it.
    #[serde(default)]
    pub polls_ns: u64,
}

impl Usage {
    /// What has been used by now. Zeroes where the system does not tell.
    pub fn now() -> Self {
        // The clock and what is counted against it first and close together; reading the memory takes longer.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok();
        let received = RECEIVED.load(Relaxed);
        let cpu = getrusage(UsageWho::RUSAGE_SELF).ok();
        Self {
            now_us: now.map_or(0, |now| now.tv_sec() as u64 * 1_000_000 + now.tv_nsec() as u64 / 1_000),
            cpu_user_us: cpu.map_or(0, |cpu| micros(cpu.user_time())),
            cpu_sys_us: cpu.map_or(0, |cpu| micros(cpu.system_time())),
            rss_kib: rss_kib().unwrap_or_default(),
            received,
            polls_ns: POLLS.get().map_or(0, |longest| longest().as_nanos() as u64),
        }
    }
}

fn micros(time: TimeVal) -> u64 {
    time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64
}

fn rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_grows() {
        let before = Usage::now();
        count_received(7);
        let after = Usage::now();
        assert!(after.received >= before.received + 7);
        assert!(after.now_us >= before.now_us);
        assert!(after.cpu_user_us + after.cpu_sys_us >= before.cpu_user_us + before.cpu_sys_us);
        assert!(after.rss_kib > 0 || !cfg!(target_os = "linux"));
    }
}
