//! Who drives.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use stackwire_core::{Env, Result};
use tokio::task::coop;

use crate::{Drive, Stint};

/// A connection that has a driver.
pub trait Driven: Send + Sync + 'static {
    /// Its driver, which may hold the connection: neither is freed before [`Driving`] is.
    type Driver: Drive;

    /// Where the driver sits.
    fn wheel(&self) -> &Wheel<Self::Driver>;
}

/// Where a driver sits: one at a time makes it work.
pub struct Wheel<D> {
    seat: Mutex<Option<Seat<D>>>,
    /// The driver's task came while somebody else was at it.
    missed: AtomicBool,
}

struct Seat<D> {
    driver: D,
    /// The driver's task, once it has run.
    task: Option<Waker>,
}

impl<D> Wheel<D> {
    /// Nobody drives, not yet.
    pub fn new() -> Self {
        Self { seat: Mutex::new(None), missed: AtomicBool::new(false) }
    }

    /// Has `work` done in the caller's task, with the driver and the context of the driver's task: what has to wait
    /// is woken there. `None` where that is not possible now: somebody else is at it, or the driver's task has not begun
    /// or has ended. Ends the `stint` where the driver's task came meanwhile.
    pub fn borrow<T>(
        &self,
        stint: &mut Stint,
        work: impl FnOnce(&mut D, &mut Context<'_>, &mut Stint) -> T,
    ) -> Option<T> {
        let mut seat = self.seat.try_lock()?;
        let Seat { driver, task } = seat.as_mut()?;
        let task = task.clone()?;
        let _before = Env::has_yielded();
        let done = work(driver, &mut Context::from_waker(&task), stint);
        drop(seat);
        // Sockets yield too, once the caller's task has done much.
        if Env::has_yielded() || !coop::has_budget_remaining() {
            task.wake_by_ref();
        }
        // It looked between the lock and here, or will find the lock open.
        if self.missed.swap(false, Ordering::SeqCst) {
            // A scheduler may keep it for this thread, so that it waits for the caller's task to pause.
            stint.end();
            task.wake();
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
        *connection.wheel().seat.lock() = Some(Seat { driver, task: None });
        Self(connection)
    }
}

impl<C: Driven> Future for Driving<C> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let wheel = self.0.wheel();
        let taken = || {
            wheel.missed.store(true, Ordering::SeqCst);
            wheel.seat.try_lock()
        };
        let Some(mut seat) = wheel.seat.try_lock().or_else(taken) else { return Poll::Pending };
        wheel.missed.store(false, Ordering::SeqCst);
        let Some(Seat { driver, task }) = seat.as_mut() else { return Poll::Pending };
        match task {
            Some(task) => task.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        let done = Pin::new(driver).poll(cx);
        if done.is_ready() {
            let ended = seat.take();
            drop(seat);
            drop(ended);
        }
        done
    }
}

impl<C: Driven> Drop for Driving<C> {
    fn drop(&mut self) {
        let ended = self.0.wheel().seat.lock().take();
        drop(ended);
    }
}

impl<C: Driven> fmt::Debug for Driving<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driving")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::AtomicUsize,
        task::{Wake, ready},
        time::{Duration, Instant},
    };

    use futures::{FutureExt, future::BoxFuture};
    use stackwire_core::Runtime;

    use super::*;
    use crate::Ran;

    /// Counts what was done, and ends after ten.
    struct Counter {
        done: usize,
        env: Env,
    }

    impl Future for Counter {
        type Output = Result<()>;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            self.done += 1;
            if self.done < 10 { Poll::Pending } else { Poll::Ready(Ok(())) }
        }
    }

    impl Drive for Counter {
        type End = ();

        fn is_running(&self) -> bool {
            true
        }

        fn run(&mut self, _: &mut Context<'_>) -> Ran<()> {
            self.done += 1;
            if self.done == 3 { Ran::Tired } else { Ran::Waits }
        }

        fn end(&mut self, (): ()) {}

        fn moved(&self) -> usize {
            1 << 20
        }

        fn woke(&mut self) -> bool {
            self.done == 5
        }

        fn env(&self) -> &Env {
            &self.env
        }
    }

    #[derive(Default)]
    struct Connection(Wheel<Counter>);

    impl Driven for Connection {
        type Driver = Counter;

        fn wheel(&self) -> &Wheel<Counter> {
            &self.0
        }
    }

    #[derive(Default)]
    struct Alarm(AtomicUsize);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn driven() -> (Arc<Connection>, Driving<Connection>) {
        let connection = Arc::new(Connection::default());
        (connection.clone(), Driving::new(connection, Counter { done: 0, env: stackwire_conformance::env() }))
    }

    #[test]
    fn work_is_done_in_the_name_of_the_drivers_task() {
        let (connection, mut driving) = driven();
        assert_eq!(
            connection.0.borrow(&mut Stint::default(), |counter, _, _| counter.done),
            None,
            "the task has not begun"
        );
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(alarm.clone());
        assert!(driving.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        let done = connection.0.borrow(&mut Stint::default(), |counter, cx, _| {
            cx.waker().wake_by_ref();
            counter.done
        });
        assert_eq!((done, alarm.0.load(Ordering::Relaxed)), (Some(1), 1));
    }

    #[test]
    fn what_yields_in_the_name_of_the_drivers_task_wakes_it() {
        /// Polls nobody again.
        struct Forgetful;
        impl Runtime for Forgetful {
            fn now(&self) -> Instant {
                unreachable!()
            }
            fn unix_time(&self) -> Duration {
                unreachable!()
            }
            fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
                unreachable!()
            }
            fn fill_random(&self, _: &mut [u8]) {}
            fn spawn(&self, _: BoxFuture<'static, ()>) {}
            fn yield_now(&self, _: &mut Context<'_>) {}
        }
        let (connection, mut driving) = driven();
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(alarm.clone());
        assert!(driving.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        let env = Env::new(Forgetful);
        env.yield_now(&mut Context::from_waker(Waker::noop()));
        connection.0.borrow(&mut Stint::default(), |_, _, _| ());
        assert_eq!(alarm.0.load(Ordering::Relaxed), 0, "that was before");
        connection.0.borrow(&mut Stint::default(), |_, cx, _| env.yield_now(cx));
        assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            connection.0.borrow(&mut Stint::default(), |_, _, _| ());
            assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
            connection.0.borrow(&mut Stint::default(), |_, cx, _| {
                while let Poll::Ready(share) = coop::poll_proceed(cx) {
                    share.made_progress();
                }
            });
            assert_eq!(alarm.0.load(Ordering::Relaxed), 2, "a socket would have said that it is to come again");
        });
    }

    #[test]
    fn a_task_that_drives_makes_a_pause_after_much_or_where_others_were_woken() {
        let (connection, mut driving) = driven();
        let (env, alarm) = (stackwire_conformance::env(), Arc::new(Alarm::default()));
        let waker = Waker::from(alarm.clone());
        assert!(driving.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        let mut stint = Stint::default();
        let pauses: Vec<bool> = (2..9)
            .map(|_| {
                connection.0.drive(&mut stint);
                stint.poll(&env, &mut Context::from_waker(Waker::noop())).is_pending()
            })
            .collect();
        assert_eq!(pauses, [false, false, false, true, false, false, false]);
        assert_eq!(alarm.0.load(Ordering::Relaxed), 1, "the third turn left something to do");
        connection.0.drive(&mut stint);
        assert!(stint.poll(&env, &mut Context::from_waker(Waker::noop())).is_pending(), "4 MiB");
    }

    #[test]
    fn the_drivers_task_comes_again_after_it_found_somebody_else_at_it() {
        let (connection, mut driving) = driven();
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(alarm.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(driving.poll_unpin(&mut cx).is_pending());
        connection.0.borrow(&mut Stint::default(), |counter, _, _| {
            assert!(driving.poll_unpin(&mut cx).is_pending());
            assert!(connection.0.borrow(&mut Stint::default(), |_, _, _| ()).is_none());
            assert_eq!((counter.done, alarm.0.load(Ordering::Relaxed)), (1, 0));
        });
        assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
        connection.0.borrow(&mut Stint::default(), |_, _, _| ());
        assert_eq!(alarm.0.load(Ordering::Relaxed), 1, "nobody came meanwhile");
    }

    #[test]
    fn the_driver_is_dropped_with_its_end_or_its_task() {
        let (connection, driving) = driven();
        assert_eq!(Arc::strong_count(&connection), 2);
        futures::executor::block_on(async {
            let mut driving = driving;
            poll_fn(|cx| {
                let ended = driving.poll_unpin(cx);
                cx.waker().wake_by_ref();
                ready!(ended).unwrap();
                Poll::Ready(())
            })
            .await;
            assert!(connection.0.borrow(&mut Stint::default(), |_, _, _| ()).is_none());
        });
        let (connection, mut driving) = driven();
        assert!(driving.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(driving);
        assert!(connection.0.borrow(&mut Stint::default(), |_, _, _| ()).is_none());
    }

    /// Two threads that borrow and the task's own: no wake is lost, and the driver sees all the work.
    #[test]
    fn no_wake_is_lost_between_threads() {
        #[derive(Default)]
        struct Sum(Wheel<Adder>, AtomicUsize);
        struct Adder(Arc<Sum>, usize);
        impl Future for Adder {
            type Output = Result<()>;
            fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                self.1 += self.0.1.swap(0, Ordering::SeqCst);
                if self.1 < 20_000 { Poll::Pending } else { Poll::Ready(Ok(())) }
            }
        }
        impl Drive for Adder {
            type End = ();
            fn is_running(&self) -> bool {
                false
            }
            fn run(&mut self, _: &mut Context<'_>) -> Ran<()> {
                unreachable!("nobody asks for a turn");
            }
            fn end(&mut self, (): ()) {}
            fn moved(&self) -> usize {
                0
            }
            fn woke(&mut self) -> bool {
                false
            }
            fn env(&self) -> &Env {
                unreachable!("it is a future of its own")
            }
        }
        impl Driven for Sum {
            type Driver = Adder;
            fn wheel(&self) -> &Wheel<Adder> {
                &self.0
            }
        }
        let sum = Arc::new(Sum::default());
        let driving = Driving::new(sum.clone(), Adder(sum.clone(), 0));
        let adders: Vec<_> = (0..2)
            .map(|_| {
                let sum = sum.clone();
                std::thread::spawn(move || {
                    let mut added = 0;
                    while added < 10_000 {
                        let worked = sum.0.borrow(&mut Stint::default(), |adder, cx, _| {
                            adder.1 += 1;
                            cx.waker().wake_by_ref();
                        });
                        added += usize::from(worked.is_some());
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        futures::executor::block_on(driving).unwrap();
        adders.into_iter().for_each(|adder| adder.join().unwrap());
    }
}
