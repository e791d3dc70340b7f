//! So many streams at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use stackwire_core::{BoxPipe, Error, Kind, Muxer, Pipe, PipeDecorator, ProtocolId, Result, Session, pipe_decorator};

use crate::over::over_started;

/// The code with which excess streams are reset: “resource limit” of libp2p's error codes.
pub const RESOURCE_LIMIT: u32 = 0x1002;

/// Streams refused in one poll, before other tasks get their turn.
const REFUSALS: usize = 64;

/// How many streams a connection may have at once. A stream counts until it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams the peer opened. More are reset when they are accepted, with [`RESOURCE_LIMIT`].
    pub inbound: usize,
    /// Streams we opened. Opening more fails with `LimitExceeded`.
    pub outbound: usize,
}

impl StreamLimits {
    /// `session` with these limits.
    pub fn over_session(self, session: Arc<dyn Session>) -> Arc<dyn Session> {
        Arc::new(LimitedSession {
            inner: session,
            inbound: Places::new(self.inbound),
            outbound: Places::new(self.outbound),
        })
    }

    /// `muxer` with these limits on each of its connections.
    pub fn over_muxer(self, muxer: Arc<dyn Muxer>) -> Arc<dyn Muxer> {
        over_started(muxer, move |session, driver, _| (self.over_session(session), driver))
    }
}

struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

impl Places {
    fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    fn are_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.max
    }

    fn take(&self) -> Option<Place> {
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < self.max).then_some(taken + 1))
            .ok()
            .map(|_| Place(self.taken.clone()))
    }
}

/// A stream's place, given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct LimitedSession {
    inner: Arc<dyn Session>,
    inbound: Places,
    outbound: Places,
}

impl LimitedSession {
    fn exceeded(&self) -> Error {
        let kind = Kind::LimitExceeded { limit: "outbound_streams", max: self.outbound.max as u64 };
        Error::new(kind, "opening a stream")
    }

    fn opened(&self, open: impl FnOnce() -> Poll<Result<BoxPipe>>) -> Poll<Result<BoxPipe>> {
        if self.outbound.are_full() {
            return Poll::Ready(Err(self.exceeded()));
        }
        // The place is taken last: one who waits holds none, and cannot make another fail.
        let pipe = ready!(open())?;
        Poll::Ready(match self.outbound.take() {
            Some(place) => Ok(Box::new(Placed { inner: pipe, _place: place })),
            None => Err(self.exceeded()),
        })
    }

