//! What a client does while it is measured.

mod beside;
mod bulk;
mod crowd;
mod first_byte;
mod idle;
mod ping_pong;
mod repeated;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{Contestant, Reporter, Result};

/// What a client does. All sizes are bytes, all results are of one run.
///
/// Every kind but `idle` first warms up where it has a `warmup_ms`. Where phases are listed, the client says so at
/// each of them and waits for a line, while the load goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workload {
    /// Streams of one connection that carry all they can. Phases `start`, `end`; the result is empty: what the
    /// receiving side took between its usages at both is the rate.
    Bulk {
        /// Who sends.
        direction: Direction,
        /// How many streams at once.
        streams: usize,
        /// How long to warm up.
        warmup_ms: u64,
        /// How long to measure.
        ms: u64,
    },
    /// Pings on one open stream, one after the other. Result: `count`, `min_us`, `p50_us`, `p90_us`, `p99_us`.
    PingPong {
        /// The payload of each.
        size: usize,
        /// How long to warm up.
        warmup_ms: u64,
        /// How long to measure.
        ms: u64,
    },
    /// Calls on one connection, each on a stream of its own that is opened, ended by both sides, and read to its end.
    /// Phases `start`, `end`; result: `count`, `seconds`, `per_second`, `min_us`, `p50_us`, `p99_us`.
    Rpc {
        /// The payload of each, both ways. It is sent whole before any of it is read back, so that it has to fit into
        /// what the stack holds on the way.
        size: usize,
        /// How many are under way at any time.
        in_flight: usize,
        /// How long to warm up.
        warmup_ms: u64,
        /// How long to measure.
        ms: u64,
    },
    /// Connections that are dialed, send a byte and get it back on a stream, and are closed. Phases and result are
    /// those of `rpc`; the times end with the byte, `per_second` counts the closing in.
    Connect {
        /// How many are under way at any time.
        parallel: usize,
        /// How long to warm up.
        warmup_ms: u64,
        /// How long to measure.
        ms: u64,
    },
    /// Connections that were used and then are not. Phases `before`, `idle`; the result is empty: what the server's
    /// memory grew by is theirs.
    Idle {
        /// How many.
        connections: usize,
        /// What each carries in bulk first, each way.
        bulk_bytes: u64,
        /// How long to wait before `idle`.
        settle_ms: u64,
    },
    /// Pings on an open stream of a connection that carries bulk on another. Phases `alone_start`, `alone_end` of bulk
    /// by itself, then `start`, `end` with pings; result: `count`, `p50_us`, `p99_us`, `p999_us`.
    Beside {
        /// Who sends the bulk.
        direction: Direction,
        /// The payload of each ping.
        size: usize,
        /// How long after a ping the next is sent, if the answer is there; at least a millisecond.
        interval_us: u64,
        /// How long to warm up, each time.
        warmup_ms: u64,
        /// How long to measure, each time.
        ms: u64,
    },
    /// Connections, one after the other, each timed from the dial until a byte came back. Result: `count`, `min_us`,
    /// `p50_us`.
    FirstByte {
        /// How many.
        count: usize,
    },
    /// Connections that ping all the time, first by themselves, then beside others that are idle. Result:
    /// `alone_per_second`, `beside_per_second`, pings of all of them together.
    Crowd {
        /// How many are idle.
        idle: usize,
        /// How many ping.
        busy: usize,
        /// The payload of each ping.
        size: usize,
        /// How long to measure, each time.
        ms: u64,
    },
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The client.
    Up,
    /// The server.
    Down,
}

/// The server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) peer: String,
}

impl Target {
    async fn dial<C: Contestant>(&self, contestant: &C) -> Result<C::Connection> {
        contestant.dial(self.address, &self.peer).await
    }
}

/// Runs `workload` against `target`; returns its result.
pub(crate) async fn run<C: Contestant>(
    contestant: &Arc<C>,
    target: &Target,
    workload: &Workload,
    reporter: &mut Reporter,
) -> Result<Value> {
    match *workload {
        Workload::Bulk { direction, streams, warmup_ms, ms } => {
            bulk::run(&**contestant, target, reporter, direction, streams, warmup_ms, ms).await
        }
        Workload::PingPong { size, warmup_ms, ms } => ping_pong::run(&**contestant, target, size, warmup_ms, ms).await,
        Workload::Rpc { size, in_flight, warmup_ms, ms } => {
            let connection = Arc::new(target.dial(&**contestant).await?);
            let rpc = |_| repeated::Rpc::new(connection.clone(), size);
            let result = repeated::run(rpc, in_flight, warmup_ms, ms, reporter).await?;
            close(connection).await;
            Ok(result)
        }
        Workload::Connect { parallel, warmup_ms, ms } => {
            let connect = |_| repeated::Connect::new(contestant.clone(), target.clone());
            repeated::run(connect, parallel, warmup_ms, ms, reporter).await
        }
        Workload::Idle { connections, bulk_bytes, settle_ms } => {
            idle::run(contestant, target, reporter, connections, bulk_bytes, settle_ms).await
        }
        Workload::Beside { direction, size, interval_us, warmup_ms, ms } => {
            let load = beside::Load { direction, size, interval: Duration::from_micros(interval_us) };
            beside::run(&**contestant, target, reporter, load, warmup_ms, ms).await
        }
        Workload::FirstByte { count } => first_byte::run(&**contestant, target, count).await,
        Workload::Crowd { idle, busy, size, ms } => {
            crowd::run(contestant, target, reporter, idle, busy, size, ms).await
        }
    }
}

async fn sleep_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Closes a connection whose tasks have ended.
async fn close<C: crate::Connection>(connection: Arc<C>) {
    if let Some(connection) = Arc::into_inner(connection) {
        connection.close().await;
    }
}

/// Sleeps while `tasks`, none of which ends by itself, run; fails with the first that fails.
async fn sleep_beside<T: 'static>(ms: u64, tasks: &mut JoinSet<Result<T>>) -> Result<()> {
    tokio::select! {
        biased;
        Some(ended) = tasks.join_next() => match ended? {
            Err(error) => Err(error),
            Ok(_) => Err("a load ended by itself".into()),
        },
        () = sleep_ms(ms) => Ok(()),
    }
}

/// Stops `tasks` and waits until they are gone.
async fn stop<T: 'static>(mut tasks: JoinSet<T>) {
    tasks.shutdown().await;
}
