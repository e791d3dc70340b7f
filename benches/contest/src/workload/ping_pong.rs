use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Target;
use crate::{Connection, Contestant, Result, calls::Echo, samples::Samples};

pub(super) async fn run<C: Contestant>(
    contestant: &C,
    target: &Target,
    size: usize,
    warmup_ms: u64,
    ms: u64,
) -> Result<Value> {
    let mut echo = Echo::new(size);
    let mut samples = Samples::with_room(ms, 1);
    let connection = target.dial(contestant).await?;
    let mut stream = echo.open(&connection).await?;
    let warm = Instant::now() + Duration::from_millis(warmup_ms);
    while Instant::now() < warm {
        echo.ping(&mut stream).await?;
    }
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        samples.push(echo.timed_ping(&mut stream).await?);
    }
    drop(stream);
    connection.close().await;
    let count = samples.count();
    let sorted = samples.sorted();
    Ok(json!({
        "count": count,
        "min_us": sorted.us(0.0),
        "p50_us": sorted.us(0.5),
        "p90_us": sorted.us(0.9),
        "p99_us": sorted.us(0.99),
    }))
}
