//! How connections end: in order, and with a peer or a pipe that does not take part.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod peer;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use peer::{ACK, DATA, FIN, GO_AWAY, Peer, RST, SYN, WINDOW_UPDATE, frame, start};
use stackwire_conformance::{env, in_time, muxer::settle, pipes};
use stackwire_core::{Buffered, Kind, Muxer, MuxerContext, Role, SessionExt};
use stackwire_muxer_yamux::{Yamux, YamuxConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

#[tokio::test]
async fn a_close_tells_its_code_and_a_go_away_ends_an_idle_connection() {
    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    session.close(0x1006);
    peer.expect(frame(GO_AWAY, 0, 0, 0x1006)).await;
    drop(peer);
    in_time("the end", driver).await.unwrap().unwrap();

    // The peer goes away: streams finish, nothing new begins, then we close too.
    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(DATA, SYN | FIN, 1, 2), b"ok").await;
    peer.send(frame(GO_AWAY, 0, 0, 0), b"").await;
    let mut stream = session.accept().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    while session.open().await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"answer").await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    peer.until(frame(DATA, ACK, 1, 6)).await;
    peer.expect(frame(DATA, FIN, 1, 0)).await;
    peer.expect(frame(GO_AWAY, 0, 0, 0)).await;
    drop(peer);
    in_time("the end", driver).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_closes_its_end_does_not_hold_up_a_close() {
    let (session, driver, _peer) = start(YamuxConfig::default(), Role::Listener);
    session.close(0);
    in_time("the end", driver).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_fails_a_close_with_a_timeout() {
    for wait in [false, true] {
        let (ours, _unread) = pipes::pair_with_capacity(16);
        let (session, driver) =
            Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
        let driver = tokio::spawn(driver);
        let mut stream = session.open().await.unwrap();
        stream.write_all(&[0; 1000]).await.unwrap();
        if wait {
            // The driver is stuck already, and a write has woken it since.
            settle().await;
            stream.write_all(&[0; 1000]).await.unwrap();
            settle().await;
        }
        let before = tokio::time::Instant::now();
        session.close(0);
        let end = in_time("the end", driver).await.unwrap().unwrap_err();
        assert_eq!(end.kind(), &Kind::Timeout { limit: Duration::from_secs(5) }, "{end}");
        assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
    }
}

/// Takes bytes and never passes all of them on.
struct NeverFlushed {
    inner: DuplexStream,
    flushes: usize,
}

impl AsyncRead for NeverFlushed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

impl AsyncWrite for NeverFlushed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        assert!(self.flushes < 1000, "the driver should wait for the pipe");
        Poll::Pending
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_finds_a_go_away_while_it_flushes_waits_for_the_pipe() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let ours = Box::new(Buffered::new(NeverFlushed { inner: ours, flushes: 0 }));
    let (session, driver) =
        Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Listener, &env()));
    let driver = tokio::spawn(driver);
    let mut peer = Peer(Box::new(Buffered::new(theirs)));
    peer.send(frame(DATA, SYN | FIN, 1, 2), b"ok").await;
    let mut stream = session.accept().await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    peer.until(frame(DATA, FIN | ACK, 1, 0)).await;
    peer.send(frame(GO_AWAY, 0, 0, 0), b"").await;
    let _end = in_time("the end", driver).await.unwrap();
}

/// However the last stream ends after a go-away, and whenever its handle is dropped: then the connection ends, with no help of
/// a timer.
#[tokio::test(start_paused = true)]
async fn the_connection_ends_with_its_last_stream_after_a_go_away() {
    for how in 0..4 {
        let config = YamuxConfig { keepalive_secs: 0, ..YamuxConfig::default() };
        let (session, driver, mut peer) = start(config, Role::Listener);
        peer.send(frame(DATA, SYN, 1, 2), b"ok").await;
        peer.send(frame(GO_AWAY, 0, 0, 0), b"").await;
        let mut stream = session.accept().await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        match how {
            // Both end, and the application lets go of it much later.
            0 => {
                peer.send(frame(DATA, FIN, 1, 0), b"").await;
                stream.shutdown().await.unwrap();
            }
            // The peer ends it by force.
            1 => peer.send(frame(WINDOW_UPDATE, RST, 1, 0), b"").await,
            // We do.
            2 => stream.reset(1),
            // It is dropped open.
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!driver.is_finished(), "its stream is held");
        drop(stream);
        let reading = tokio::spawn(async move { peer.until(frame(GO_AWAY, 0, 0, 0)).await });
        tokio::time::timeout(Duration::from_secs(1), reading).await.expect("a go-away in answer").unwrap();
        // The peer's end was dropped with the task that read.
        tokio::time::timeout(Duration::from_secs(1), driver).await.expect("the end").unwrap().unwrap();
    }
}
