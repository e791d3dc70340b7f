//! The cell that a driver sits in while nobody drives.
//!
//! Two kinds of tasks take the driver out and put it back: the connection's own driver task, and the tasks of streams.
//! Each step is one critical section over everything that the steps decide on: where the driver is, and which waker the
//! driver's task is woken by. So there is no moment between finding the driver away and saying so.
//!
//! `tests/model.rs` compiles this file a second time, with the locks of a model checker for `sync`.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use super::sync::Mutex;

/// The cell.
pub(crate) struct Seat<D> {
    state: Mutex<State<D>>,
}

struct State<D> {
    driver: Place<D>,
    /// What wakes the driver's task, once that was polled. It goes along with the driver: while that is away, a waker here
    /// is of a driver's task that came meanwhile and waits.
    task: Option<Waker>,
}

/// Where a driver is. Boxed, because it moves in and out.
enum Place<D> {
    /// It never came.
    Nowhere,
    Here(Box<D>),
    /// Somebody drives.
    Away,
    /// It ended, or its task was dropped. Who has it away drops it.
    Gone,
}

impl<D> Seat<D> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { driver: Place::Nowhere, task: None }) }
    }

    /// Puts the driver here. Its task has not been polled yet.
    pub(crate) fn put(&self, driver: D) {
        self.replace(Place::Here(Box::new(driver)));
    }

    /// The driver's end: it is dropped here, or by whoever has it away.
    pub(crate) fn clear(&self) {
        self.replace(Place::Gone);
    }

    fn replace(&self, place: Place<D>) {
        let mut state = self.state.lock();
        let before = (mem::replace(&mut state.driver, place), state.task.take());
        // What is dropped may come back here.
        drop(state);
        drop(before);
    }

    /// Takes the driver for another task than its own. `None` where it is away or gone, or its own task was not polled yet:
    /// nobody knows then whom to wake.
    pub(crate) fn borrow(&self) -> Option<Borrowed<'_, D>> {
        let mut state = self.state.lock();
        let State { driver: place @ Place::Here(_), task: task @ Some(_) } = &mut *state else { return None };
        let Place::Here(driver) = mem::replace(place, Place::Away) else { return None };
        Some(Borrowed { seat: self, driver: Some(driver), task: task.take() })
    }

    /// Has the driver's own task do `work`. Where the driver is away, `Pending`: whoever has it wakes this task when it is
    /// back. `Ready` ends the driver.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut D, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut state = self.state.lock();
        let driver = match mem::replace(&mut state.driver, Place::Away) {
            Place::Here(driver) => driver,
            Place::Away => {
                let before = state.task.replace(cx.waker().clone());
                drop(state);
                drop(before);
                return Poll::Pending;
            }
            place => {
                state.driver = place;
                return Poll::Pending;
            }
        };
        let task = state.task.take();
        drop(state);
        let task = match task {
            Some(mut task) => {
                task.clone_from(cx.waker());
                task
            }
            None => cx.waker().clone(),
        };
        let mut turn = Borrowed { seat: self, driver: Some(driver), task: Some(task) };
        let polled = turn.parts().map_or(Poll::Pending, |(driver, _)| work(driver, cx));
        if polled.is_ready() {
            self.clear();
        }
        polled
    }
}

/// A driver that is away. Goes back when this is dropped.
pub(crate) struct Borrowed<'a, D> {
    seat: &'a Seat<D>,
    driver: Option<Box<D>>,
    task: Option<Waker>,
}

impl<D> Borrowed<'_, D> {
    /// The driver, and what wakes its own task.
    pub(crate) fn parts(&mut self) -> Option<(&mut D, &Waker)> {
        self.driver.as_deref_mut().zip(self.task.as_ref())
    }

    /// Puts the driver back, and wakes its own task if that came meanwhile, or where `wake` asks for it. Returns whether it
    /// came.
    pub(crate) fn give_back(mut self, wake: bool) -> bool {
        self.return_driver(wake)
    }

    fn return_driver(&mut self, wake: bool) -> bool {
        let Some(driver) = self.driver.take() else { return false };
        let mut state = self.seat.state.lock();
        if !matches!(state.driver, Place::Away) {
            // Its end came meanwhile.
            drop(state);
            drop(driver);
            return false;
        }
        state.driver = Place::Here(driver);
        let came = state.task.is_some();
        if !came {
            state.task = self.task.take();
        }
        let waker = state.task.as_ref().filter(|_| came || wake).cloned();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        came
    }
}

impl<D> Drop for Borrowed<'_, D> {
    fn drop(&mut self) {
        self.return_driver(false);
    }
}
