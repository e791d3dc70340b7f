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

/// As [`env_seeded`], with time that goes so many times as fast as the test's.
pub fn env_hurried(seed: u64, times: u32) -> Env {
    let runtime = TestRuntime(Mutex::new(StdRng::seed_from_u64(seed)));
    let start = runtime.now();
    Env::new(Hurried { runtime, start, times })
}

struct Hurried {
    runtime: TestRuntime,
    start: Instant,
    times: u32,
}

impl Runtime for Hurried {
    fn now(&self) -> Instant {
        self.start + (self.runtime.now() - self.start) * self.times
    }
    fn unix_time(&self) -> Duration {
        self.runtime.unix_time()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.runtime.sleep(duration / self.times)
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        self.runtime.fill_random(bytes);
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }
}
