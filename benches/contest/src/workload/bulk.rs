use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Direction, Target, close, sleep_beside, stop};
use crate::{
    Connection, Contestant, Reporter, Result, Usage,
    calls::{download_forever, upload_forever},
};

pub(super) async fn run<C: Contestant>(
    contestant: &C,
    target: &Target,
    reporter: &mut Reporter,
    direction: Direction,
    streams: usize,
    warmup_ms: u64,
    ms: u64,
) -> Result<Value> {
    let connection = Arc::new(target.dial(contestant).await?);
    let mut loads = JoinSet::new();
    for _ in 0..streams {
        loads.spawn(load(connection.clone(), direction));
    }
    sleep_beside(warmup_ms, &mut loads).await?;
    reporter.phase("start", Usage::now()).await?;
    sleep_beside(ms, &mut loads).await?;
    reporter.phase("end", Usage::now()).await?;
    stop(loads).await;
    close(connection).await;
    Ok(json!({}))
}

/// A stream that carries all it can, without an end.
pub(super) async fn load<C: Connection>(connection: Arc<C>, direction: Direction) -> Result<()> {
    match direction {
        Direction::Up => upload_forever(&*connection).await?,
        Direction::Down => download_forever(&*connection).await?,
    }
    Ok(())
}