    /// The next inbound stream that there is a place for, and what came with it.
    fn accepted<T>(
        &self,
        cx: &mut Context<'_>,
        accept: impl Fn(&mut Context<'_>) -> Poll<Result<(T, BoxPipe)>>,
    ) -> Poll<Result<(T, BoxPipe)>> {
        for _ in 0..REFUSALS {
            let (with, mut pipe) = ready!(accept(cx))?;
            match self.inbound.take() {
                Some(place) => return Poll::Ready(Ok((with, Box::new(Placed { inner: pipe, _place: place })))),
                None => pipe.reset(RESOURCE_LIMIT),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[deny(clippy::missing_trait_methods)]
impl Session for LimitedSession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        self.opened(|| self.inner.poll_open(cx))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        self.accepted(cx, |cx| self.inner.poll_accept(cx).map_ok(|pipe| ((), pipe))).map_ok(|((), pipe)| pipe)
    }

    fn names_protocols(&self) -> bool {
        self.inner.names_protocols()
    }

    fn poll_open_named(&self, cx: &mut Context<'_>, protocol: &ProtocolId) -> Poll<Result<BoxPipe>> {
        self.opened(|| self.inner.poll_open_named(cx, protocol))
    }

    fn poll_accept_named(&self, cx: &mut Context<'_>) -> Poll<Result<(ProtocolId, BoxPipe)>> {
        self.accepted(cx, |cx| self.inner.poll_accept_named(cx))
    }

    fn close(&self, code: u32) {
        self.inner.close(code);
    }

    fn round_trip(&self) -> Option<Duration> {
        self.inner.round_trip()
    }

    fn carries_codes(&self) -> bool {
        self.inner.carries_codes()
    }

    fn window(&self) -> Option<u64> {
        self.inner.window()
    }
}

struct Placed {
    // Dropped in this order, so that a place is free only when its stream is gone.
    inner: BoxPipe,
    _place: Place,
}

pipe_decorator!(Placed { inner: BoxPipe });

impl PipeDecorator for Placed {}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use stackwire_conformance::pipes;
    use stackwire_core::SessionExt;

    use super::*;

    /// Streams that were made beforehand, for either direction; keeps their other ends.
    #[derive(Default)]
    struct Ready(Mutex<Vec<BoxPipe>>);

    impl Session for Ready {
        fn poll_open(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
            let (ours, theirs) = pipes::pair();
            self.0.lock().push(theirs);
            Poll::Ready(Ok(ours))
        }
        fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
            let made = self.0.lock().len();
            if made < 100 { self.poll_open(cx) } else { Poll::Pending }
        }
        fn close(&self, _: u32) {}
        fn names_protocols(&self) -> bool {
            true
        }
        fn poll_open_named(&self, cx: &mut Context<'_>, protocol: &ProtocolId) -> Poll<Result<BoxPipe>> {
            match protocol.as_str() {
                "/known" => self.poll_open(cx),
                _ => Poll::Ready(Err(Error::closed("no such protocol"))),
            }
        }
        fn poll_accept_named(&self, cx: &mut Context<'_>) -> Poll<Result<(ProtocolId, BoxPipe)>> {
            self.poll_accept(cx).map_ok(|pipe| ("/known".into(), pipe))
        }
    }

    /// The limits, and the wrappers of streams, hold for streams that a session names, too.
    #[tokio::test]
    async fn streams_with_names_are_limited_and_keep_them() {
        let plain: crate::over::Wrap = Arc::new(|pipe, _| pipe);
        let env = stackwire_conformance::env();
        let session = crate::over::over_session(Arc::new(Ready::default()), plain, &env);
        let session = StreamLimits { inbound: 1, outbound: 1 }.over_session(session);
        assert!(session.names_protocols());
        let known = ProtocolId::new("/known");
        assert!(session.open_named(&"/other".into()).await.is_err(), "a failure takes no place");
        let _out = session.open_named(&known).await.unwrap();
        let error = session.open_named(&known).await.err().unwrap();
        assert_eq!(error.kind(), &Kind::LimitExceeded { limit: "outbound_streams", max: 1 });
        let (protocol, _in) = session.accept_named().await.unwrap();
        assert_eq!(protocol, known);
        assert!(futures::poll!(std::pin::pin!(session.accept_named())).is_pending(), "the rest is refused");
    }

    #[tokio::test]
    async fn opening_beyond_the_limit_fails_until_a_stream_is_dropped() {
        let session = StreamLimits { inbound: 1, outbound: 2 }.over_session(Arc::new(Ready::default()));
        let first = session.open().await.unwrap();
        let _second = session.open().await.unwrap();
        let error = session.open().await.err().unwrap();
        assert_eq!(error.kind(), &Kind::LimitExceeded { limit: "outbound_streams", max: 2 });
        drop(first);
        session.open().await.unwrap();
    }

    #[tokio::test]
    async fn accepting_beyond_the_limit_refuses_and_goes_on() {
        let inner = Arc::new(Ready::default());
        let session = StreamLimits { inbound: 2, outbound: 0 }.over_session(inner.clone());
        let first = session.accept().await.unwrap();
        let _second = session.accept().await.unwrap();
        assert!(futures::poll!(std::pin::pin!(session.accept())).is_pending());
        while inner.0.lock().len() < 100 {
            assert!(futures::poll!(std::pin::pin!(session.accept())).is_pending(), "a refused stream was handed out");
        }
        drop(first);
        inner.0.lock().truncate(2);
        session.accept().await.unwrap();
    }
}
