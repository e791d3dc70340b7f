//! The environment of a real node: tokio's clock and tasks, the operating system's randomness.

use std::{
    pin::pin,
    task::Context,
    time::{Duration, Instant, SystemTime},
};

use futures::future::BoxFuture;
use rand::TryRng;
use stackwire_core::{Lookup, Runtime};
use tokio::runtime::Handle;

use crate::system_lookup::System;

/// Tokio's clock and tasks, the operating system's randomness and resolver.
///
/// Its tasks and timers belong to the tokio runtime in which it was made, so that a node can be used from other threads and
/// other runtimes. Made outside of one, it takes the runtime of whoever uses it.
#[derive(Clone, Debug)]
pub struct TokioRuntime(Option<Handle>);

impl TokioRuntime {
    /// Takes the runtime that this thread is in.
    pub fn new() -> Self {
        Self(Handle::try_current().ok())
    }
}

impl Default for TokioRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix_time(&self) -> Duration {
        // A clock before 1970 is a broken clock; zero makes every certificate not yet valid, which says so.
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _context = self.0.as_ref().map(Handle::enter);
        Box::pin(tokio::time::sleep(duration))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(bytes).expect("a machine without randomness can't make keys");
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        match &self.0 {
            Some(handle) => handle.spawn(task),
            None => tokio::spawn(task),
        };
    }

    fn yield_now(&self, cx: &mut Context<'_>) {
        // Its first poll puts the task at the end of this thread's work, and that is all there is to it.
        let _pending = pin!(tokio::task::yield_now()).poll(cx);
    }

    fn lookup(&self) -> &dyn Lookup {
        &System
    }
}
