//! What yamux-ref says on the wire, and what it makes of what it hears, frame by frame.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

use std::sync::Arc;

use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{BoxPipe, Kind, Muxer, MuxerContext, Result, Role, Session, SessionExt, reset_code};
use stackwire_muxer_yamux_ref::{Yamux, YamuxConfig};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;
const RST: u16 = 8;

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u16,
    stream: u32,
    length: u32,
}

fn frame(kind: u8, flags: u16, stream: u32, length: u32) -> Frame {
    Frame { kind, flags, stream, length }
}

/// A peer that speaks frames.
struct Peer(BoxPipe);

impl Peer {
    async fn send(&mut self, frame: Frame, body: &[u8]) {
        let mut bytes = vec![0, frame.kind];
        bytes.extend(frame.flags.to_be_bytes());
        bytes.extend(frame.stream.to_be_bytes());
        bytes.extend(frame.length.to_be_bytes());
        bytes.extend(body);
        self.0.write_all(&bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next frame that is not a ping, and its body. Pings are left unanswered.
    async fn receive(&mut self) -> (Frame, Vec<u8>) {
        loop {
            assert_eq!(in_time("a frame", self.0.read_u8()).await.unwrap(), 0, "the version");
            let frame = frame(
                self.0.read_u8().await.unwrap(),
                self.0.read_u16().await.unwrap(),
                self.0.read_u32().await.unwrap(),
                self.0.read_u32().await.unwrap(),
            );
            let mut body = vec![0; if frame.kind == DATA { frame.length as usize } else { 0 }];
            self.0.read_exact(&mut body).await.unwrap();
            if frame.kind != PING {
                return (frame, body);
            }
        }
    }

    async fn expect(&mut self, expected: Frame) {
        assert_eq!(self.receive().await.0, expected);
    }
}

fn start(config: YamuxConfig, role: Role) -> (Arc<dyn Session>, JoinHandle<Result<()>>, Peer) {
    let (ours, peer) = pipes::pair_with_capacity(1 << 20);
    let (session, driver) = Yamux::new(config).unwrap().start(ours, MuxerContext::new(role, &env()));
    (session, tokio::spawn(driver), Peer(peer))
}

#[tokio::test]
async fn a_stream_is_opened_by_its_first_bytes_and_acknowledged_by_the_answer() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let (first, body) = peer.receive().await;
    assert_eq!((first, &body[..]), (frame(DATA, SYN, 1, 5), &b"hello"[..]));

    peer.send(frame(DATA, SYN, 2, 2), b"hi").await;
    let mut theirs = session.accept().await.unwrap();
    assert_eq!(theirs.fill_buf().await.unwrap(), b"hi");
    theirs.write_all(b"you").await.unwrap();
    peer.expect(frame(DATA, ACK, 2, 3)).await;
}

#[tokio::test]
async fn a_stream_that_only_waits_is_announced_too() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
    let mut stream = session.open().await.unwrap();
    let reading = tokio::spawn(async move { stream.read_u8().await });
    peer.expect(frame(DATA, SYN, 1, 0)).await;
    peer.send(frame(DATA, ACK, 1, 1), b"x").await;
    assert_eq!(reading.await.unwrap().unwrap(), b'x');

    // Inbound: a reader that waits for more acknowledges, so that the peer may open others.
    peer.send(frame(DATA, SYN, 2, 1), b"y").await;
    let mut theirs = session.accept().await.unwrap();
    let _reading = tokio::spawn(async move { theirs.read_exact(&mut [0; 2]).await.map(|_| ()) });
    peer.expect(frame(DATA, RST, 1, 0)).await; // the first stream was dropped with its task
    peer.expect(frame(DATA, ACK, 2, 0)).await;
}

#[tokio::test]
async fn a_reset_carries_its_code_and_a_plain_one_is_plain() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
    for (id, code, expected) in [(1, 42, frame(WINDOW_UPDATE, RST, 1, 42)), (3, 0, frame(DATA, RST, 3, 0))] {
        let mut stream = session.open().await.unwrap();
        stream.write_all(b"!").await.unwrap();
        peer.expect(frame(DATA, SYN, id, 1)).await;
        stream.reset(code);
        peer.expect(expected).await;
        drop(stream);
    }
    // After our own end, too: whether it is still on its way or gone.
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"!").await.unwrap();
    stream.shutdown().await.unwrap();
    stream.reset(7);
    peer.expect(frame(DATA, SYN, 5, 1)).await;
    peer.expect(frame(WINDOW_UPDATE, RST, 5, 7)).await;
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"!").await.unwrap();
    stream.shutdown().await.unwrap();
    peer.expect(frame(DATA, SYN, 7, 1)).await;
    peer.expect(frame(DATA, FIN, 7, 0)).await;
    stream.reset(8);
    peer.expect(frame(WINDOW_UPDATE, RST, 7, 8)).await;
}

#[tokio::test]
async fn an_answer_that_is_given_up_after_the_peers_end_is_a_reset_and_not_an_end() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(DATA, SYN | FIN, 1, 8), b"question").await;
    let mut stream = session.accept().await.unwrap();
    let mut question = String::new();
    stream.read_to_string(&mut question).await.unwrap();
    stream.write_all(b"half an ans").await.unwrap();
    drop(stream);
    peer.expect(frame(DATA, ACK, 1, 11)).await;
    peer.expect(frame(DATA, RST, 1, 0)).await;
}

