//! The contract of a connection driver.

use std::task::{Context, Poll};

use stackwire_core::{Env, Result};

/// Does the work of a connection: reads frames from the pipe, writes frames to it, runs timers. Runs in its own task or in
/// the task of a stream.
pub trait ConnectionDriver: Future<Output = Result<()>> + Send + Unpin {
    /// How a connection ends.
    type End;

    /// Whether the connection works. After [`end`](Self::end), only the driver's own task does the rest.
    fn is_running(&self) -> bool;

    /// Does the work that is due, up to a [`PollBudget`](crate::PollBudget). Callers check
    /// [`is_running`](Self::is_running) first.
    fn run(&mut self, cx: &mut Context<'_>) -> Run<Self::End>;

    /// Records how the connection ends.
    fn end(&mut self, how: Self::End);

    /// Bytes that the last run moved.
    fn moved(&self) -> usize;

    /// Whether tasks were woken since the last call.
    fn woke(&mut self) -> bool;

    /// The environment that it runs in.
    fn env(&self) -> &Env;

    /// Runs once in the driver's own task. `Ready` once the connection ends.
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_running() {
            match self.run(cx) {
                Run::Idle => return Poll::Pending,
                Run::BudgetSpent => {
                    self.env().yield_now(cx);
                    return Poll::Pending;
                }
                Run::Ended(how) => self.end(how),
            }
        }
        Poll::Ready(())
    }
}

/// The outcome of one run of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<E> {
    /// Nothing is due. The driver's task is woken when there is work.
    Idle,
    /// The poll budget is spent. There is more work.
    BudgetSpent,
    /// The connection ends.
    Ended(E),
}
