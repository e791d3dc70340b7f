//! How long a measurement takes.

use std::time::Duration;

use stackwire_contest::Workload;

/// How long measurements take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As long as figures need to settle.
    Full,
    /// Long enough to see that everything works.
    Quick,
}

/// The longest warm-up, the longest measurement and the longest settling of a quick run.
const QUICK_MS: [u64; 3] = [100, 300, 300];
/// The most of anything that is counted.
const QUICK_COUNT: usize = 40;
/// The most bytes.
const QUICK_BYTES: u64 = 256 << 10;
/// What a run may take beyond what its workload says: starting, dialing, a machine under load.
const GRACE: Duration = Duration::from_secs(60);

impl Pace {
    /// The workload at this pace.
    pub fn of(self, workload: &Workload) -> Workload {
        let mut workload = workload.clone();
        if self == Pace::Full {
            return workload;
        }
        let [warm, run, settle] = QUICK_MS;
        match &mut workload {
            Workload::Bulk { warmup_ms, ms, .. }
            | Workload::PingPong { warmup_ms, ms, .. }
            | Workload::Rpc { warmup_ms, ms, .. }
            | Workload::Connect { warmup_ms, ms, .. }
            | Workload::Beside { warmup_ms, ms, .. } => {
                *warmup_ms = warm.min(*warmup_ms);
                *ms = run.min(*ms);
            }
            Workload::Idle { connections, bulk_bytes, settle_ms } => {
                *connections = QUICK_COUNT.min(*connections);
                *bulk_bytes = QUICK_BYTES.min(*bulk_bytes);
                *settle_ms = settle.min(*settle_ms);
            }
            Workload::FirstByte { count } => *count = 2.min(*count),
            Workload::Crowd { idle, busy, ms, .. } => {
                *idle = (4 * QUICK_COUNT).min(*idle);
                *busy = 4.min(*busy);
                *ms = run.min(*ms);
            }
        }
        workload
    }
}

/// How long a run of `workload` may take before it counts as hung; `round_trip` is the link's.
pub fn time_limit(workload: &Workload, round_trip: Duration) -> Duration {
    let nominal = match workload {
        Workload::Bulk { warmup_ms, ms, .. }
        | Workload::PingPong { warmup_ms, ms, .. }
        | Workload::Rpc { warmup_ms, ms, .. }
        | Workload::Connect { warmup_ms, ms, .. } => Duration::from_millis(warmup_ms + ms),
        Workload::Beside { warmup_ms, ms, .. } => Duration::from_millis(2 * (warmup_ms + ms)),
        // A slow rival makes a hundred connections a second.
        Workload::Idle { connections, settle_ms, .. } => Duration::from_millis(settle_ms + 10 * *connections as u64),
        Workload::FirstByte { count } => round_trip * 20 * (*count as u32),
        Workload::Crowd { idle, busy, ms, .. } => Duration::from_millis(2 * ms + 10 * (idle + busy) as u64),
    };
    2 * nominal + GRACE
}
