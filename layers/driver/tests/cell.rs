//! Who drives: borrowing, yielding, waking and the end, each without the timing of threads. `model.rs` has that.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use stackwire_core::{Env, Result, Runtime};
use stackwire_driver::{AssistBudget, ConnectionDriver, DriverCell, DriverTask, HasDriver, Run};
use tokio::task::coop;

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

impl ConnectionDriver for Counter {
    type End = ();

    fn is_running(&self) -> bool {
        true
    }

    fn run(&mut self, _: &mut Context<'_>) -> Run<()> {
        self.done += 1;
        if self.done == 3 { Run::BudgetSpent } else { Run::Idle }
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
struct Connection(DriverCell<Counter>);

impl HasDriver for Connection {
    type Driver = Counter;

    fn driver_cell(&self) -> &DriverCell<Counter> {
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

fn driven() -> (Arc<Connection>, DriverTask<Connection>) {
    let connection = Arc::new(Connection::default());
    (connection.clone(), DriverTask::new(connection, Counter { done: 0, env: stackwire_conformance::env() }))
}

#[test]
fn work_is_done_in_the_name_of_the_drivers_task() {
    let (connection, mut driving) = driven();
    assert_eq!(
        connection.0.borrow(&mut AssistBudget::default(), |counter, _, _| counter.done),
        None,
        "the task has not begun"
    );
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    assert!(driving.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    let done = connection.0.borrow(&mut AssistBudget::default(), |counter, cx, _| {
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
    connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ());
    assert_eq!(alarm.0.load(Ordering::Relaxed), 0, "that was before");
    connection.0.borrow(&mut AssistBudget::default(), |_, cx, _| env.yield_now(cx));
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ());
        assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
        connection.0.borrow(&mut AssistBudget::default(), |_, cx, _| {
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
    let mut assist = AssistBudget::default();
    let pauses: Vec<bool> = (2..9)
        .map(|_| {
            connection.0.run(&mut assist);
            assist.poll(&env, &mut Context::from_waker(Waker::noop())).is_pending()
        })
        .collect();
    assert_eq!(pauses, [false, false, false, true, false, false, false]);
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1, "the third turn left something to do");
    connection.0.run(&mut assist);
    assert!(assist.poll(&env, &mut Context::from_waker(Waker::noop())).is_pending(), "4 MiB");
}

#[test]
fn the_drivers_task_comes_again_after_it_found_somebody_else_at_it() {
    let (connection, mut driving) = driven();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(driving.poll_unpin(&mut cx).is_pending());
    connection.0.borrow(&mut AssistBudget::default(), |counter, _, _| {
        assert!(driving.poll_unpin(&mut cx).is_pending());
        assert!(connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ()).is_none());
        assert_eq!((counter.done, alarm.0.load(Ordering::Relaxed)), (1, 0));
    });
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
    connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ());
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
        assert!(connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ()).is_none());
    });
    let (connection, mut driving) = driven();
    assert!(driving.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(driving);
    assert!(connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ()).is_none());
}

/// A task may be polled with another waker while somebody else drives: it is that one that is woken.
#[test]
fn the_latest_waker_of_the_drivers_task_counts() {
    let (connection, mut driving) = driven();
    let alarms = [Arc::new(Alarm::default()), Arc::new(Alarm::default())];
    let wakers = alarms.clone().map(Waker::from);
    let count = |i: usize| alarms[i].0.load(Ordering::Relaxed);
    assert!(driving.poll_unpin(&mut Context::from_waker(&wakers[0])).is_pending());
    connection.0.borrow(&mut AssistBudget::default(), |_, cx, _| {
        assert!(driving.poll_unpin(&mut Context::from_waker(&wakers[1])).is_pending());
        assert!(cx.waker().will_wake(&wakers[0]), "the work began for that one");
    });
    assert_eq!((count(0), count(1)), (0, 1));
    assert!(driving.poll_unpin(&mut Context::from_waker(&wakers[1])).is_pending());
    connection.0.borrow(&mut AssistBudget::default(), |_, cx, _| assert!(cx.waker().will_wake(&wakers[1])));
}

#[test]
fn a_driver_whose_task_is_dropped_meanwhile_is_dropped_by_who_has_it() {
    let (connection, mut driving) = driven();
    assert!(driving.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
    connection.0.borrow(&mut AssistBudget::default(), |counter, _, _| {
        drop(driving);
        counter.done += 1;
    });
    assert!(connection.0.borrow(&mut AssistBudget::default(), |_, _, _| ()).is_none());
    assert_eq!(Arc::strong_count(&connection), 1);
}

#[test]
fn work_that_panics_leaves_the_driver_in_its_place() {
    let (connection, mut driving) = driven();
    assert!(driving.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        connection.0.borrow(&mut AssistBudget::default(), |_, _, _| panic!("a fault in a plug-in"));
    }));
    assert!(panicked.is_err());
    assert_eq!(connection.0.borrow(&mut AssistBudget::default(), |counter, _, _| counter.done), Some(1));
}
