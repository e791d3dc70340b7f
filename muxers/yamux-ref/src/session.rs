//! What the driver, the session's users and the streams of a connection share.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use stackwire_core::{BoxPipe, CloseCode, Error, Kind, Layer, Result, Role, Session};

use crate::{
    NAME,
    errors::error,
    stream::{SharedStream, YamuxStream},
    wire::{FIN, GO_AWAY, Header, RST, SYN},
};

/// Inbound streams that wait to be accepted; more are reset.
const ACCEPT_BACKLOG: usize = 256;
/// Outbound streams kept ready, so that an opener seldom waits for the driver. They cost nothing on the wire.
const SPARE: usize = 1;
/// Waiting openers that are remembered one by one; beyond, all are asked to come again, which forgets the gone ones.
const MAX_OPENERS: usize = 4096;

/// What is known of a stream beside its bytes.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The peer ended its half; everything before has arrived.
    pub(crate) fin: AtomicBool,
    /// The peer reset the stream, with this code.
    pub(crate) reset: OnceLock<u32>,
    /// Our end of our half is on its way, behind everything before it.
    fin_sent: AtomicBool,
    /// Who waits to read. The state machine does not wake anybody when we close.
    pub(crate) reader: AtomicWaker,
    /// Who waits to write.
    pub(crate) writer: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// How the connection ended.
    end: Option<Result<()>>,
    /// The peer's go-away, with its code.
    went_away: Option<u32>,
    /// The code of our own close.
    closing: Option<u32>,
    driver: Option<Waker>,
    acceptor: Option<Waker>,
    openers: Vec<Waker>,
    /// Opened and not yet taken.
    ready: VecDeque<yamux::Stream>,
    /// Arrived and not yet taken.
    inbound: VecDeque<yamux::Stream>,
    records: HashMap<u32, Arc<Record>>,
    outbound_live: usize,
    /// Streams reset here whose last frame has not passed yet; it will say so, with this code.
    resets: HashMap<u32, u32>,
    /// Resets of streams whose last frame has passed.
    injected: Vec<Header>,
    /// Streams nobody reads any more, for the driver to read and discard.
    discarded: Vec<SharedStream>,
}

/// Everything of a connection but its pipe.
pub(crate) struct Shared {
    role: Role,
    max_streams: usize,
    state: Mutex<State>,
    /// No more bytes for streams: we close, or the connection ended.
    over: AtomicBool,
    /// The pipe takes no more bytes for now.
    pub(crate) blocked: AtomicBool,
    /// It was tried since the driver was woken last, in vain: it need not be again.
    pub(crate) refused: AtomicBool,
    /// We shut the pipe down; nothing is left but the peer's end.
    pub(crate) shut: AtomicBool,
    has_injected: AtomicBool,
}

impl Shared {
    pub(crate) fn new(role: Role, max_streams: usize) -> Self {
        Self {
            role,
            max_streams,
            state: Mutex::default(),
            over: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            has_injected: AtomicBool::new(false),
        }
    }

