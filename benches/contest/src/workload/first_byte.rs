use std::time::Instant;

use serde_json::{Value, json};

use super::Target;
use crate::{Connection, Contestant, Result, calls::Echo, samples::Samples};

pub(super) async fn run<C: Contestant>(contestant: &C, target: &Target, count: usize) -> Result<Value> {
    let mut echo = Echo::new(1);
    let mut samples = Samples::default();
    for _ in 0..count {
        let start = Instant::now();
        let connection = target.dial(contestant).await?;
        let stream = echo.open(&connection).await?;
        samples.push(start.elapsed().as_nanos() as u64);
        drop(stream);
        connection.close().await;
    }
    let sorted = samples.sorted();
    Ok(json!({"count": count, "min_us": sorted.us(0.0), "p50_us": sorted.us(0.5)}))
}