#[tokio::test]
async fn codes_of_the_peer_are_heard() {
    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(WINDOW_UPDATE, SYN, 1, 0), b"").await;
    let mut stream = session.accept().await.unwrap();
    peer.send(frame(WINDOW_UPDATE, RST, 1, 42), b"").await;
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(reset_code(&error), Some(42));

    peer.send(frame(GO_AWAY, 0, 0, 0x1005), b"").await;
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::Reset { code: 0x1005 });
    assert_eq!(session.open().await.err().unwrap().kind(), end.kind());
}

#[tokio::test]
async fn a_close_tells_its_code() {
    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    session.close(0x1006);
    peer.expect(frame(GO_AWAY, 0, 0, 0x1006)).await;
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
    let (ours, _unread) = pipes::pair_with_capacity(16);
    let (session, driver) =
        Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
    let driver = tokio::spawn(driver);
    let mut stream = session.open().await.unwrap();
    stream.write_all(&[0; 1000]).await.unwrap();
    session.close(0);
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert!(matches!(end.kind(), Kind::Timeout { .. }), "{end}");
}

#[tokio::test]
async fn breaking_the_rules_ends_the_connection_on_both_sides() {
    let body = vec![0; 300 * 1024];
    let wrongs: [(&str, Frame, &[u8]); 4] = [
        ("more than the window", frame(DATA, SYN, 1, body.len() as u32), &body),
        ("the wrong parity", frame(DATA, SYN, 2, 0), b""),
        ("a pong nobody asked for", frame(PING, ACK, 0, 77), b""),
        ("the stream id of the session", frame(DATA, SYN, 0, 0), b""),
    ];
    for (what, wrong, body) in wrongs {
        let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
        peer.send(wrong, body).await;
        let end = in_time(what, driver).await.unwrap().expect_err(what);
        assert!(end.violation().is_some(), "{what}: {end}");
        peer.expect(frame(GO_AWAY, 0, 0, 1)).await;
        assert!(session.accept().await.is_err());
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_are_reset_one_by_one() {
    let (session, _driver, mut peer) = start(YamuxConfig { max_streams: 2, ..Default::default() }, Role::Listener);
    for id in [1, 3, 5, 7] {
        peer.send(frame(DATA, SYN, id, 0), b"").await;
    }
    peer.expect(frame(DATA, RST, 5, 0)).await;
    peer.expect(frame(DATA, RST, 7, 0)).await;
    let first = session.accept().await.unwrap();
    drop(first);
    peer.expect(frame(DATA, RST, 1, 0)).await;
    peer.send(frame(DATA, SYN, 9, 1), b"z").await;
    let _second = session.accept().await.unwrap();
    let mut third = session.accept().await.unwrap();
    assert_eq!(third.read_u8().await.unwrap(), b'z');
}

#[tokio::test]
async fn our_own_opens_beyond_the_limit_wait_for_a_place() {
    let (session, _driver, _peer) = start(YamuxConfig { max_streams: 2, ..Default::default() }, Role::Dialer);
    let first = session.open().await.unwrap();
    let _second = session.open().await.unwrap();
    let third = tokio::spawn(async move { session.open().await.map(drop) });
    tokio::task::yield_now().await;
    assert!(!third.is_finished());
    drop(first);
    in_time("a place", third).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_end_before_a_break_is_an_end_and_none_is_none() {
    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(DATA, SYN | FIN, 1, 4), b"whole").await;
    drop(peer);
    let mut stream = session.accept().await.unwrap();
    // The body's last byte is the first of a frame that broke off.
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::Closed);
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "whol");

    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(DATA, SYN, 1, 4), b"part").await;
    drop(peer);
    let mut stream = session.accept().await.unwrap();
    in_time("the end", driver).await.unwrap().unwrap_err();
    assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
}

/// js-libp2p puts all its credit into one frame, and ours can be more than 1 MiB.
#[tokio::test]
async fn a_frame_of_more_than_a_mebibyte_is_taken() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
    // For a stream that is gone: nothing limits it but the frame's own length, and it is to be ignored.
    let length = (5 << 20) + 1;
    in_time("sending it", peer.send(frame(DATA, 0, 2, length), &vec![7; length as usize])).await;
    peer.send(frame(DATA, SYN | FIN, 4, 2), b"hi").await;
    let mut theirs = in_time("the next stream", session.accept()).await.unwrap();
    let mut text = String::new();
    in_time("its bytes", theirs.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "hi");
}

#[tokio::test]
async fn a_frame_beyond_the_window_ends_the_connection_whatever_its_length() {
    for length in [(256 << 10) + 1, 3 << 20] {
        let (_session, driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
        // The connection may end before everything is sent.
        let sending = tokio::spawn(async move {
            peer.send(frame(DATA, SYN, 2, length), &vec![7; length as usize]).await;
            peer
        });
        let error = in_time("the end", driver).await.unwrap().unwrap_err();
        sending.abort();
        assert!(error.violation().is_some(), "{error:?}");
    }
}
