use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Target, sleep_ms};
use crate::{
    Contestant, Reporter, Result, Usage,
    calls::{Echo, download, upload},
};

/// How many are dialed at once.
const AT_ONCE: usize = 32;

/// How many are dialed between two words of how far it is.
const PROGRESS: usize = 1_000;

pub(super) async fn run<C: Contestant>(
    contestant: &Arc<C>,
    target: &Target,
    reporter: &mut Reporter,
    connections: usize,
    bulk_bytes: u64,
    settle_ms: u64,
) -> Result<Value> {
    reporter.phase("before", Usage::now()).await?;
    let held = dial_many(contestant, target, reporter, connections, bulk_bytes).await?;
    sleep_ms(settle_ms).await;
    reporter.phase("idle", Usage::now()).await?;
    drop(held);
    Ok(json!({}))
}

/// Makes `count` connections, each of which makes a call, and carries `bulk_bytes` each way.
pub(super) async fn dial_many<C: Contestant>(
    contestant: &Arc<C>,
    target: &Target,
    reporter: &mut Reporter,
    count: usize,
    bulk_bytes: u64,
) -> Result<Vec<C::Connection>> {
    let mut held = Vec::with_capacity(count);
    let mut dials = JoinSet::new();
    let mut started = 0;
    while held.len() < count {
        while started < count && dials.len() < AT_ONCE {
            dials.spawn(dial(contestant.clone(), target.clone(), bulk_bytes));
            started += 1;
        }
        if let Some(dialed) = dials.join_next().await {
            held.push(dialed??);
        }
        if held.len() % PROGRESS == 0 {
            reporter.progress(held.len() as u64)?;
        }
    }
    Ok(held)
}

async fn dial<C: Contestant>(contestant: Arc<C>, target: Target, bulk_bytes: u64) -> Result<C::Connection> {
    let connection = target.dial(&*contestant).await?;
    Echo::new(1).call(&connection).await?;
    if bulk_bytes > 0 {
        upload(&connection, bulk_bytes).await?;
        download(&connection, bulk_bytes).await?;
    }
    Ok(connection)
}
