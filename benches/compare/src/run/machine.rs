//! The conditions that a whole comparison ran under.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use super::Pauses;

/// What was measured on, and with.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// The operating system.
    pub kernel: String,
    /// What TCP sends by.
    pub congestion_control: String,
    /// What it takes from threads that could run.
    pub pauses: Pauses,
    /// What every program allocates with.
    pub allocator: &'static str,
    /// What compiled this program.
    pub rustc: &'static str,
    /// The profile that this program was built with; figures mean something with `dist`.
    pub profile: &'static str,
    /// What each stack is.
    pub versions: BTreeMap<String, String>,
}

const UNKNOWN: &str = "unknown";

impl Machine {
    /// Whether this program was built for speed.
    pub fn is_fast(&self) -> bool {
        self.profile == "dist"
    }

    /// This one.
    pub fn here(versions: BTreeMap<String, String>, pauses: Pauses) -> Self {
        Self {
            cpu: stackwire_machine::processor().unwrap_or_else(unknown),
            cores: stackwire_machine::cores(),
            kernel: line("/proc/sys/kernel/osrelease").map_or_else(unknown, |release| {
                format!("{} {release}", line("/proc/sys/kernel/ostype").unwrap_or_default()).trim().to_string()
            }),
            congestion_control: line("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_else(unknown),
            pauses,
            allocator: "the system's, unchanged",
            rustc: env!("BENCH_RUSTC"),
            profile: env!("BENCH_PROFILE"),
            versions,
        }
    }
}

fn unknown() -> String {
    UNKNOWN.to_string()
}

fn line(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(|line| line.trim().to_string())
}
