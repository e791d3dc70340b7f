//! From what a run has told to its figures.

use std::collections::BTreeMap;

use serde_json::Value;
use stackwire_contest::{Direction, Result, Usage, Workload};

use super::{Both, Figure, Run};

const GIB: f64 = (1u64 << 30) as f64;

/// The figures of a run of `workload`.
pub fn figures(workload: &Workload, run: &Run) -> Result<BTreeMap<Figure, f64>> {
    let mut all = BTreeMap::new();
    match *workload {
        Workload::Bulk { direction, .. } => {
            let [sender, receiver] = run.between("start", "end")?.sides(direction);
            let received = receiver.received()?;
            all.insert(Figure::Rate, receiver.rate()?);
            all.insert(Figure::CpuSender, sender.cpu() / (received / GIB));
            all.insert(Figure::CpuReceiver, receiver.cpu() / (received / GIB));
        }
        Workload::PingPong { .. } => {
            for (figure, key) in [(Figure::P50, "p50_us"), (Figure::P99, "p99_us"), (Figure::Min, "min_us")] {
                all.insert(figure, run.result(key)?);
            }
        }
        Workload::Rpc { .. } | Workload::Connect { .. } => {
            for (figure, key) in [
                (Figure::PerSecond, "per_second"),
                (Figure::P50, "p50_us"),
                (Figure::P99, "p99_us"),
                (Figure::Min, "min_us"),
            ] {
                all.insert(figure, run.result(key)?);
            }
            let (count, span) = (run.result("count")?.max(1.0), run.between("start", "end")?);
            all.insert(Figure::CpuClient, span.client.cpu() * 1e6 / count);
            all.insert(Figure::CpuServer, span.server.cpu() * 1e6 / count);
        }
        Workload::Idle { connections, .. } => {
            let (before, idle) = (run.phase("before")?.server.rss_kib, run.phase("idle")?.server.rss_kib);
            all.insert(Figure::Memory, (idle as f64 - before as f64) / connections.max(1) as f64);
        }
        Workload::Beside { direction, .. } => {
            for (figure, key) in [(Figure::P50, "p50_us"), (Figure::P99, "p99_us"), (Figure::P999, "p999_us")] {
                all.insert(figure, run.result(key)?);
            }
            let [_, alone] = run.between("alone_start", "alone_end")?.sides(direction);
            let [_, beside] = run.between("start", "end")?.sides(direction);
            all.insert(Figure::Rate, beside.rate()?);
            all.insert(Figure::Kept, beside.rate()? / alone.rate()?);
            let end = run.phase("end")?;
            let polls = end.client.polls_ns.max(end.server.polls_ns);
            all.extend((polls > 0).then_some((Figure::Polls, polls as f64 / 1e3)));
        }
        Workload::FirstByte { .. } => {
            let first_byte = run.result("p50_us")? / 1e3;
            all.insert(Figure::FirstByte, first_byte);
            all.extend(round_trips(run, first_byte).map(|trips| (Figure::RoundTrips, trips)));
        }
        Workload::Crowd { .. } => {
            let (alone, beside) = (run.result("alone_per_second")?, run.result("beside_per_second")?);
            all.insert(Figure::PerSecond, beside);
            all.insert(Figure::Kept, beside / alone);
        }
    }
    if let Some(after) = &run.after {
        all.insert(Figure::Rss, after.rss_kib as f64 / 1024.0);
    }
    match all.iter().find(|(_, value)| !value.is_finite()) {
        Some((figure, _)) => Err(format!("nothing was measured of which there is a {}", figure.label()).into()),
        None => Ok(all),
    }
}

/// How many round trips were over when the first byte was back: in the median of the connections. What came half a
/// round trip later was not waited for.
fn round_trips(run: &Run, first_byte_ms: f64) -> Option<f64> {
    let until = first_byte_ms + run.round_trip_ms / 2.0;
    let seen = run.seen.as_ref()?.reached_ms.iter();
    let mut counts: Vec<usize> = seen.map(|trips| trips.iter().filter(|at| **at <= until).count()).collect();
    counts.sort_unstable();
    counts.get(counts.len() / 2).map(|count| *count as f64)
}

impl Run {
    fn phase(&self, name: &str) -> Result<Both> {
        self.phases.get(name).copied().ok_or_else(|| format!("the client never said `{name}`").into())
    }

    fn between(&self, start: &str, end: &str) -> Result<Span> {
        let (start, end) = (self.phase(start)?, self.phase(end)?);
        let side = |start: Usage, end: Usage| Side { start, end };
        Ok(Span { client: side(start.client, end.client), server: side(start.server, end.server) })
    }

