//! Every workload, over streams in memory.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

use super::{Direction, Target, Workload, run};
use crate::{Connection, Contestant, Line, NotSupported, Ready, Reporter, Result, Stack, Usage, serve};

struct InMemory;

impl Contestant for InMemory {
    type Connection = Self;

    fn stacks() -> Vec<Stack> {
        vec![Stack::new("memory", "none")]
    }

    async fn serve(_: &str, listen: SocketAddr) -> Result<Ready> {
        Ok(Ready::new(listen, "", ()))
    }

    async fn client(_: &str) -> Result<Self> {
        Ok(Self)
    }

    async fn dial(&self, _: SocketAddr, peer: &str) -> Result<Self> {
        match peer {
            "" => Ok(Self),
            _ => Err(NotSupported("peers".into()).into()),
        }
    }
}

impl Connection for InMemory {
    type Stream = DuplexStream;

    async fn open(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve(theirs));
        Ok(ours)
    }

    async fn close(self) {}
}

/// What a reporter has written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn target() -> Target {
    Target { address: "127.0.0.1:1".parse().expect("an address"), peer: String::new() }
}

/// Runs `workload`, told to go on as often as it asks; returns the phases and the result.
async fn ran(workload: Workload) -> (Vec<(String, Usage)>, Value) {
    let written = Written::default();
    let (go_on, lines) = mpsc::unbounded_channel();
    (0..8).for_each(|_| go_on.send(String::new()).expect("there is a reporter"));
    let mut reporter = Reporter::new(written.clone(), lines);
    let ran = tokio::spawn(async move { run(&Arc::new(InMemory), &target(), &workload, &mut reporter).await });
    let result = ran.await.expect("no panic").expect("no failure");
    let written = String::from_utf8(written.0.lock().expect("nobody panicked").clone()).expect("text");
    let phase = |line: &str| match serde_json::from_str(line).expect("a line") {
        Line::Phase { phase, usage } => Some((phase, usage)),
        _ => None,
    };
    (written.lines().filter_map(phase).collect(), result)
}

fn names(phases: &[(String, Usage)]) -> Vec<&str> {
    phases.iter().map(|(name, _)| name.as_str()).collect()
}

fn positive(result: &Value, fields: &[&str]) {
    for field in fields {
        assert!(result[field].as_f64().is_some_and(|value| value > 0.0), "{field} of {result}");
    }
    assert_eq!(result.as_object().map(|fields| fields.len()), Some(fields.len()), "{result}");
}

#[tokio::test]
async fn bulk_goes_both_ways() {
    for direction in [Direction::Up, Direction::Down] {
        let (phases, result) = ran(Workload::Bulk { direction, streams: 3, warmup_ms: 20, ms: 50 }).await;
        assert_eq!(names(&phases), ["start", "end"]);
        assert!(phases[1].1.received > phases[0].1.received);
        assert_eq!(result, json!({}));
    }
}

#[tokio::test]
async fn pings_are_timed() {
    let (phases, result) = ran(Workload::PingPong { size: 64, warmup_ms: 5, ms: 20 }).await;
    assert!(phases.is_empty());
    positive(&result, &["count", "min_us", "p50_us", "p90_us", "p99_us"]);
}

#[tokio::test]
async fn calls_are_counted_and_timed() {
    for size in [1, 64, 5_000, 30_000] {
        let (phases, result) = ran(Workload::Rpc { size, in_flight: 4, warmup_ms: 5, ms: 50 }).await;
        assert_eq!(names(&phases), ["start", "end"]);
        positive(&result, &["count", "seconds", "per_second", "min_us", "p50_us", "p99_us"]);
    }
}

#[tokio::test]
async fn connections_are_counted_and_timed() {
    let (phases, result) = ran(Workload::Connect { parallel: 4, warmup_ms: 5, ms: 20 }).await;
    assert_eq!(names(&phases), ["start", "end"]);
    positive(&result, &["count", "seconds", "per_second", "min_us", "p50_us", "p99_us"]);
}

