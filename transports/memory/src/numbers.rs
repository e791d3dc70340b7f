//! The process's numbers, and who listens on them.

use std::{collections::BTreeMap, sync::LazyLock};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::pipe::MemoryPipe;

/// A connection on its way to a listener.
#[derive(Debug)]
pub(crate) struct Arriving {
    /// The listener's end.
    pub(crate) pipe: MemoryPipe,
    /// The dialer's number.
    pub(crate) from: u64,
}

/// What is shared by every memory transport of the process, and why: two nodes that only have text configs cannot
/// hand each other anything but a number. It holds listeners that live, and nothing of anybody else.
static NUMBERS: LazyLock<Mutex<Numbers>> =
    LazyLock::new(|| Mutex::new(Numbers { last: 0, listeners: BTreeMap::new() }));

struct Numbers {
    last: u64,
    listeners: BTreeMap<u64, mpsc::Sender<Arriving>>,
}

impl Numbers {
    /// The next number that nobody listens on. Never 0.
    fn next(&mut self) -> u64 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.listeners.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

/// A number that nobody listens on, for the end of a dialer.
pub(crate) fn fresh() -> u64 {
    NUMBERS.lock().next()
}

/// A number that is listened on, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken(u64);

impl Taken {
    /// Listens on `number`, or on a free one where it is 0. `None` where somebody else does.
    pub(crate) fn take(number: u64, sender: mpsc::Sender<Arriving>) -> Option<Self> {
        let mut numbers = NUMBERS.lock();
        let number = if number == 0 { numbers.next() } else { number };
        if numbers.listeners.contains_key(&number) {
            return None;
        }
        numbers.listeners.insert(number, sender);
        Some(Self(number))
    }

    pub(crate) fn number(&self) -> u64 {
        self.0
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Out of the lock before it is dropped: it may be the last thing that keeps connections alive.
        let _sender = NUMBERS.lock().listeners.remove(&self.0);
    }
}

/// Who listens on `number`.
pub(crate) fn find(number: u64) -> Option<mpsc::Sender<Arriving>> {
    NUMBERS.lock().listeners.get(&number).cloned()
}