    /// Whether we opened the stream `id`: the dialer's are odd.
    pub(crate) fn is_outbound(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.role == Role::Dialer)
    }

    // --- the streams' side ----------------------------------------------------------------------------------------

    /// Why streams have ended with the connection, if they have.
    pub(crate) fn over(&self) -> Option<Error> {
        if !self.over.load(Ordering::Acquire) {
            return None;
        }
        match &self.state.lock().end {
            Some(Err(end)) => Some(end.clone()),
            Some(Ok(())) | None => Some(closed()),
        }
    }

    /// The stream `id` is given up without a proper end: its last frame is made a reset with `code`.
    pub(crate) fn abort(&self, id: u32, record: &Record, code: u32) {
        let mut state = self.state.lock();
        if state.end.is_some() || record.reset.get().is_some() {
            return;
        }
        if !record.fin_sent.load(Ordering::Relaxed) {
            state.resets.insert(id, code);
        } else if !record.fin.load(Ordering::Acquire) {
            state.injected.push(Header::reset(id, code));
            self.has_injected.store(true, Ordering::Release);
            wake(&mut state.driver);
        }
    }

    /// The stream `id` is no longer held by anybody.
    pub(crate) fn forget(&self, id: u32) {
        let mut state = self.state.lock();
        if state.records.remove(&id).is_some() && self.is_outbound(id) {
            state.outbound_live -= 1;
            if !state.openers.is_empty() {
                wake(&mut state.driver);
            }
        }
    }

    /// What still arrives on `stream` is to be read and thrown away.
    pub(crate) fn discard(&self, stream: SharedStream) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.discarded.push(stream);
            wake(&mut state.driver);
        }
    }

    // --- the pipe's side ------------------------------------------------------------------------------------------

    /// Looks at the header of a frame that has fully arrived, before the state machine does.
    pub(crate) fn received(&self, header: Header) {
        if header.kind == GO_AWAY {
            self.state.lock().went_away.get_or_insert(header.length);
            return;
        }
        if header.flags & (SYN | FIN | RST) == 0 {
            return;
        }
        let id = header.stream;
        let mut state = self.state.lock();
        if header.flags & RST != 0 {
            state.resets.remove(&id);
            if let Some(record) = state.records.get(&id) {
                let code = if header.kind == crate::wire::WINDOW_UPDATE { header.length } else { 0 };
                let _already = record.reset.set(code);
            }
            return;
        }
        if header.flags & SYN != 0 && !self.is_outbound(id) {
            state.records.entry(id).or_default();
        }
        if header.flags & FIN != 0
            && let Some(record) = state.records.get(&id)
        {
            record.fin.store(true, Ordering::Release);
        }
    }

    /// Looks at the header of a frame the state machine sends, and says what to send instead.
    pub(crate) fn sending(&self, header: Header) -> Header {
        if header.kind == GO_AWAY {
            let code = self.state.lock().closing.unwrap_or(header.length);
            return Header { length: code, ..header };
        }
        if header.flags & (FIN | RST) == 0 {
            return header;
        }
        let mut state = self.state.lock();
        if let Some(code) = state.resets.remove(&header.stream) {
            return Header::reset(header.stream, code);
        }
        if let Some(record) = state.records.get(&header.stream) {
            record.fin_sent.store(true, Ordering::Relaxed);
        }
        header
    }

    /// Frames to send beside the state machine's.
    pub(crate) fn injected(&self) -> Vec<Header> {
        if !self.has_injected.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        mem::take(&mut self.state.lock().injected)
    }

    /// Whether we have begun to close.
    pub(crate) fn is_closing(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    // --- the driver's side ----------------------------------------------------------------------------------------

    pub(crate) fn set_driver(&self, waker: &Waker) {
        let mut state = self.state.lock();
        if !state.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.driver = Some(waker.clone());
        }
    }

    /// Queues a stream that the peer opened, or refuses it.
    pub(crate) fn arrived(&self, stream: yamux::Stream) {
        let id = stream.id().val();
        let mut state = self.state.lock();
        let live = state.records.len() - state.outbound_live;
        if live > self.max_streams || state.inbound.len() >= ACCEPT_BACKLOG || state.closing.is_some() {
            state.records.remove(&id);
            drop(state);
            drop(stream); // which resets it
            return;
        }
        state.inbound.push_back(stream);
        wake(&mut state.acceptor);
    }

    /// How many streams to open now.
    pub(crate) fn wanted(&self) -> usize {
        let state = self.state.lock();
        let wanted = (state.openers.len() + SPARE).saturating_sub(state.ready.len());
        wanted.min(self.max_streams.saturating_sub(state.outbound_live))
    }

    /// Keeps a stream that was opened.
    pub(crate) fn opened(&self, stream: yamux::Stream) {
        let mut state = self.state.lock();
        state.records.insert(stream.id().val(), Arc::default());
        state.outbound_live += 1;
        state.ready.push_back(stream);
    }

    /// Tells those who wait for a stream that some are ready. Who gets none waits again.
    pub(crate) fn wake_openers(&self) {
        let openers = mem::take(&mut self.state.lock().openers);
        openers.into_iter().for_each(Waker::wake);
    }

    /// Streams nobody reads any more.
    pub(crate) fn discarded(&self) -> Vec<SharedStream> {
        mem::take(&mut self.state.lock().discarded)
    }

    /// Whether a close was asked for.
    pub(crate) fn close_requested(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    /// What it means that the peer's bytes ended.
    pub(crate) fn end_of_bytes(&self) -> Result<()> {
        match self.state.lock().went_away {
            Some(0) => Ok(()),
            Some(code) => Err(CloseCode(code).error().at(Layer::Muxer, NAME)),
            None => Err(error(Kind::Closed, "the connection broke off without a go-away")),
        }
    }

    /// The connection has ended: everybody who waits learns how. Only the first end counts.
    pub(crate) fn finish(&self, end: Result<()>) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        self.over.store(true, Ordering::Release);
        let left = (mem::take(&mut state.ready), mem::take(&mut state.discarded));
        let wakers = state.waiting();
        drop(state);
        drop(left);
        wakers.wake();
    }
}

