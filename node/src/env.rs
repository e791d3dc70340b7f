//! The environment of a real node: tokio's clock and tasks, the operating system's randomness.

use std::{
    pin::pin,
    task::Context,
    time::{Duration, Instant, SystemTime},
};

use futures::future::BoxFuture;
use rand::TryRng;
use stackwire_core::Runtime;

/// Tokio's clock and tasks, the operating system's randomness. Must be used within a tokio runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioRuntime;

impl Runtime for TokioRuntime {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix_time(&self) -> Duration {
        // A clock before 1970 is a broken clock; zero makes every certificate not yet valid, which says so.
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(bytes).expect("a machine without randomness can't make keys");
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn yield_now(&self, cx: &mut Context<'_>) {
        // Its first poll puts the task at the end of this thread's work, and that is all there is to it.
        let _pending = pin!(tokio::task::yield_now()).poll(cx);
    }
}
