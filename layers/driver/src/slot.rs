//! The slot that holds a driver while no task runs it.
//!
//! Two kinds of tasks take the driver out and put it back: the driver's own task, and the tasks of streams. The place of
//! the driver and the waker of its own task are under one lock, and each step holds that lock once. So a task that finds
//! the driver taken registers its waker in the same step, and no wake is lost between the two.
//!
//! `tests/model.rs` compiles this file a second time, with the locks of a model checker for `sync`.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use super::sync::Mutex;

/// Holds a driver, or remembers that a task has taken it.
pub(crate) struct Slot<D> {
    state: Mutex<State<D>>,
}

struct State<D> {
    driver: Place<D>,
    /// The waker of the driver's own task, set by its first poll. Whoever takes the driver takes the waker along. So a waker
    /// that stands here while the driver is taken means: the driver's own task was polled meanwhile and waits.
    task: Option<Waker>,
}

/// Where a driver is. Boxed, because it moves in and out.
enum Place<D> {
    /// It was not put in yet.
    Empty,
    Here(Box<D>),
    /// A task runs it.
    Taken,
    /// It ended, or its task was dropped. A task that has taken it drops it.
    Gone,
}

impl<D> Slot<D> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { driver: Place::Empty, task: None }) }
    }

    /// Puts the driver in. Its own task has not been polled yet.
    pub(crate) fn put(&self, driver: D) {
        self.replace(Place::Here(Box::new(driver)));
    }

    /// Drops the driver. If a task has taken it, that task drops it.
    pub(crate) fn clear(&self) {
        self.replace(Place::Gone);
    }

    fn replace(&self, place: Place<D>) {
        let mut state = self.state.lock();
        let before = (mem::replace(&mut state.driver, place), state.task.take());
        // Dropping a driver may call into this slot again.
        drop(state);
        drop(before);
    }

    /// Takes the driver for the task of a stream. `None` if it is taken or gone, or if its own task was not polled yet:
    /// then there is no waker for what the driver waits for.
    pub(crate) fn borrow(&self) -> Option<Borrowed<'_, D>> {
        let mut state = self.state.lock();
        let State { driver: place @ Place::Here(_), task: task @ Some(_) } = &mut *state else { return None };
        let Place::Here(driver) = mem::replace(place, Place::Taken) else { return None };
        Some(Borrowed { slot: self, driver: Some(driver), task: task.take() })
    }

    /// Does `work` in the driver's own task. `Pending` if the driver is taken: the task that has it wakes this one when it
    /// puts it back. If `work` is `Ready`, the driver ends.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut D, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut state = self.state.lock();
        let driver = match mem::replace(&mut state.driver, Place::Taken) {
            Place::Here(driver) => driver,
            Place::Taken => {
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
        let mut taken = Borrowed { slot: self, driver: Some(driver), task: Some(task) };
        let polled = taken.parts().map_or(Poll::Pending, |(driver, _)| work(driver, cx));
        if polled.is_ready() {
            self.clear();
        }
        polled
    }
}

/// A driver that a task has taken. Dropping this puts it back.
pub(crate) struct Borrowed<'a, D> {
    slot: &'a Slot<D>,
    driver: Option<Box<D>>,
    task: Option<Waker>,
}

impl<D> Borrowed<'_, D> {
    /// The driver, and the waker of its own task.
    pub(crate) fn parts(&mut self) -> Option<(&mut D, &Waker)> {
        self.driver.as_deref_mut().zip(self.task.as_ref())
    }

    /// Puts the driver back. Wakes its own task if that was polled meanwhile, or if `wake` is set. Returns whether it was
    /// polled.
    pub(crate) fn give_back(mut self, wake: bool) -> bool {
        self.return_driver(wake)
    }

    fn return_driver(&mut self, wake: bool) -> bool {
        let Some(driver) = self.driver.take() else { return false };
        let mut state = self.slot.state.lock();
        if !matches!(state.driver, Place::Taken) {
            // It was cleared meanwhile.
            drop(state);
            drop(driver);
            return false;
        }
        state.driver = Place::Here(driver);
        let polled = state.task.is_some();
        if !polled {
            state.task = self.task.take();
        }
        let waker = state.task.as_ref().filter(|_| polled || wake).cloned();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        polled
    }
}

impl<D> Drop for Borrowed<'_, D> {
    fn drop(&mut self) {
        self.return_driver(false);
    }
}
