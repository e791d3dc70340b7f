//! Who drives.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use stackwire_core::{Env, Result};
use tokio::task::coop;

use crate::{Drive, Stint, seat::Seat};

/// A connection that has a driver.
pub trait Driven: Send + Sync + 'static {
    /// Its driver, which may hold the connection: neither is freed before [`Driving`] is.
    type Driver: Drive;

    /// Where the driver sits.
    fn wheel(&self) -> &Wheel<Self::Driver>;
}

/// Where a driver sits: one at a time makes it work.
pub struct Wheel<D>(Seat<D>);

impl<D> Wheel<D> {
    /// Nobody drives, not yet.
    pub fn new() -> Self {
        Self(Seat::new())
    }

    /// Has `work` done in the caller's task, with the driver and the context of the driver's task: what has to wait
    /// is woken there. `None` where that is not possible now: somebody else is at it, or the driver's task has not begun
    /// or has ended. Ends the `stint` where the driver's task came meanwhile.
    pub fn borrow<T>(
        &self,
        stint: &mut Stint,
        work: impl FnOnce(&mut D, &mut Context<'_>, &mut Stint) -> T,
    ) -> Option<T> {
        let mut borrowed = self.0.borrow()?;
        let (driver, task) = borrowed.parts()?;
        let _before = Env::has_yielded();
        let done = work(driver, &mut Context::from_waker(task), stint);
        // Sockets yield too, once the caller's task has done much.
        let yielded = Env::has_yielded() || !coop::has_budget_remaining();
        if borrowed.give_back(yielded) {
            // A scheduler may keep it for this thread, so that it waits for the caller's task to pause.
            stint.end();
        }
        Some(done)
    }
}

impl<D: Drive> Wheel<D> {
    /// Has the driver take a turn, unless it is at it.
    pub fn drive(&self, stint: &mut Stint) {
        self.borrow(stint, |driver, cx, stint| stint.drive(driver, cx));
    }

    /// For a stream's task that may have to wait for the driver: makes an `attempt`, and another after the driver took a
    /// turn. The second has the context of the task that is to be woken where it is in vain, too.
    pub fn poll<T>(
        &self,
        stint: &mut Stint,
        cx: &Context<'_>,
        mut attempt: impl FnMut(Option<&Context<'_>>) -> Poll<T>,
    ) -> Poll<T> {
        let polled = attempt(None);
        if polled.is_ready() {
            return polled;
        }
        self.drive(stint);
        let polled = attempt(Some(cx));
        if polled.is_pending() {
            stint.pause();
        }
        polled
    }
}

impl<D> Default for Wheel<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> fmt::Debug for Wheel<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wheel")
    }
}

/// The driver's own task. Dropping it drops the driver.
#[must_use = "a connection without its driver does nothing"]
pub struct Driving<C: Driven>(Arc<C>);

impl<C: Driven> Driving<C> {
    /// Has `driver` drive `connection`.
    pub fn new(connection: Arc<C>, driver: C::Driver) -> Self {
        connection.wheel().0.put(driver);
        Self(connection)
    }
}

impl<C: Driven> Future for Driving<C> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.wheel().0.poll(cx, |driver, cx| Pin::new(driver).poll(cx))
    }
}

impl<C: Driven> Drop for Driving<C> {
    fn drop(&mut self) {
        self.0.wheel().0.clear();
    }
}

impl<C: Driven> fmt::Debug for Driving<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driving")
    }
}
