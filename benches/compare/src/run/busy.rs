//! How busy the machine was with other things while we measured.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

/// A second of `/proc/stat`.
const TICKS: f64 = 100.0;

/// How busy a machine was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Busy {
    /// The share of all processors that others used; none where the system does not tell.
    pub others: Option<f64>,
    /// The load average of the last minute at the end; none where the system does not tell.
    pub load: Option<f64>,
}

/// Measures it from its start.
pub struct Meter {
    since: Instant,
    machine: Option<f64>,
    ours: f64,
}

impl Meter {
    /// Begins.
    pub fn start() -> Self {
        Self { since: Instant::now(), machine: machine_seconds(), ours: our_seconds() }
    }

    /// Ends. Processes of ours that still run then count as others.
    pub fn stop(self) -> Busy {
        let cores = stackwire_machine::cores() as f64;
        let room = self.since.elapsed().as_secs_f64() * cores;
        let others = match (self.machine, machine_seconds()) {
            (Some(start), Some(end)) if room > 0.0 => {
                let used = (end - start) - (our_seconds() - self.ours);
                Some((used / room).clamp(0.0, 1.0))
            }
            _ => None,
        };
        Busy { others, load: stackwire_machine::load() }
    }
}

/// Processor seconds that the machine has spent on anything.
fn machine_seconds() -> Option<f64> {
    busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?).map(|ticks| ticks / TICKS)
}

fn busy_ticks(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().map_while(|number| number.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let [user, nice, system, _idle, _iowait, irq, softirq, steal] = *ticks.get(..8)? else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

/// Processor seconds of ours, and of children that have ended.
fn our_seconds() -> f64 {
    let of = |who| {
        getrusage(who).map_or(0.0, |usage| {
            let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
            seconds(usage.user_time()) + seconds(usage.system_time())
        })
    };
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

impl Busy {
    /// The busiest of several.
    pub fn worst(all: &[Busy]) -> Busy {
        let most = |of: fn(&Busy) -> Option<f64>| all.iter().filter_map(of).reduce(f64::max);
        Busy { others: most(|busy| busy.others), load: most(|busy| busy.load) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        assert_eq!(busy_ticks("cpu  10 20 30 1000 500 1 2 3 7 8\ncpu0 1 2 3\n"), Some(66.0));
        for strange in ["", "cpu  1 2 3\n", "intr 1\n"] {
            assert_eq!(busy_ticks(strange), None);
        }
    }

    #[test]
    fn the_worst_counts() {
        let busy = |others, load| Busy { others, load: Some(load) };
        let worst = Busy::worst(&[busy(Some(0.1), 2.0), busy(None, 1.0)]);
        assert_eq!(worst, busy(Some(0.1), 2.0));
        assert_eq!(Busy::worst(&[]), Busy::default());
    }
}
