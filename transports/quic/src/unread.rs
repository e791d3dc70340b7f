//! What streams hold that nobody reads, and what becomes of it where it keeps others waiting.
//!
//! All streams of a connection share its window. Where streams that nobody reads hold all of it, no other stream is heard
//! any more, not even a ping. A peer that can't send says so (DATA_BLOCKED). Where it goes on saying so, one stream that
//! nobody reads gives its part of the window back: its bytes are kept beside. When more is kept than may be, the stream
//! of which most is kept is reset. So one stream waits for its reader as long as it likes, many do as long as nobody else
//! needs the window.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, VarInt};
use stackwire_core::{Budget, Buffer, Env, Error, Kind};
use tokio::io::ReadBuf;

use crate::errors::{self, named};

/// How far apart a connection is looked at after a stream has begun, how often, and the longest without a look.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 2;
const REST: Duration = Duration::from_secs(30);
/// A stream that gives back less does not help.
const WORTH: usize = 64 * 1024;

/// The receiving half of a stream.
pub(crate) struct Inbound(Mutex<State>);

struct State {
    recv: RecvStream,
    /// Bytes beside the window. Copies: what quinn has keeps whole batches of packets.
    kept: VecDeque<Bytes>,
    bytes: usize,
    budget: Budget,
    reader: Option<Waker>,
    /// Somebody has read, or tried to, since the last look.
    was_read: bool,
    /// It was reset, because it kept others waiting.
    cut: Option<Error>,
}

impl Inbound {
    fn new(recv: RecvStream, budget: Budget) -> Self {
        let (kept, reader, cut) = (VecDeque::new(), None, None);
        Self(Mutex::new(State { recv, kept, bytes: 0, budget, reader, was_read: true, cut }))
    }

    /// Moves what there is to `out`; nothing at the end. `idle` is for the error of a connection that fell silent.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        idle: Duration,
    ) -> Poll<Result<(), Error>> {
        let mut state = self.0.lock();
        state.was_read = true;
        if let Some(error) = &state.cut {
            return Poll::Ready(Err(error.clone()));
        }
        if state.bytes > 0 {
            state.take_kept(out);
            return Poll::Ready(Ok(()));
        }
        let read = state.recv.poll_read_buf(cx, out);
        if read.is_pending() {
            state.note(cx);
        }
        Poll::Ready(ready!(read).map_err(|error| errors::of_reading(&error, idle)))
    }

    /// Wants no more.
    pub(crate) fn stop(&self, code: u32) {
        let reader = {
            let mut state = self.0.lock();
            // It may be over already.
            let _over = state.recv.stop(VarInt::from_u32(code));
            state.forget();
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }

    /// Gives its part of the window back, if nobody has read since the last look and it keeps nothing yet. How much that
    /// is.
    fn give_back(&self, most: usize) -> usize {
        let mut state = self.0.lock();
        if state.was_read || state.bytes > 0 || state.cut.is_some() {
            return 0;
        }
        // quinn wakes who looked last.
        let reader = state.reader.clone();
        let mut cx = Context::from_waker(reader.as_ref().unwrap_or(Waker::noop()));
        let mut buffer = Buffer::holding(Buffer::CHUNK);
        // An end or an error is told again to whoever reads next.
        while state.bytes < most {
            let mut out = ReadBuf::new(&mut buffer);
            let Poll::Ready(Ok(())) = state.recv.poll_read_buf(&mut cx, &mut out) else { break };
            let piece = Bytes::copy_from_slice(out.filled());
            if piece.is_empty() {
                break;
            }
            state.bytes += piece.len();
            state.budget.charge(piece.len());
            state.kept.push_back(piece);
        }
        state.bytes
    }

    fn cut(&self, error: Error) {
        let reader = {
            let mut state = self.0.lock();
            let _over = state.recv.stop(VarInt::from_u32(0));
            state.forget();
            state.cut = Some(error);
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn take_kept(&mut self, out: &mut ReadBuf<'_>) {
        while out.remaining() > 0
            && let Some(piece) = self.kept.front_mut()
        {
            let n = piece.len().min(out.remaining());
            out.put_slice(&piece[..n]);
            piece.advance(n);
            self.bytes -= n;
            self.budget.release(n);
            if piece.is_empty() {
                self.kept.pop_front();
            }
        }
    }

    fn forget(&mut self) {
        self.budget.release(self.bytes);
        (self.kept, self.bytes) = (VecDeque::new(), 0);
    }

    fn note(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.reader = Some(cx.waker().clone()),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.forget();
    }
}

/// The receiving halves of a connection.
pub(crate) struct Inbounds {
    all: Mutex<HashMap<u64, Arc<Inbound>>>,
    /// Charged with what is kept.
    budget: Budget,
    /// A stream has begun, and who wants to know.
    began: AtomicBool,
    watcher: AtomicWaker,
}

impl Inbounds {
    pub(crate) fn new(budget: Budget) -> Self {
        let (began, watcher) = (AtomicBool::new(false), AtomicWaker::new());
        Self { all: Mutex::default(), budget, began, watcher }
    }

    pub(crate) fn begin(&self, id: u64, recv: RecvStream) -> Arc<Inbound> {
        let inbound = Arc::new(Inbound::new(recv, self.budget.clone()));
        self.all.lock().insert(id, inbound.clone());
        if !self.began.swap(true, Ordering::AcqRel) {
            self.watcher.wake();
        }
        inbound
    }

    pub(crate) fn end(&self, id: u64) {
        self.all.lock().remove(&id);
    }

    fn list(&self) -> Vec<Arc<Inbound>> {
        self.all.lock().values().cloned().collect()
    }

    /// From now on it is seen who reads.
    fn mark(&self) {
        self.list().iter().for_each(|inbound| inbound.0.lock().was_read = false);
    }

    /// Makes room in the window. `most` is what all may keep.
    fn relieve(&self, most: usize) {
        let all = self.list();
        let _enough = all.iter().find(|inbound| inbound.give_back(most) >= WORTH);
        let kept = |inbound: &Arc<Inbound>| inbound.0.lock().bytes;
        if all.iter().map(kept).sum::<usize>() > most
            && let Some(greediest) = all.iter().max_by_key(|inbound| kept(inbound))
        {
            let kind = Kind::LimitExceeded { limit: "connection_window", max: most as u64 };
            greediest.cut(named(Error::new(kind, "nobody read the stream while others of its connection had to wait")));
        }
    }

    async fn stream_begins(&self) {
        std::future::poll_fn(|cx| {
            self.watcher.register(cx.waker());
            if self.began.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Keeps streams that nobody reads from stopping all others. Never ends.
pub(crate) async fn watch(
    inbounds: &Inbounds,
    connection: &Connection,
    most: usize,
    env: &Env,
) -> std::convert::Infallible {
    // What the peer said, and what we gave it since.
    let blocked = || connection.stats().frame_rx.data_blocked;
    let given = || connection.stats().frame_tx.max_data;
    let mut seen = blocked();
    loop {
        tokio::select! {
            () = inbounds.stream_begins() => {}
            () = env.sleep(REST) => {}
        }
        let mut looks = 0;
        while looks < LOOKS {
            looks += 1;
            let now = blocked();
            if now == seen {
                env.sleep(LOOK).await;
                continue;
            }
            seen = now;
            let before = given();
            inbounds.mark();
            env.sleep(LOOK).await;
            // Else somebody reads, and the window moves on.
            if given() == before {
                inbounds.relieve(most);
                looks = 0;
            }
        }
    }
}
