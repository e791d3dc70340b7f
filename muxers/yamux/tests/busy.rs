//! Peers that keep us busy: time goes on, turns end, and what is held is what windows allow.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod peer;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use peer::{DATA, PING, SYN, WINDOW_UPDATE, frame};
use stackwire_conformance::{env, env_seeded, muxer::settle};
use stackwire_core::{Buffer, Muxer, MuxerContext, Pipe, Role, SessionExt};
use stackwire_muxer_yamux::{Yamux, YamuxConfig};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Has always another word to read, and remembers what is written.
struct Talks {
    words: Vec<u8>,
    at: usize,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Talks {
    fn new() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let written = Arc::default();
        let words = frame(WINDOW_UPDATE, 0, 99, 0).bytes();
        (Self { words, at: 0, written: Arc::clone(&written) }, written)
    }
}

impl AsyncRead for Talks {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        unreachable!("frames are parsed where they lie")
    }
}

impl AsyncBufRead for Talks {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        Poll::Ready(Ok(&this.words[this.at..]))
    }
    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.at = (self.at + n) % self.words.len();
    }
}

impl AsyncWrite for Talks {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Pipe for Talks {}

/// Time that goes on though the driver runs.
async fn advance(time: Duration) {
    tokio::time::advance(time).await;
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_always_talks_is_asked_for_its_round_trip_still() {
    let (pipe, written) = Talks::new();
    let (_session, driver) =
        Yamux::new(YamuxConfig::default()).unwrap().start(Box::new(pipe), MuxerContext::new(Role::Dialer, &env()));
    let driver = tokio::spawn(driver);
    advance(Duration::from_secs(1)).await;
    assert!(written.lock().is_empty(), "nothing is due yet");
    for _ in 0..40 {
        advance(Duration::from_secs(1)).await;
    }
    assert!(!driver.is_finished(), "a peer that talks is alive");
    let asked = frame(PING, SYN, 0, 0).bytes();
    assert_eq!(written.lock().get(..8), Some(&asked[..8]), "a ping was due after 30 seconds");
}

#[tokio::test(start_paused = true)]
async fn nobody_can_guess_the_value_of_a_ping() {
    let mut values = std::collections::HashSet::new();
    for seed in 0..20 {
        let (ours, theirs) = stackwire_conformance::pipes::pair();
        let (session, driver) =
            Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env_seeded(seed)));
        let _driver = tokio::spawn(driver);
        let mut peer = peer::Peer(theirs);
        let mut stream = session.open().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        peer.receive().await;
        let first = peer.question().await;
        peer.send(frame(PING, peer::ACK, 0, first), b"").await;
        tokio::time::sleep(Duration::from_secs(31)).await;
        let second = peer.question().await;
        assert!(first.abs_diff(second) > 1, "the second value follows the first: {first}, {second}");
        values.extend([first, second]);
    }
    assert_eq!(values.len(), 40);
}

/// A frame's header, then its body byte by byte, each in the memory of a whole record.
struct Padded {
    header: Vec<u8>,
    at: usize,
    records: usize,
}

impl AsyncRead for Padded {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        unreachable!("frames are parsed where they lie")
    }
}

impl AsyncBufRead for Padded {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.at == this.header.len() { Poll::Pending } else { Poll::Ready(Ok(&this.header[this.at..])) }
    }
    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.at += n;
    }
}

impl AsyncWrite for Padded {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Pipe for Padded {
    fn poll_take(&mut self, _: usize, _: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        if self.records == 0 || self.at < self.header.len() {
            return Poll::Ready(Ok(None));
        }
        self.records -= 1;
        let mut buffer = Buffer::holding(16 * 1024);
        buffer.truncate(1);
        Poll::Ready(Ok(Some(buffer)))
    }
}

#[tokio::test]
async fn memory_that_is_mostly_empty_is_not_kept_for_a_stream() {
    let header = frame(DATA, SYN, 1, 200_000).bytes();
    let pipe = Box::new(Padded { header, at: 0, records: 5000 });
    let yamux = Yamux::new(YamuxConfig::default()).unwrap();
    let (session, driver, held) = yamux.start_watched(pipe, MuxerContext::new(Role::Listener, &env()));
    let _driver = tokio::spawn(driver);
    let _unread = session.accept().await.unwrap();
    for _ in 0..10 {
        settle().await;
    }
    assert!(held.memory() >= 5000, "what arrived is held");
    let bound = 2 * 5000 + 1024;
    assert!(held.memory() <= bound, "{} bytes are held for 5 000, of which {bound} are worth it", held.memory());
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_few_streams_until_the_peer_acknowledges_one() {
    let (session, _driver, mut peer) = peer::start(YamuxConfig::default(), Role::Dialer);
    // Nothing was sent on them, so the peer can't acknowledge them; whoever waits for more tells it.
    let mut opened = Vec::new();
    for _ in 0..8 {
        opened.push(session.open().await.unwrap());
    }
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.open().await }
    });
    for id in (1..16).step_by(2) {
        peer.expect(frame(WINDOW_UPDATE, SYN, id, 0)).await;
    }
    assert!(!waiting.is_finished(), "a ninth stream before the peer said anything");
    peer.send(frame(WINDOW_UPDATE, peer::ACK, 5, 0), b"").await;
    opened.push(waiting.await.unwrap().unwrap());
    // From then on there are as many as libp2p allows.
    while opened.len() < 257 {
        opened.push(session.open().await.unwrap());
    }
    assert!(futures::poll!(std::pin::pin!(session.open())).is_pending(), "256 are unacknowledged");
}

/// One that acknowledges with its first answer only, and has none, holds up nobody for long.
#[tokio::test(start_paused = true)]
async fn a_peer_that_acknowledges_nothing_is_given_time_and_then_streams() {
    let (session, _driver, _peer) = peer::start(YamuxConfig::default(), Role::Dialer);
    let mut opened = Vec::new();
    for _ in 0..8 {
        opened.push(session.open().await.unwrap());
    }
    let before = tokio::time::Instant::now();
    for _ in 8..256 {
        opened.push(session.open().await.unwrap());
    }
    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_makes_place_for_another_stream() {
    let (session, _driver, mut peer) = peer::start(YamuxConfig::default(), Role::Dialer);
    let mut opened = Vec::new();
    for _ in 0..8 {
        let mut stream = session.open().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        opened.push(stream);
    }
    assert!(futures::poll!(std::pin::pin!(session.open())).is_pending());
    peer.send(frame(WINDOW_UPDATE, peer::RST, 1, 0), b"").await;
    let _stream = session.open().await.unwrap();
}
