//! A seeded environment on the test's tokio runtime: real or paused time, tokio's tasks, repeatable randomness.

use std::time::{Duration, Instant, SystemTime};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use stackwire_core::{Env, Runtime};

struct TestRuntime(Mutex<StdRng>);

impl Runtime for TestRuntime {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
    fn unix_time(&self) -> Duration {
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// An environment with a fixed seed.
pub fn env() -> Env {
    env_seeded(1)
}

/// An environment with this seed.
pub fn env_seeded(seed: u64) -> Env {
    Env::new(TestRuntime(Mutex::new(StdRng::seed_from_u64(seed))))
}
