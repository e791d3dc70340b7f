//! Time, randomness and tasks: everything a plug-in may not take from its surroundings.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{AbortHandle, Abortable, BoxFuture},
};
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use crate::{Error, Kind, Lookup, NoLookup, Result};

/// What a node, or a simulation with a seed, supplies.
pub trait Runtime: Send + Sync + 'static {
    /// Monotonic time.
    fn now(&self) -> Instant;
    /// Wall-clock time since 1970-01-01 UTC.
    fn unix_time(&self) -> Duration;
    /// A future that ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// Fills `bytes` with random ones, fit for keys outside of simulation.
    fn fill_random(&self, bytes: &mut [u8]);
    /// Runs `task` to its end.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Has the task of `cx` polled again once others of its thread had their turn.
    fn yield_now(&self, cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }
    /// What names lead to.
    fn lookup(&self) -> &dyn Lookup {
        &NoLookup
    }
}

/// A runtime with another resolver.
struct WithLookup {
    env: Env,
    lookup: Arc<dyn Lookup>,
}

impl Runtime for WithLookup {
    fn now(&self) -> Instant {
        self.env.0.runtime.now()
    }
    fn unix_time(&self) -> Duration {
        self.env.0.runtime.unix_time()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.env.0.runtime.sleep(duration)
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        self.env.0.runtime.fill_random(bytes);
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.env.0.runtime.spawn(task);
    }
    fn yield_now(&self, cx: &mut Context<'_>) {
        self.env.0.runtime.yield_now(cx);
    }
    fn lookup(&self) -> &dyn Lookup {
        &*self.lookup
    }
}

thread_local! {
    static YIELDED: Cell<bool> = const { Cell::new(false) };
}

/// A shared handle on a [`Runtime`], which counts its tasks.
#[derive(Clone)]
pub struct Env(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    runtime: Box<dyn Runtime>,
}

/// How many tasks of each label run.
type Tasks = Arc<Mutex<BTreeMap<&'static str, usize>>>;

/// Counts one task until it is dropped.
struct Counted {
    tasks: Tasks,
    label: &'static str,
}

impl Counted {
    fn new(tasks: &Tasks, label: &'static str) -> Self {
        *tasks.lock().entry(label).or_default() += 1;
        Self { tasks: tasks.clone(), label }
    }
}

pin_project! {
    /// A task that is counted. A type of its own because an `async` block would hold the task twice.
    struct CountedTask<F> {
        #[pin]
        task: F,
        _counted: Counted,
    }
}

impl<F: Future<Output = ()>> Future for CountedTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().task.poll(cx)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(count) = self.tasks.lock().get_mut(self.label) {
            *count -= 1;
        }
    }
}

impl Env {
    /// Wraps a runtime.
    pub fn new(runtime: impl Runtime) -> Self {
        Self(Arc::new(Inner { tasks: Tasks::default(), runtime: Box::new(runtime) }))
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.0.runtime.now()
    }

    /// Wall-clock time since 1970-01-01 UTC.
    pub fn unix_time(&self) -> Duration {
        self.0.runtime.unix_time()
    }

    /// Waits for `duration`. Cancel-safe.
    pub fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.runtime.sleep(duration)
    }

    /// As [`Env::sleep`], and up to a second longer: until a whole second of the clock. For what thousands of connections do
    /// now and then: what ends together costs one wake instead of many.
    pub fn sleep_loosely(&self, duration: Duration) -> BoxFuture<'static, ()> {
        const SECOND: u32 = 1_000_000_000;
        let beyond = (self.unix_time() + duration).subsec_nanos();
        let rest = if beyond == 0 { 0 } else { SECOND - beyond };
        self.sleep(duration + Duration::from_nanos(rest.into()))
    }

    /// Fills `bytes` with random ones.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.0.runtime.fill_random(bytes);
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill_random(&mut bytes);
        bytes
    }

    /// For a task that has more to do and has done enough for now: has it polled again once others of its thread had
    /// their turn. A task that wakes itself is something else to a scheduler: work that another thread could take.
    pub fn yield_now(&self, cx: &mut Context<'_>) {
        YIELDED.set(true);
        self.0.runtime.yield_now(cx);
    }

    /// Whether anything on this thread [yielded](Self::yield_now) since this was last asked. For whoever does work in the
    /// name of another task: a scheduler owes another poll only to the task that it is polling, so that the other is to be
    /// woken.
    pub fn has_yielded() -> bool {
        YIELDED.replace(false)
    }

    /// What names lead to.
    pub fn lookup(&self) -> &dyn Lookup {
        self.0.runtime.lookup()
    }

    /// The same, with names that lead to what `lookup` says.
    #[must_use]
    pub fn with_lookup(&self, lookup: Arc<dyn Lookup>) -> Self {
        Self::new(WithLookup { env: self.clone(), lookup })
    }

    /// Runs `task` to its end. `label` says what it is, for [`Env::tasks`].
    pub fn spawn_detached(&self, label: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let _counted = Counted::new(&self.0.tasks, label);
        self.0.runtime.spawn(Box::pin(CountedTask { task, _counted }));
    }

    /// Runs `task` until it ends or the returned handle is dropped. `label` says what it is, for [`Env::tasks`].
    pub fn spawn(&self, label: &'static str, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let (handle, registration) = AbortHandle::new_pair();
        self.spawn_detached(label, Abortable::new(task, registration).map(drop));
        Task(Some(handle))
    }

    /// How many tasks of each label run that were spawned with this handle or a clone of it. One that was stopped counts
    /// until its runtime has dropped it.
    pub fn tasks(&self) -> Vec<(&'static str, usize)> {
        self.0.tasks.lock().iter().filter(|(_, count)| **count > 0).map(|(label, count)| (*label, *count)).collect()
    }

    /// Runs `work` in a task of this runtime and gives its result to whoever waits, on whatever thread. Dropping the future
    /// stops the task at its next wait. Fails with `Closed` if the runtime ends first.
    pub async fn run<T: Send + 'static>(
        &self,
        label: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let _task = self.spawn(label, async move {
            // Nobody may wait any more.
            let _ = sender.send(work.await);
        });
        receiver.await.unwrap_or_else(|_| Err(Error::closed("the runtime has ended")))
    }

    /// Runs `work`, at most for `limit`; then `work` is dropped and the error is `Timeout`, naming `during`.
    pub fn timeout<T, F: Future<Output = Result<T>>>(
        &self,
        limit: Duration,
        during: &'static str,
        work: F,
    ) -> Timeout<'_, F> {
        Timeout { work, env: self, expiry: None, limit, during }
    }
}

pin_project! {
    /// Work with a time limit; see [`Env::timeout`]. A type of its own because an `async fn` would hold the work twice.
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<'a, F> {
        #[pin]
        work: F,
        env: &'a Env,
        expiry: Option<BoxFuture<'static, ()>>,
        limit: Duration,
        during: &'static str,
    }
}

impl<T, F: Future<Output = Result<T>>> Future for Timeout<'_, F> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.project();
        if let Poll::Ready(result) = this.work.poll(cx) {
            return Poll::Ready(result);
        }
        // What need not wait at all needs no timer.
        ready!(this.expiry.get_or_insert_with(|| this.env.sleep(*this.limit)).poll_unpin(cx));
        Poll::Ready(Err(Error::new(Kind::Timeout { limit: *this.limit }, *this.during)))
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

/// A running task. Dropping it stops the task at its next wait.
#[derive(Debug)]
#[must_use = "dropping a task stops it; `detach` lets it run"]
pub struct Task(Option<AbortHandle>);

impl Task {
    /// Lets the task run to its own end.
    pub fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}
