use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{Direction, Target, bulk, close, sleep_beside, stop};
use crate::{Contestant, Reporter, Result, Usage, calls::Echo, samples::Samples};

pub(super) struct Load {
    pub(super) direction: Direction,
    pub(super) size: usize,
    pub(super) interval: Duration,
}

pub(super) async fn run<C: Contestant>(
    contestant: &C,
    target: &Target,
    reporter: &mut Reporter,
    load: Load,
    warmup_ms: u64,
    ms: u64,
) -> Result<Value> {
    let mut echo = Echo::new(load.size);
    let mut samples = Samples::with_room(ms, 1);
    let connection = Arc::new(target.dial(contestant).await?);
    let mut loads = JoinSet::new();
    loads.spawn(bulk::load(connection.clone(), load.direction));
    sleep_beside(warmup_ms, &mut loads).await?;
    reporter.phase("alone_start", Usage::now()).await?;
    sleep_beside(ms, &mut loads).await?;
    reporter.phase("alone_end", Usage::now()).await?;

    let mut stream = echo.open(&*connection).await?;
    // Ticks that an answer came too late for are left out.
    let mut ticks = interval(load.interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let warm = Instant::now() + Duration::from_millis(warmup_ms);
    while Instant::now() < warm {
        ticks.tick().await;
        echo.ping(&mut stream).await?;
    }
    reporter.phase("start", Usage::now()).await?;
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        ticks.tick().await;
        samples.push(echo.timed_ping(&mut stream).await?);
    }
    reporter.phase("end", Usage::now()).await?;
    // A load that broke would have been easy to be beside of.
    sleep_beside(0, &mut loads).await?;
    drop(stream);
    stop(loads).await;
    close(connection).await;
    let count = samples.count();
    let sorted = samples.sorted();
    Ok(json!({"count": count, "p50_us": sorted.us(0.5), "p99_us": sorted.us(0.99), "p999_us": sorted.us(0.999)}))
}
