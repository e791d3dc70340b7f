//! Pipes that are blocked, slow or dead, and peers that never stop: who waits, waits, and time goes on.
//!
//! These laws hold for what a muxer does by itself below its streams: whoever waits for the pipe tries it again when the pipe
//! took bytes or woke somebody, and not because other tasks of the connection ran.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use stackwire_core::{BoxPipe, Buffer, Pipe, PipeDecorator, Role, SessionExt, pipe_decorator, total_len};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    task::JoinHandle,
};

use super::{Pair, Side, Subject, payload, settle};
use crate::pipes;

/// Polls of a pipe after which tasks wake each other for ever, as far as we know.
const FOREVER: u64 = 100_000;

/// What a pipe takes of what it is offered.
#[derive(Clone, Copy, Debug)]
enum Takes {
    /// As much as there is room for, like a socket.
    Parts,
    /// All of it or nothing, like a channel that seals into a buffer.
    Wholes,
}

struct Valve {
    takes: Takes,
    /// Bytes that may pass.
    room: usize,
    dead: bool,
    writer: Option<Waker>,
    /// Writes that were tried, and those of them in vain.
    tried: u64,
    vain: u64,
    polls: u64,
}

impl Valve {
    /// `Err` ends what would go on for ever.
    fn poll(&mut self) -> io::Result<()> {
        self.polls += 1;
        if self.polls > FOREVER { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

/// The write side of a pipe, by hand.
#[derive(Clone)]
struct Hand(Arc<Mutex<Valve>>);

impl Hand {
    /// Lets `bytes` more pass.
    fn open(&self, bytes: usize) {
        let mut valve = self.0.lock();
        valve.room = valve.room.saturating_add(bytes);
        let waker = valve.writer.take();
        drop(valve);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        self.0.lock().room = 0;
    }

    /// Every later write fails.
    fn kill(&self) {
        self.0.lock().dead = true;
        self.open(0);
    }

    /// Writes that were tried since this was last asked, and those in vain.
    fn tries(&self) -> (u64, u64) {
        let mut valve = self.0.lock();
        assert!(valve.polls <= FOREVER, "the pipe was polled without end though nothing changed");
        (std::mem::take(&mut valve.tried), std::mem::take(&mut valve.vain))
    }
}

struct Valved {
    inner: BoxPipe,
    valve: Arc<Mutex<Valve>>,
}

/// A pair of pipes; what the first one writes passes the valve.
fn valved(takes: Takes) -> (BoxPipe, BoxPipe, Hand) {
    let (inner, peer) = pipes::pair_with_capacity(4 << 20);
    let valve = Valve { takes, room: usize::MAX, dead: false, writer: None, tried: 0, vain: 0, polls: 0 };
    let valve = Arc::new(Mutex::new(valve));
    (Box::new(Valved { inner, valve: valve.clone() }), peer, Hand(valve))
}

pipe_decorator!(Valved { inner: BoxPipe });

impl PipeDecorator for Valved {
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.valve.lock().poll()?;
        self.inner.poll_take(most, cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.valve.lock().poll()?;
        Pin::new(&mut self.inner).poll_read(cx, out)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.valve.lock().poll()?;
        Pin::new(&mut self.inner).poll_fill_buf(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut valve = self.valve.lock();
        valve.poll()?;
        valve.tried += 1;
        if valve.dead {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if valve.room == 0 {
            valve.vain += 1;
            valve.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = match valve.takes {
            Takes::Parts => valve.room,
            Takes::Wholes => usize::MAX,
        };
        let mut bytes = Vec::with_capacity(total_len(slices).min(most));
        for slice in slices {
            bytes.extend_from_slice(&slice[..slice.len().min(most - bytes.len())]);
        }
        if valve.room != usize::MAX {
            valve.room = valve.room.saturating_sub(bytes.len());
        }
        drop(valve);
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut self.inner).poll_write(cx, &bytes[written..]) {
                Poll::Ready(n) => written += n?,
                Poll::Pending => panic!("the peer reads, and there is room for all that passes until it does"),
            }
        }
        Poll::Ready(Ok(written))
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.valve.lock().poll()?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.valve.lock().poll()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A dialer behind a valve that is open, and its peer.
fn behind_a_valve(subject: &Subject, takes: Takes) -> (Pair, Hand) {
    let (ours, theirs, hand) = valved(takes);
    (Pair::on(subject, (ours, theirs)), hand)
}

/// Streams whose far ends are read to nowhere; what their near ends write comes from one task each, in pieces of these sizes.
/// The tasks have not begun.
async fn writers(pair: &Pair, pieces: &[usize]) -> Vec<JoinHandle<()>> {
    let mut streams = Vec::new();
    for _ in pieces {
        streams.push(pair.stream().await);
    }
    let mut writing = Vec::new();
    for ((mut ours, mut theirs), piece) in streams.into_iter().zip(pieces) {
        let piece = payload(*piece, 1);
        writing.push(tokio::spawn(async move { while ours.write_all(&piece).await.is_ok() {} }));
        tokio::spawn(async move { tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await });
    }
    writing
}

/// Sizes of what streams write: much at once, and little.
const PIECES: [&[usize]; 3] = [&[200_000], &[200_000, 300, 16_384, 70_000], &[300, 2_000]];

/// Writers of a pipe that takes nothing wait for it, and do not try again and again, also while the peer talks.
pub async fn writers_of_a_blocked_pipe_wait(subject: Subject) {
    if subject.on_pipes().is_none() {
        return;
    }
    for takes in [Takes::Parts, Takes::Wholes] {
        for pieces in PIECES {
            let (pair, hand) = behind_a_valve(&subject, takes);
            let (mut inwards, mut talking) = pair.stream().await;
            let reading = tokio::spawn(async move { tokio::io::copy(&mut inwards, &mut tokio::io::sink()).await });
            settle().await;
            let writing = writers(&pair, pieces).await;
            hand.close();
            settle().await;
            let (tried, _) = hand.tries();
            assert!(tried <= 20 + 10 * pieces.len() as u64, "{takes:?}, {pieces:?}: {tried} tries until all wait");
            for _ in 0..5 {
                settle().await;
            }
            let (tried, _) = hand.tries();
            assert!(tried <= 5, "{takes:?}, {pieces:?}: nothing changed, and the pipe was tried {tried} times");
            // Each word of the peer may wake the driver, and that may look after the pipe.
            for _ in 0..20 {
                talking.write_all(b"word").await.unwrap();
                talking.flush().await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (tried, _) = hand.tries();
            assert!(
                tried <= 3 * 20,
                "{takes:?}, {pieces:?}: the peer said 20 words, and the pipe was tried {tried} times"
            );
            reading.abort();
            writing.into_iter().for_each(|task| task.abort());
        }
    }
}

/// Over a pipe that takes a little every now and then, tries are few beside what is moved.
pub async fn a_slow_pipe_is_tried_seldom(subject: Subject) {
    if subject.on_pipes().is_none() {
        return;
    }
    const TIMES: u64 = 100;
    for takes in [Takes::Parts, Takes::Wholes] {
        for pieces in PIECES {
            let (pair, hand) = behind_a_valve(&subject, takes);
            let writing = writers(&pair, pieces).await;
            hand.close();
            settle().await;
            hand.tries();
            for _ in 0..TIMES {
                hand.open(10_000);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let (tried, vain) = hand.tries();
            assert!(
                vain <= 4 * TIMES,
                "{takes:?}, {pieces:?}: it was opened {TIMES} times, and tried in vain {vain} times"
            );
            assert!(tried <= 12 * TIMES, "{takes:?}, {pieces:?}: it was opened {TIMES} times, and tried {tried} times");
            assert!(tried - vain >= TIMES / 2, "{takes:?}, {pieces:?}: what it takes is not used");
            writing.into_iter().for_each(|task| task.abort());
        }
    }
}

/// A pipe that fails its writers ends the connection at once, whether its peer is silent or goes on talking.
pub async fn a_pipe_that_fails_writes_ends_the_connection(subject: Subject) {
    if subject.on_pipes().is_none() {
        return;
    }
    for talks in [false, true] {
        for pieces in PIECES {
            let (pair, hand) = behind_a_valve(&subject, Takes::Parts);
            let (mut inwards, mut outwards) = pair.stream().await;
            let reading = tokio::spawn(async move { tokio::io::copy(&mut inwards, &mut tokio::io::sink()).await });
            let talking = tokio::spawn(async move {
                while talks && outwards.write_all(&[0; 1000]).await.is_ok() {
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
                // What its end would say is not said.
                std::future::pending::<()>().await;
                drop(outwards);
            });
            let writing = writers(&pair, pieces).await;
            hand.close();
            settle().await;
            hand.tries();
            hand.kill();
            let end = tokio::time::timeout(Duration::from_secs(5), pair.dialer.end()).await;
            end.expect("the driver ends soon").expect_err("it tells why");
            let (tried, _) = hand.tries();
            assert!(tried <= 20 + 10 * pieces.len() as u64, "{pieces:?}: a dead pipe was tried {tried} times");
            for writer in writing {
                writer.await.expect("it learns of the end");
            }
            reading.await.unwrap().expect_err("it learns of the end");
            talking.abort();
        }
    }
}

/// A pipe that has always something to read, and takes little.
struct Talks {
    rest: &'static [u8],
    words: &'static [u8],
    room: usize,
    /// More is an error.
    breaks: bool,
}

impl Talks {
    /// `None`, aloud, where the subject does not tell what a peer may say.
    fn new(subject: &Subject, room: usize, breaks: bool) -> Option<Self> {
        let Some((greeting, words)) = subject.talk else {
            eprintln!("skipped: what a peer may say again and again was not given");
            return None;
        };
        Some(Self { rest: if greeting.is_empty() { words } else { greeting }, words, room, breaks })
    }
}

impl AsyncRead for Talks {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Poll::Ready(Ok(bytes)) = self.as_mut().poll_fill_buf(cx) else { unreachable!("it talks") };
        let n = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..n]);
        self.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Talks {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(self.get_mut().rest))
    }
    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.rest = &self.rest[n..];
        if self.rest.is_empty() {
            self.rest = self.words;
        }
    }
}

impl AsyncWrite for Talks {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let n = data.len().min(self.room);
        self.room -= n;
        match n {
            0 if self.breaks => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            0 => Poll::Pending,
            n => Poll::Ready(Ok(n)),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Pipe for Talks {}

/// A close has its time limit also with a peer that never stops talking and takes nothing.
pub async fn a_peer_that_always_talks_holds_up_no_close(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    for role in [Role::Dialer, Role::Listener] {
        for room in [0, 500, 1 << 20] {
            let Some(pipe) = Talks::new(&subject, room, false) else { return };
            let side = Side::start(muxer, Box::new(pipe), role);
            let _stream = speak(&side).await;
            assert!(!side.driver.is_finished(), "the words are harmless");
            side.session.close(0);
            ends_within(&side, 60).await;
        }
    }
}

/// A pipe that fails its writers ends the connection, though there is always more to read.
pub async fn a_peer_that_always_talks_holds_up_no_failure(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    for role in [Role::Dialer, Role::Listener] {
        for room in [0, 500] {
            let Some(pipe) = Talks::new(&subject, room, true) else { return };
            let side = Side::start(muxer, Box::new(pipe), role);
            let _stream = speak(&side).await;
            ends_within(&side, 10).await;
            side.end().await.expect_err("nothing more can be said");
        }
    }
}

/// Sends something on a stream, if there can be one.
async fn speak(side: &Side) -> Option<BoxPipe> {
    advance(Duration::ZERO).await;
    // None of it has to be done before the pipe takes something.
    let Poll::Ready(Ok(mut stream)) = futures::poll!(std::pin::pin!(side.session.open())) else { return None };
    let _sent = futures::poll!(std::pin::pin!(stream.write_all(&[0; 1000])));
    let _sent = futures::poll!(std::pin::pin!(stream.flush()));
    advance(Duration::ZERO).await;
    Some(stream)
}

async fn ends_within(side: &Side, seconds: u32) {
    for _ in 0..seconds {
        if side.driver.is_finished() {
            return;
        }
        advance(Duration::from_secs(1)).await;
    }
    assert!(side.driver.is_finished(), "after {seconds} seconds the connection is still there");
}

/// Time that goes on though tasks run.
async fn advance(time: Duration) {
    tokio::time::advance(time).await;
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}
