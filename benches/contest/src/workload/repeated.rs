//! One short thing after another, several at a time: calls and connections.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Instant,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, task::JoinSet};

use super::Target;
use crate::{Connection, Contestant, Reporter, Result, Usage, calls::Echo, samples::Samples};

/// Something that is done again and again by one worker.
pub(super) trait Repeated: Send + 'static {
    /// Does it once; returns the nanoseconds that it took.
    fn once(&mut self) -> impl Future<Output = Result<u64>> + Send;
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const AFTER: u8 = 2;
const STOP: u8 = 3;

/// Runs `parallel` workers that `make` makes.
pub(super) async fn run<R: Repeated>(
    make: impl Fn(usize) -> R,
    parallel: usize,
    warmup_ms: u64,
    ms: u64,
    reporter: &mut Reporter,
) -> Result<Value> {
    let stage = Arc::new(AtomicU8::new(WARMING));
    let mut workers = JoinSet::new();
    for worker in 0..parallel {
        workers.spawn(work(make(worker), stage.clone(), Samples::with_room(ms, parallel)));
    }
    super::sleep_beside(warmup_ms, &mut workers).await?;
    stage.store(MEASURING, Relaxed);
    let start = Usage::now();
    reporter.phase("start", start).await?;
    super::sleep_beside(ms, &mut workers).await?;
    stage.store(AFTER, Relaxed);
    let end = Usage::now();
    // The load goes on while the server is asked what it has used.
    reporter.phase("end", end).await?;
    stage.store(STOP, Relaxed);
    let mut samples = Samples::default();
    while let Some(worker) = workers.join_next().await {
        samples.append(worker??);
    }
    let seconds = (end.now_us - start.now_us) as f64 / 1e6;
    let count = samples.count();
    let sorted = samples.sorted();
    Ok(json!({
        "count": count,
        "seconds": seconds,
        "per_second": count as f64 / seconds,
        "min_us": sorted.us(0.0),
        "p50_us": sorted.us(0.5),
        "p99_us": sorted.us(0.99),
    }))
}

async fn work<R: Repeated>(mut what: R, stage: Arc<AtomicU8>, mut samples: Samples) -> Result<Samples> {
    loop {
        let took = what.once().await?;
        match stage.load(Relaxed) {
            MEASURING => samples.push(took),
            STOP => return Ok(samples),
            _ => {}
        }
    }
}

/// Calls, each on a stream of its own.
pub(super) struct Rpc<C> {
    connection: Arc<C>,
    echo: Echo,
}

impl<C: Connection> Rpc<C> {
    pub(super) fn new(connection: Arc<C>, size: usize) -> Self {
        Self { connection, echo: Echo::new(size) }
    }
}

impl<C: Connection> Repeated for Rpc<C> {
    async fn once(&mut self) -> Result<u64> {
        let start = Instant::now();
        self.echo.call(&*self.connection).await?;
        Ok(start.elapsed().as_nanos() as u64)
    }
}

/// Connections, each new.
pub(super) struct Connect<C> {
    contestant: Arc<C>,
    target: Target,
    echo: Echo,
}

impl<C: Contestant> Connect<C> {
    pub(super) fn new(contestant: Arc<C>, target: Target) -> Self {
        Self { contestant, target, echo: Echo::new(1) }
    }
}

impl<C: Contestant> Repeated for Connect<C> {
    async fn once(&mut self) -> Result<u64> {
        let start = Instant::now();
        let connection = self.target.dial(&*self.contestant).await?;
        let mut stream = self.echo.open(&connection).await?;
        let took = start.elapsed().as_nanos() as u64;
        stream.shutdown().await?;
        drop(stream);
        connection.close().await;
        Ok(took)
    }
}