#[tokio::test]
async fn idle_connections_were_used() {
    let (phases, result) = ran(Workload::Idle { connections: 40, bulk_bytes: 300_000, settle_ms: 1 }).await;
    assert_eq!(names(&phases), ["before", "idle"]);
    // Up and down: both ends are in this process.
    assert!(phases[1].1.received - phases[0].1.received >= 40 * 600_000);
    assert_eq!(result, json!({}));
}

#[tokio::test]
async fn pings_go_beside_bulk() {
    let load = Workload::Beside { direction: Direction::Down, size: 64, interval_us: 500, warmup_ms: 5, ms: 50 };
    let (phases, result) = ran(load).await;
    assert_eq!(names(&phases), ["alone_start", "alone_end", "start", "end"]);
    positive(&result, &["count", "p50_us", "p99_us", "p999_us"]);
}

#[tokio::test]
async fn first_bytes_are_timed() {
    let (phases, result) = ran(Workload::FirstByte { count: 3 }).await;
    assert!(phases.is_empty());
    positive(&result, &["count", "min_us", "p50_us"]);
}

#[tokio::test]
async fn a_crowd_is_measured_twice() {
    let (phases, result) = ran(Workload::Crowd { idle: 10, busy: 3, size: 64, ms: 20 }).await;
    assert!(phases.is_empty());
    positive(&result, &["alone_per_second", "beside_per_second"]);
}

#[tokio::test]
async fn what_is_not_supported_is_told_from_failures() {
    let (_sender, lines) = mpsc::unbounded_channel();
    let target = Target { peer: "someone".into(), ..target() };
    let mut reporter = Reporter::new(io::sink(), lines);
    let ran = run(&Arc::new(InMemory), &target, &Workload::FirstByte { count: 1 }, &mut reporter).await;
    let error = ran.expect_err("a refusal");
    assert_eq!(NotSupported::within(&*error).expect("the reason").to_string(), "not supported: peers");
    let error = io::Error::from(NotSupported("streams".into()));
    assert!(NotSupported::within(&error).is_some());
    assert!(NotSupported::within(&io::Error::other("other")).is_none());
}

#[tokio::test]
async fn an_end_of_orders_is_a_failure() {
    let (sender, lines) = mpsc::unbounded_channel();
    drop(sender);
    let workload = Workload::Idle { connections: 1, bulk_bytes: 0, settle_ms: 0 };
    let mut reporter = Reporter::new(io::sink(), lines);
    run(&Arc::new(InMemory), &target(), &workload, &mut reporter).await.expect_err("it waits for nothing");
}

#[tokio::test]
async fn streams_do_as_their_first_byte_says() {
    let connection = InMemory;
    for (sent, back) in [("", ""), ("E", ""), ("Ehello", "hello"), ("Shello", ""), ("G\0\0\0\0\0\0\0\x02", "\0\x01")] {
        for at_once in [1, sent.len().max(1)] {
            let mut stream = connection.open().await.expect("a stream");
            for bytes in sent.as_bytes().chunks(at_once) {
                stream.write_all(bytes).await.expect("it is taken");
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.expect("it ends");
            let mut came = String::new();
            stream.read_to_string(&mut came).await.expect("it ends");
            assert_eq!(came, back, "{sent:?}");
        }
    }
}

#[test]
fn workloads_and_lines_are_json() {
    let bulk = Workload::Bulk { direction: Direction::Down, streams: 16, warmup_ms: 1, ms: 2 };
    let text = r#"{"kind":"bulk","direction":"down","streams":16,"warmup_ms":1,"ms":2}"#;
    assert_eq!(serde_json::to_string(&bulk).expect("JSON"), text);
    assert_eq!(serde_json::from_str::<Workload>(text).expect("a workload"), bulk);
    serde_json::from_str::<Workload>(r#"{"kind":"first_byte","count":1,"more":2}"#).expect_err("an unknown field");
    let ready = r#"{"ready":{"address":"127.0.0.1:80","peer":"p"}}"#;
    let line = serde_json::from_str::<Line>(ready).expect("a line");
    assert_eq!(serde_json::to_string(&line).expect("JSON"), ready);
    let line: Line = serde_json::from_str(r#"{"result":{"count":1}}"#).expect("a line");
    assert_eq!(line, Line::Result { result: json!({"count": 1}) });
}
