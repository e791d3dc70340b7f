//! quinn's view of its surroundings, out of `Env`.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime},
};

use futures::future::BoxFuture;
use quinn::{AsyncTimer, AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, Runtime, TimeSource};
use stackwire_certificate::Clock;
use stackwire_core::Env;

/// Length of the connection ids that we give out: as others have it, enough that nobody guesses one.
const ID_LEN: usize = 8;

/// Length of the first id of a connection, which only its first packets have. The longest there is.
const FIRST_ID_LEN: usize = 20;

/// Time and tasks.
#[derive(Debug)]
pub(crate) struct EnvRuntime(pub(crate) Env);

impl Runtime for EnvRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let timer = Timer { env: self.0.clone(), deadline: at, armed: None };
        Box::pin(timer)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // An endpoint ends with its last connection, a connection soon after its close.
        self.0.spawn_detached("quinn", future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "sockets come from `Sockets`"))
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

/// A timer that is moved often, mostly to later, as every packet does: what sleeps is replaced only where it would sleep
/// too long.
struct Timer {
    env: Env,
    deadline: Instant,
    /// When what sleeps will wake, and that.
    armed: Option<(Instant, BoxFuture<'static, ()>)>,
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.deadline = at;
        if self.armed.as_ref().is_some_and(|(wakes, _)| *wakes > at) {
            self.armed = None;
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.env.now();
            if now >= self.deadline {
                self.armed = None;
                return Poll::Ready(());
            }
            let (deadline, env) = (self.deadline, self.env.clone());
            let (_, sleep) = self.armed.get_or_insert_with(|| (deadline, env.sleep(deadline - now)));
            ready!(sleep.as_mut().poll(cx));
            self.armed = None;
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timer({:?})", self.deadline)
    }
}

/// Wall-clock time, for the validity of retry tokens.
pub(crate) struct WallClock(pub(crate) Clock);

impl TimeSource for WallClock {
    fn now(&self) -> SystemTime {
        self.0.system_time()
    }
}

/// Random connection ids.
pub(crate) struct Ids(pub(crate) Env);

impl Ids {
    /// The id that the first packets of a connection are sent to.
    pub(crate) fn first(&self) -> ConnectionId {
        ConnectionId::new(&self.0.random::<FIRST_ID_LEN>())
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.0.random::<ID_LEN>())
    }

    fn cid_len(&self) -> usize {
        ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_at_its_last_deadline() {
        let env = stackwire_conformance::env();
        let start = env.now();
        let runtime = EnvRuntime(env.clone());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timer = runtime.new_timer(at(10));
        let poll = async |timer: &mut Pin<Box<dyn AsyncTimer>>| poll_fn(|cx| timer.as_mut().poll(cx)).await;
        poll(&mut timer).await;
        assert_eq!(env.now(), at(10));
        // At once, and as often as it is asked.
        poll(&mut timer).await;
        for (first, then) in [(20, 30), (60, 40), (50, 45)] {
            timer.as_mut().reset(at(first));
            assert!(futures::poll!(std::pin::pin!(poll(&mut timer))).is_pending());
            timer.as_mut().reset(at(then));
            poll(&mut timer).await;
            assert_eq!(env.now(), at(then), "moved from {first} to {then}");
        }
    }
}
