//! Any number of tasks that wait for one thing.

use std::{mem, sync::Arc, task::Waker};

use futures::task::ArcWake;
use parking_lot::Mutex;

/// Wakers of tasks that wait to open a stream. Each must register again once it was woken.
#[derive(Debug, Default)]
pub(crate) struct Openers(Mutex<Vec<Waker>>);

impl Openers {
    /// Those who gave up leave their wakers behind. With so many, all are woken: who still waits registers again.
    const MANY: usize = 1024;

    /// Wakes the task at the next [`Openers::wake_all`].
    pub(crate) fn register(&self, waker: &Waker) {
        let many = {
            let mut wakers = self.0.lock();
            if wakers.iter().any(|known| known.will_wake(waker)) {
                return;
            }
            let many = if wakers.len() < Self::MANY { Vec::new() } else { mem::take(&mut *wakers) };
            wakers.push(waker.clone());
            many
        };
        many.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn wake_all(&self) {
        let wakers = mem::take(&mut *self.0.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl ArcWake for Openers {
    fn wake_by_ref(this: &Arc<Self>) {
        this.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::task::waker;

    use super::*;

    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn everyone_is_woken_once_and_the_list_is_bounded() {
        let openers = Openers::default();
        let counts: Vec<_> = (0..Openers::MANY + 1).map(|_| Arc::new(Count(AtomicUsize::new(0)))).collect();
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).sum::<usize>();
        for count in &counts[..Openers::MANY] {
            openers.register(&waker(count.clone()));
            openers.register(&waker(count.clone()));
        }
        assert_eq!(woken(), 0);
        openers.register(&waker(counts[Openers::MANY].clone()));
        assert_eq!(woken(), Openers::MANY, "all but the new one");
        openers.wake_all();
        openers.wake_all();
        assert!(counts.iter().all(|count| count.0.load(Ordering::Relaxed) == 1));
    }
}
