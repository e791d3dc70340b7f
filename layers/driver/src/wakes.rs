//! Tasks to wake once the lock is released.

use std::{
    mem,
    task::{Context, Waker},
};

/// Whom to wake. The usual one or none costs no allocation.
#[derive(Debug, Default)]
pub struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
    /// Somebody was woken since this was last [asked](Self::woke).
    woke: bool,
}

impl Wakes {
    /// Takes `waker`, if there is one.
    pub fn add(&mut self, waker: &mut Option<Waker>) {
        match (&self.first, waker.take()) {
            (None, waker) => self.first = waker,
            (Some(_), waker) => self.more.extend(waker),
        }
    }

    /// Takes `waker`, if it is one.
    pub fn push(&mut self, mut waker: Option<Waker>) {
        self.add(&mut waker);
    }

    /// Takes all `wakers`.
    pub fn append(&mut self, wakers: &mut Vec<Waker>) {
        self.more.append(wakers);
    }

    /// Whether anybody was woken since this was last asked.
    pub fn woke(&mut self) -> bool {
        mem::take(&mut self.woke)
    }

    /// Wakes all of them. Keeps its memory.
    pub fn wake(&mut self) {
        self.woke |= self.first.is_some() || !self.more.is_empty();
        self.first.take().into_iter().chain(self.more.drain(..)).for_each(Waker::wake);
    }
}

/// Keeps the task of `cx` in `slot`.
pub fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
