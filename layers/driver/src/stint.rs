//! How much a stream's task does of the driver's work.

use std::task::{Context, Poll};

use stackwire_core::Env;

use crate::{Drive, Ran};

/// Bytes that the task of a stream moves for the driver before it lets other tasks of its thread run: some milliseconds'
/// worth, as with a socket on tokio, because a pause costs as much as a hundred KiB.
const MOST: usize = 4 << 20;

/// What a stream's task has done of the driver's work without a pause.
#[derive(Debug, Default)]
pub struct Stint {
    moved: usize,
}

impl Stint {
    /// Whether the task may go on. `Pending` has others run first and the task come again.
    pub fn poll(&mut self, env: &Env, cx: &mut Context<'_>) -> Poll<()> {
        if self.moved < MOST {
            return Poll::Ready(());
        }
        self.pause();
        env.yield_now(cx);
        Poll::Pending
    }

    /// Has `driver` take a turn, if the connection works, with the context of its own task. Whoever is woken by that comes
    /// before the stream's task goes on.
    pub fn drive(&mut self, driver: &mut impl Drive, cx: &mut Context<'_>) {
        if !driver.is_running() {
            return;
        }
        let _before = driver.woke();
        match driver.run(cx) {
            Ran::Waits => {}
            Ran::Tired => cx.waker().wake_by_ref(),
            // The rest is for its own task.
            Ran::Ends(how) => {
                driver.end(how);
                cx.waker().wake_by_ref();
            }
        }
        self.moved += driver.moved();
        if driver.woke() {
            self.end();
        }
    }

    /// Takes note of bytes that were moved without the driver.
    pub fn count(&mut self, bytes: usize) {
        self.moved += bytes;
    }

    /// Others come first.
    pub(crate) fn end(&mut self) {
        self.moved = MOST;
    }

    /// The task waits, which lets others run.
    pub fn pause(&mut self) {
        self.moved = 0;
    }
}
