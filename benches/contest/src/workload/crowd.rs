use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Target, idle::dial_many, sleep_beside};
use crate::{Connection, Contestant, Reporter, Result, calls::Echo};

/// How long the busy ones are given to settle each time before they are measured.
const SETTLE_MS: u64 = 1_500;

pub(super) async fn run<C: Contestant>(
    contestant: &Arc<C>,
    target: &Target,
    reporter: &mut Reporter,
    idle: usize,
    busy: usize,
    size: usize,
    ms: u64,
) -> Result<Value> {
    let pings = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for connection in dial_many(contestant, target, reporter, busy, 0).await? {
        loops.spawn(ping(connection, size, pings.clone()));
    }
    let alone = rate(&pings, ms, &mut loops).await?;
    let held = dial_many(contestant, target, reporter, idle, 0).await?;
    let beside = rate(&pings, ms, &mut loops).await?;
    drop(held);
    Ok(json!({"alone_per_second": alone, "beside_per_second": beside}))
}

/// Pings of all loops in a second.
async fn rate(pings: &AtomicU64, ms: u64, loops: &mut JoinSet<Result<()>>) -> Result<f64> {
    sleep_beside(SETTLE_MS, loops).await?;
    let (before, start) = (pings.load(Relaxed), Instant::now());
    sleep_beside(ms, loops).await?;
    Ok((pings.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64())
}

async fn ping<C: Connection>(connection: C, size: usize, pings: Arc<AtomicU64>) -> Result<()> {
    let mut echo = Echo::new(size);
    let mut stream = echo.open(&connection).await?;
    loop {
        echo.ping(&mut stream).await?;
        pings.fetch_add(1, Relaxed);
    }
}