    fn result(&self, key: &str) -> Result<f64> {
        self.result.get(key).and_then(Value::as_f64).ok_or_else(|| format!("the client's result has no `{key}`").into())
    }
}

/// Two moments of both sides.
struct Span {
    client: Side,
    server: Side,
}

/// Two moments of one side.
#[derive(Clone, Copy)]
struct Side {
    start: Usage,
    end: Usage,
}

impl Span {
    /// Sender and receiver.
    fn sides(&self, direction: Direction) -> [Side; 2] {
        match direction {
            Direction::Up => [self.client, self.server],
            Direction::Down => [self.server, self.client],
        }
    }
}

impl Side {
    /// Seconds of processor time.
    fn cpu(&self) -> f64 {
        let cpu = |usage: &Usage| usage.cpu_user_us + usage.cpu_sys_us;
        cpu(&self.end).saturating_sub(cpu(&self.start)) as f64 / 1e6
    }

    /// Bytes.
    fn received(&self) -> Result<f64> {
        match self.end.received.saturating_sub(self.start.received) {
            0 => Err("nothing was received".into()),
            bytes => Ok(bytes as f64),
        }
    }

    /// Gigabits a second.
    fn rate(&self) -> Result<f64> {
        let us = self.end.now_us.saturating_sub(self.start.now_us);
        Ok(self.received()? * 8.0 / 1e3 / us as f64)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::link::Seen;

    fn usage(now_us: u64, cpu_us: u64, received: u64) -> Usage {
        serde_json::from_value(json!({
            "now_us": now_us, "cpu_user_us": cpu_us, "cpu_sys_us": 0, "rss_kib": received, "received": received
        }))
        .unwrap()
    }

    fn run(phases: &[(&str, Usage, Usage)], result: Value) -> Run {
        let phases =
            phases.iter().map(|(name, client, server)| (name.to_string(), Both { client: *client, server: *server }));
        Run { phases: phases.collect(), result, ..Run::default() }
    }

    #[test]
    fn a_rate_is_what_the_receiver_took() {
        let phases = [
            ("start", usage(0, 0, 0), usage(1_000_000, 0, 1 << 30)),
            ("end", usage(7, 500_000, 0), usage(2_000_000, 250_000, 2 << 30)),
        ];
        let bulk = |direction| Workload::Bulk { direction, streams: 1, warmup_ms: 0, ms: 1 };
        let all = figures(&bulk(Direction::Up), &run(&phases, json!({}))).unwrap();
        assert!((all[&Figure::Rate] - 8.589_934_592).abs() < 1e-9);
        assert_eq!((all[&Figure::CpuSender], all[&Figure::CpuReceiver]), (0.5, 0.25));
        let error = figures(&bulk(Direction::Down), &run(&phases, json!({}))).unwrap_err();
        assert_eq!(error.to_string(), "nothing was received");
    }

    #[test]
    fn memory_is_what_the_server_grew_by() {
        let phases = [("before", usage(0, 0, 0), usage(0, 0, 1_000)), ("idle", usage(0, 0, 0), usage(0, 0, 1_800))];
        let idle = Workload::Idle { connections: 100, bulk_bytes: 0, settle_ms: 0 };
        assert_eq!(figures(&idle, &run(&phases, json!({}))).unwrap()[&Figure::Memory], 8.0);
    }

    #[test]
    fn round_trips_after_the_first_byte_do_not_count() {
        let seen = Seen { reached_ms: vec![vec![50.0, 100.9, 151.0, 203.0], vec![50.0, 101.0, 152.0], vec![50.0]] };
        let told = Run { seen: Some(seen), round_trip_ms: 50.0, ..run(&[], json!({"p50_us": 152_000.0})) };
        let all = figures(&Workload::FirstByte { count: 3 }, &told).unwrap();
        assert_eq!(all[&Figure::RoundTrips], 3.0);
        assert_eq!(all[&Figure::FirstByte], 152.0);
    }

    #[test]
    fn what_is_missing_is_named() {
        let ping = Workload::PingPong { size: 1, warmup_ms: 0, ms: 0 };
        assert!(figures(&ping, &run(&[], json!({}))).unwrap_err().to_string().contains("p50_us"));
        let bulk = Workload::Bulk { direction: Direction::Up, streams: 1, warmup_ms: 0, ms: 0 };
        assert!(figures(&bulk, &run(&[], json!({}))).unwrap_err().to_string().contains("start"));
    }
}
