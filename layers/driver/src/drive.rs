//! What a driver is.

use std::task::{Context, Poll};

use stackwire_core::{Env, Result};

/// What makes a connection work, in its own task or another's.
pub trait Drive: Future<Output = Result<()>> + Send + Unpin {
    /// How a connection ends.
    type End;

    /// Whether the connection works. Once it [ends](Drive::end), the rest is for the driver's own task.
    fn is_running(&self) -> bool;

    /// Does what there is to do, as much as a [`Turn`](crate::Turn) allows. Only of a connection that works.
    fn run(&mut self, cx: &mut Context<'_>) -> Ran<Self::End>;

    /// Takes note of how the connection ends.
    fn end(&mut self, how: Self::End);

    /// Bytes that the last run moved.
    fn moved(&self) -> usize;

    /// Whether tasks were woken since this was last asked.
    fn woke(&mut self) -> bool;

    /// Where it runs.
    fn env(&self) -> &Env;

    /// A turn in the driver's own task. `Ready` once the connection ends.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_running() {
            match self.run(cx) {
                Ran::Waits => return Poll::Pending,
                Ran::Tired => {
                    self.env().yield_now(cx);
                    return Poll::Pending;
                }
                Ran::Ends(how) => self.end(how),
            }
        }
        Poll::Ready(())
    }
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran<E> {
    /// The driver's task is woken when there is something to do.
    Waits,
    /// There is more to do.
    Tired,
    /// The connection ends.
    Ends(E),
}
