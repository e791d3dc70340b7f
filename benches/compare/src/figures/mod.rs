//! What is measured: the figures of one run, and what several runs make of one.

mod derive;
mod summary;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use stackwire_contest::Usage;
#[cfg(test)]
use stackwire_contest::Workload;

pub use self::{derive::figures, summary::Summary};
use crate::link::Seen;

/// Everything that one run has told.
#[derive(Debug, Default)]
pub struct Run {
    /// What client and server had used at each phase.
    pub phases: BTreeMap<String, Both>,
    /// What the server had used at the end.
    pub after: Option<Usage>,
    /// What the client measured.
    pub result: Value,
    /// What the link saw, where there was one.
    pub seen: Option<Seen>,
    /// Time of one round trip on the link, in milliseconds.
    pub round_trip_ms: f64,
}

/// Both sides at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Both {
    /// Who dialed.
    pub client: Usage,
    /// Who was dialed.
    pub server: Usage,
}

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Payload that the receiver takes.
    Rate,
    /// Calls, connections or pings done.
    PerSecond,
    /// The half of them took no longer.
    P50,
    /// 99 of 100 took no longer.
    P99,
    /// 999 of 1000 took no longer.
    P999,
    /// The quickest.
    Min,
    /// From the dial until the first byte was back, the half of them.
    FirstByte,
    /// Round trips until then.
    RoundTrips,
    /// What remains of what there was alone.
    Kept,
    /// What the server's memory grew by for each connection.
    Memory,
    /// Processor time of the sender for each GiB.
    CpuSender,
    /// Processor time of the receiver for each GiB.
    CpuReceiver,
    /// Processor time of the client for each call or connection.
    CpuClient,
    /// Processor time of the server for each call or connection.
    CpuServer,
    /// How long a connection or one of its streams kept a thread; 999 of 1000 times no longer. Of both sides the longer.
    Polls,
    /// The server's memory at the end.
    Rss,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
}

impl Better {
    /// Whether `value` is at least as good as `goal`.
    pub fn meets(self, value: f64, goal: f64) -> bool {
        match self {
            Better::Higher => value >= goal,
            Better::Lower => value <= goal,
        }
    }

    /// As in "≥ 1.8".
    pub fn sign(self) -> char {
        match self {
            Better::Higher => '≥',
            Better::Lower => '≤',
        }
    }
}

impl Figure {
    /// Which way is better.
    pub fn better(self) -> Better {
        match self {
            Figure::Rate | Figure::PerSecond | Figure::Kept => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            Figure::Rate => "rate",
            Figure::PerSecond => "per second",
            Figure::P50 => "p50",
            Figure::P99 => "p99",
            Figure::P999 => "p99.9",
            Figure::Min => "least",
            Figure::FirstByte => "first byte",
            Figure::RoundTrips => "round trips",
            Figure::Kept => "kept",
            Figure::Memory => "memory",
            Figure::CpuSender => "cpu, sender",
            Figure::CpuReceiver => "cpu, receiver",
            Figure::CpuClient => "cpu, client",
            Figure::CpuServer => "cpu, server",
            Figure::Polls => "p99.9 of polls",
            Figure::Rss => "server's memory",
        }
    }

    /// What it is counted in; nothing where it is a number of things or a share.
    pub fn unit(self) -> &'static str {
        match self {
            Figure::Rate => "Gbit/s",
            Figure::PerSecond => "/s",
            Figure::P50 | Figure::P99 | Figure::P999 | Figure::Min => "µs",
            Figure::CpuClient | Figure::CpuServer | Figure::Polls => "µs",
            Figure::FirstByte => "ms",
            Figure::RoundTrips | Figure::Kept => "",
            Figure::Memory => "KiB",
            Figure::CpuSender | Figure::CpuReceiver => "s/GiB",
            Figure::Rss => "MiB",
        }
    }

    /// Whether runs of `workload` tell it.
    #[cfg(test)]
    pub fn measured_by(self, workload: &Workload, link: bool) -> bool {
        match workload {
            Workload::Bulk { .. } => matches!(self, Figure::Rate | Figure::CpuSender | Figure::CpuReceiver),
            Workload::PingPong { .. } => matches!(self, Figure::P50 | Figure::P99 | Figure::Min),
            Workload::Rpc { .. } | Workload::Connect { .. } => matches!(
                self,
                Figure::PerSecond | Figure::P50 | Figure::P99 | Figure::Min | Figure::CpuClient | Figure::CpuServer
            ),
            Workload::Idle { .. } => self == Figure::Memory,
            Workload::Beside { .. } => {
                matches!(self, Figure::P50 | Figure::P99 | Figure::P999 | Figure::Kept | Figure::Rate | Figure::Polls)
            }
            Workload::FirstByte { .. } => self == Figure::FirstByte || link && self == Figure::RoundTrips,
            Workload::Crowd { .. } => matches!(self, Figure::Kept | Figure::PerSecond),
        }
    }

    /// A value of it for people, with its unit.
    pub fn text(self, value: f64) -> String {
        let number = match value.abs() {
            _ if self == Figure::RoundTrips => format!("{value:.0}"),
            v if v >= 1_000.0 => thousands(value),
            v if v >= 100.0 => format!("{value:.0}"),
            v if v >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.2}"),
        };
        match self.unit() {
            "" => number,
            "/s" => format!("{number}/s"),
            unit => format!("{number} {unit}"),
        }
    }
}

/// A large number in groups of three.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_string() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_for_people() {
        for (figure, value, text) in [
            (Figure::Rate, 12.34, "12.3 Gbit/s"),
            (Figure::PerSecond, 163_070.4, "163 070/s"),
            (Figure::P50, 0.5, "0.50 µs"),
            (Figure::RoundTrips, 3.0, "3"),
            (Figure::Kept, 0.934, "0.93"),
            (Figure::Memory, -1234.0, "-1 234 KiB"),
        ] {
            assert_eq!(figure.text(value), text);
        }
    }
}
