//! The cell that shares a driver between its own task and the tasks of streams.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use stackwire_core::{Env, Result};
use tokio::task::coop;

use crate::{AssistBudget, ConnectionDriver, slot::Slot};

/// A connection that has a driver.
pub trait HasDriver: Send + Sync + 'static {
    /// Its driver. It may hold the connection: [`DriverTask`] breaks the cycle when it ends.
    type Driver: ConnectionDriver;

    /// The cell that holds the driver.
    fn driver_cell(&self) -> &DriverCell<Self::Driver>;
}

/// Holds a driver. One task at a time runs it.
pub struct DriverCell<D>(Slot<D>);

impl<D> DriverCell<D> {
    /// An empty cell. [`DriverTask::new`] fills it.
    pub fn new() -> Self {
        Self(Slot::new())
    }

    /// Does `work` in the caller's task, with the driver and the context of the driver's own task: wakes go to that task.
    ///
    /// `None` if that is not possible now: another task runs the driver, or the driver's own task has not started or has
    /// ended. Spends the budget if the driver's own task was polled meanwhile.
    pub fn borrow<T>(
        &self,
        budget: &mut AssistBudget,
        work: impl FnOnce(&mut D, &mut Context<'_>, &mut AssistBudget) -> T,
    ) -> Option<T> {
        let mut borrowed = self.0.borrow()?;
        let (driver, task) = borrowed.parts()?;
        let _before = Env::has_yielded();
        let done = work(driver, &mut Context::from_waker(task), budget);
        // Tokio's sockets yield too, once the caller's task has used up its own budget.
        let yielded = Env::has_yielded() || !coop::has_budget_remaining();
        if borrowed.give_back(yielded) {
            // The scheduler may keep the driver's task on this thread. Then it runs only when the caller's task pauses.
            budget.spend();
        }
        Some(done)
    }
}

impl<D: ConnectionDriver> DriverCell<D> {
    /// Runs the driver once, unless another task runs it.
    pub fn run(&self, budget: &mut AssistBudget) {
        self.borrow(budget, |driver, cx, budget| budget.run(driver, cx));
    }

    /// For a stream's task that needs something from the driver. Makes an `attempt`; if that is pending, runs the driver
    /// once and makes a second attempt. Only the second attempt gets the context of the stream's task, to register its
    /// waker.
    pub fn poll<T>(
        &self,
        budget: &mut AssistBudget,
        cx: &Context<'_>,
        mut attempt: impl FnMut(Option<&Context<'_>>) -> Poll<T>,
    ) -> Poll<T> {
        let polled = attempt(None);
        if polled.is_ready() {
            return polled;
        }
        self.run(budget);
        let polled = attempt(Some(cx));
        if polled.is_pending() {
            budget.reset();
        }
        polled
    }
}

impl<D> Default for DriverCell<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> fmt::Debug for DriverCell<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DriverCell")
    }
}

/// The driver's own task. Dropping it drops the driver.
#[must_use = "a connection without its driver does nothing"]
pub struct DriverTask<C: HasDriver>(Arc<C>);

impl<C: HasDriver> DriverTask<C> {
    /// Puts `driver` into the cell of `connection`.
    pub fn new(connection: Arc<C>, driver: C::Driver) -> Self {
        connection.driver_cell().0.put(driver);
        Self(connection)
    }
}

impl<C: HasDriver> Future for DriverTask<C> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.driver_cell().0.poll(cx, |driver, cx| Pin::new(driver).poll(cx))
    }
}

impl<C: HasDriver> Drop for DriverTask<C> {
    fn drop(&mut self) {
        self.0.driver_cell().0.clear();
    }
}

impl<C: HasDriver> fmt::Debug for DriverTask<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DriverTask")
    }
}