/// Everybody who waits on a connection.
struct Waiting {
    tasks: Vec<Waker>,
    records: Vec<Arc<Record>>,
}

impl Waiting {
    fn wake(self) {
        self.tasks.into_iter().for_each(Waker::wake);
        for record in self.records {
            record.reader.wake();
            record.writer.wake();
        }
    }
}

impl State {
    fn waiting(&mut self) -> Waiting {
        let mut tasks = mem::take(&mut self.openers);
        tasks.extend(self.acceptor.take());
        tasks.extend(self.driver.take());
        Waiting { tasks, records: self.records.values().cloned().collect() }
    }

    /// Why no stream can be had any more.
    fn refusal(&self) -> Option<Error> {
        match &self.end {
            Some(Err(end)) => Some(end.clone()),
            Some(Ok(())) => Some(closed()),
            None => self.closing.map(|_| closed()),
        }
    }

    fn hand_out(&self, shared: &Arc<Shared>, stream: yamux::Stream) -> BoxPipe {
        let record = self.records.get(&stream.id().val()).cloned().unwrap_or_default();
        Box::new(YamuxStream::new(stream, record, shared.clone()))
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn closed() -> Error {
    Error::closed("the connection was closed").at(Layer::Muxer, NAME)
}

/// The session, as its users hold it.
pub(crate) struct Handle(pub(crate) Arc<Shared>);

impl Session for Handle {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let mut state = self.0.state.lock();
        if let Some(refusal) = state.refusal() {
            return Poll::Ready(Err(refusal));
        }
        if let Some(stream) = state.ready.pop_front() {
            return Poll::Ready(Ok(state.hand_out(&self.0, stream)));
        }
        if !state.openers.iter().any(|known| known.will_wake(cx.waker())) {
            if state.openers.len() >= MAX_OPENERS {
                mem::take(&mut state.openers).into_iter().for_each(Waker::wake);
            }
            state.openers.push(cx.waker().clone());
        }
        wake(&mut state.driver);
        Poll::Pending
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let mut state = self.0.state.lock();
        if let Some(stream) = state.inbound.pop_front() {
            return Poll::Ready(Ok(state.hand_out(&self.0, stream)));
        }
        if let Some(refusal) = state.refusal() {
            return Poll::Ready(Err(refusal));
        }
        state.acceptor = Some(cx.waker().clone());
        Poll::Pending
    }

    fn close(&self, code: u32) {
        let mut state = self.0.state.lock();
        if state.closing.is_some() || state.end.is_some() {
            return;
        }
        state.closing = Some(code);
        self.0.over.store(true, Ordering::Release);
        let refused = mem::take(&mut state.inbound);
        let waiting = state.waiting();
        drop(state);
        drop(refused);
        waiting.wake();
    }
}
