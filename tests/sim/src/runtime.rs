//! The environment of a simulated node.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use stackwire_core::Runtime;
use tokio::time;

/// When every simulation begins: 2026-01-01.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// Does `work` on a clock that only moves when nobody works: hours take as long as what happens in them. Fails where the system
/// refuses a runtime. Must not be called within one.
pub fn simulate<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(work))
}

/// Tokio's paused clock, for the time of day too, and randomness of a seed.
pub struct SimRuntime {
    dice: Mutex<StdRng>,
    begin: time::Instant,
}

impl SimRuntime {
    /// A runtime whose randomness begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { dice: Mutex::new(StdRng::seed_from_u64(seed)), begin: time::Instant::now() }
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn unix_time(&self) -> Duration {
        EPOCH + self.begin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Tokio's timers count milliseconds from when the runtime began, which lies anywhere within one: parts of a
        // millisecond would end sooner in one run and later in another.
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Box::pin(time::sleep(Duration::from_millis(millis.try_into().unwrap_or(u64::MAX))))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.dice.lock().fill_bytes(bytes);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}
