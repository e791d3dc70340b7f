//! The driver's cell under a model checker: every order in which the steps of its tasks can happen is tried.
//!
//! Whatever the order, a wake that somebody owes to the driver's task comes, and to the waker that it was last polled with.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

/// What `slot.rs` locks with, here.
mod sync {
    use loom::sync::MutexGuard;

    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics under the lock")
        }
    }
}

#[path = "../src/slot.rs"]
mod slot;

use slot::Slot;

/// A driver: it remembers whom its pipe wakes, and what was done.
#[derive(Default)]
struct Work {
    pipe: Option<Waker>,
    done: usize,
}

/// Counts the wakes of one waker.
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn alarm() -> (Arc<Alarm>, Waker) {
    let alarm = Arc::new(Alarm(AtomicUsize::new(0)));
    (alarm.clone(), Waker::from(alarm))
}

fn slot() -> Arc<Slot<Work>> {
    let slot = Arc::new(Slot::new());
    slot.put(Work::default());
    slot
}

/// A stream's task: drives once, if it can.
fn borrow(slot: &Slot<Work>) -> bool {
    let Some(mut borrowed) = slot.borrow() else { return false };
    let (work, task) = borrowed.parts().expect("it was just taken");
    work.pipe = Some(task.clone());
    work.done += 1;
    borrowed.give_back(false);
    true
}

/// Polls the driver's own task once. Returns whether it drove.
fn poll(slot: &Slot<Work>, waker: &Waker) -> bool {
    let mut drove = false;
    let _pending = slot.poll(&mut Context::from_waker(waker), |work, cx| {
        work.pipe = Some(cx.waker().clone());
        drove = true;
        Poll::<()>::Pending
    });
    drove
}

#[test]
fn the_first_poll_drives_or_is_woken() {
    loom::model(|| {
        let slot = slot();
        let streams: Vec<_> = (0..2)
            .map(|_| {
                let slot = slot.clone();
                thread::spawn(move || borrow(&slot))
            })
            .collect();
        let (alarm, waker) = alarm();
        let drove = poll(&slot, &waker);
        streams.into_iter().for_each(|stream| _ = stream.join().unwrap());
        assert!(drove || alarm.0.load(SeqCst) > 0, "nobody will ever wake the driver's task");
    });
}

#[test]
fn a_poll_with_another_waker_meanwhile_has_that_one_woken() {
    loom::model(|| {
        let slot = slot();
        let (_old, before) = alarm();
        assert!(poll(&slot, &before));
        let streams: Vec<_> = (0..2)
            .map(|_| {
                let slot = slot.clone();
                thread::spawn(move || borrow(&slot))
            })
            .collect();
        let (alarm, waker) = alarm();
        let drove = poll(&slot, &waker);
        streams.into_iter().for_each(|stream| _ = stream.join().unwrap());
        if !drove {
            assert!(alarm.0.load(SeqCst) > 0, "it found the driver away, and was not woken");
            assert!(poll(&slot, &waker));
        }
        // The pipe's next wake must reach the task, or have been made up for.
        let woken = alarm.0.load(SeqCst);
        let mut borrowed = slot.borrow().expect("nobody drives");
        let (work, task) = borrowed.parts().unwrap();
        assert!(task.will_wake(&waker));
        work.pipe.take().expect("somebody drove").wake();
        assert_eq!(alarm.0.load(SeqCst), woken + 1, "the pipe wakes a waker that the task does not have any more");
    });
}

/// The executor of `block_on` polls only who was woken: a lost wake is a deadlock, which the checker reports.
#[test]
fn what_a_stream_leaves_to_the_drivers_task_is_seen_by_it() {
    loom::model(|| {
        let slot = slot();
        let stream = {
            let slot = slot.clone();
            thread::spawn(move || {
                loop {
                    if let Some(mut borrowed) = slot.borrow() {
                        let (work, task) = borrowed.parts().unwrap();
                        work.done += 1;
                        task.wake_by_ref();
                        borrowed.give_back(false);
                        return;
                    }
                    thread::yield_now();
                }
            })
        };
        loom::future::block_on(std::future::poll_fn(|cx| {
            slot.poll(cx, |work, _| if work.done == 0 { Poll::Pending } else { Poll::Ready(()) })
        }));
        stream.join().unwrap();
    });
}

#[test]
fn a_driver_that_ends_or_is_dropped_meanwhile_is_dropped_once() {
    struct Drops(Arc<AtomicUsize>);
    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    for ends in [true, false] {
        loom::model(move || {
            let drops = Arc::new(AtomicUsize::new(0));
            let slot = Arc::new(Slot::new());
            slot.put(Drops(drops.clone()));
            let waker = alarm().1;
            let mut cx = Context::from_waker(&waker);
            assert!(slot.poll(&mut cx, |_, _| Poll::<()>::Pending).is_pending());
            let stream = {
                let slot = slot.clone();
                thread::spawn(move || {
                    if let Some(borrowed) = slot.borrow() {
                        borrowed.give_back(false);
                    }
                })
            };
            let ended = ends && slot.poll(&mut cx, |_, _| Poll::Ready(())).is_ready();
            if !ended {
                slot.clear();
            }
            stream.join().unwrap();
            assert_eq!(drops.load(SeqCst), 1);
            assert!(slot.borrow().is_none());
        });
    }
}
