//! Tasks to wake once the lock is released.

use std::task::{Context, Waker};

/// Whom to wake. The usual one or none costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakes {
    /// Takes `waker`, if there is one.
    pub(crate) fn add(&mut self, waker: &mut Option<Waker>) {
        match (&self.first, waker.take()) {
            (None, waker) => self.first = waker,
            (Some(_), waker) => self.more.extend(waker),
        }
    }

    /// Takes all `wakers`.
    pub(crate) fn append(&mut self, wakers: &mut Vec<Waker>) {
        self.more.append(wakers);
    }

    /// Wakes all of them. Keeps its memory.
    pub(crate) fn wake(&mut self) {
        self.first.take().into_iter().chain(self.more.drain(..)).for_each(Waker::wake);
    }
}

/// Keeps the task of `cx` in `slot`.
pub(crate) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
