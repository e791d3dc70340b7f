//! How much of the driver's work a stream's task does.

use std::task::{Context, Poll};

use stackwire_core::Env;

use crate::{ConnectionDriver, Run};

/// Bytes that a stream's task moves for the driver before it lets other tasks of its thread run. That is some milliseconds
/// of work, as with a socket on tokio. A pause costs as much as a hundred KiB.
const MOST: usize = 4 << 20;

/// Counts the driver's work that a stream's task has done since it last waited.
#[derive(Debug, Default)]
pub struct AssistBudget {
    moved: usize,
}

impl AssistBudget {
    /// Whether the task may go on. `Pending` lets other tasks run first and then polls this task again.
    pub fn poll(&mut self, env: &Env, cx: &mut Context<'_>) -> Poll<()> {
        if self.moved < MOST {
            return Poll::Ready(());
        }
        self.reset();
        env.yield_now(cx);
        Poll::Pending
    }

    /// Runs `driver` once, if the connection works, with the context of the driver's own task. If that wakes another task,
    /// the budget is spent: the woken task runs before the stream's task goes on.
    pub fn run(&mut self, driver: &mut impl ConnectionDriver, cx: &mut Context<'_>) {
        if !driver.is_running() {
            return;
        }
        let _before = driver.woke();
        match driver.run(cx) {
            Run::Idle => {}
            Run::BudgetSpent => cx.waker().wake_by_ref(),
            // The driver's own task does the rest.
            Run::Ended(how) => {
                driver.end(how);
                cx.waker().wake_by_ref();
            }
        }
        self.moved += driver.moved();
        if driver.woke() {
            self.spend();
        }
    }

    /// Counts bytes that were moved without the driver.
    pub fn count(&mut self, bytes: usize) {
        self.moved += bytes;
    }

    /// Lets other tasks run next.
    pub(crate) fn spend(&mut self) {
        self.moved = MOST;
    }

    /// The task waits, so other tasks run anyway.
    pub fn reset(&mut self) {
        self.moved = 0;
    }
}
