//! Peers that break the rules, and peers that only look as if they did.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod peer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use peer::{ACK, DATA, FIN, GO_AWAY, PING, Peer, RST, SYN, WINDOW_UPDATE, frame, start};
use proptest::prelude::*;
use stackwire_conformance::{env, in_time, muxer::settle, pipes};
use stackwire_core::{Kind, Layer, MuxerContext, Role, SessionExt, Violation};
use stackwire_muxer_yamux::{Yamux, YamuxConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WINDOW: u32 = 256 << 10;

#[tokio::test]
async fn breaking_the_rules_ends_the_connection_on_both_sides() {
    let body = vec![0; 300 * 1024];
    let much = body.len() as u32;
    let wrongs = [
        ("more than the window", Violation::FlowControl, vec![(frame(DATA, SYN, 1, much), &body[..])]),
        (
            "more than the window, in parts",
            Violation::FlowControl,
            vec![
                (frame(DATA, SYN, 1, much - 100_000), &body[100_000..]),
                (frame(DATA, 0, 1, 100_000), &body[..100_000]),
            ],
        ),
        ("more than there can be", Violation::FlowControl, vec![(frame(DATA, SYN, 1, u32::MAX), b"")]),
        ("the wrong parity", Violation::OutOfOrder, vec![(frame(DATA, SYN, 2, 0), b"")]),
        (
            "opening a stream twice",
            Violation::OutOfOrder,
            vec![(frame(DATA, SYN, 1, 0), b""), (frame(WINDOW_UPDATE, SYN, 1, 0), b"")],
        ),
        ("a pong nobody asked for", Violation::OutOfOrder, vec![(frame(PING, ACK, 0, 77), b"")]),
        ("a ping of no kind", Violation::Malformed, vec![(frame(PING, 0, 0, 77), b"")]),
        ("data for the connection", Violation::Malformed, vec![(frame(DATA, SYN, 0, 0), b"")]),
        ("credit for the connection", Violation::Malformed, vec![(frame(WINDOW_UPDATE, 0, 0, 5), b"")]),
        ("an unknown type", Violation::Malformed, vec![(frame(4, 0, 1, 0), b"")]),
        (
            "credit beyond measure",
            Violation::FlowControl,
            vec![(frame(WINDOW_UPDATE, SYN, 1, 0), b""), (frame(WINDOW_UPDATE, 0, 1, u32::MAX), b"")],
        ),
    ];
    for (what, violation, frames) in wrongs {
        let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
        for (wrong, body) in frames {
            peer.send(wrong, body).await;
        }
        let reading = tokio::spawn(async move {
            peer.until(frame(GO_AWAY, 0, 0, 1)).await;
            assert_eq!(peer.0.read(&mut [0; 8]).await.unwrap(), 0, "the pipe is ended in order");
        });
        let end = in_time(what, driver).await.unwrap().expect_err(what);
        assert_eq!((end.kind(), end.layer()), (&Kind::PeerMisbehaved(violation), Some(Layer::Muxer)), "{what}: {end}");
        in_time(what, reading).await.unwrap();
        assert!(session.open().await.is_err());
    }
}

#[tokio::test]
async fn another_version_ends_the_connection() {
    let (_session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.0.write_all(b"\x01\0\0\0\0\0\0\0\0\0\0\0").await.unwrap();
    peer.expect(frame(GO_AWAY, 0, 0, 1)).await;
    drop(peer);
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::PeerMisbehaved(Violation::Malformed));
}

/// Frames of streams that are unknown or over are late or lost, not wrong.
#[tokio::test]
async fn what_others_tolerate_is_tolerated() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    for late in [
        (frame(DATA, 0, 77, 3), &b"abc"[..]),
        (frame(DATA, ACK, 78, 0), b""),
        (frame(DATA, FIN, 79, 0), b""),
        (frame(WINDOW_UPDATE, 0, 77, 1000), b""),
        (frame(DATA, RST, 77, 0), b""),
        (frame(WINDOW_UPDATE, RST, 78, 9), b""),
        (frame(DATA, 0x7ff0 | SYN, 1, 2), b"hi"), // flags that mean nothing
        (frame(PING, 0x70 | SYN, 0, 1), b""),
        (frame(PING, SYN, 99, 2), b""), // of a stream, though it is of the connection
        (frame(WINDOW_UPDATE, 0, 1, 0), b""), // credit of nothing
        (frame(DATA, 0, 1, 0), b""),
        (frame(DATA, FIN, 1, 0), b""),
        (frame(DATA, FIN, 1, 0), b""),    // ended twice
        (frame(DATA, 0, 1, 5), b"after"), // after the end
    ] {
        peer.send(late.0, late.1).await;
    }
    let mut stream = session.accept().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hi");
    stream.shutdown().await.unwrap();
    peer.expect(frame(DATA, ACK | FIN, 1, 0)).await;
    drop(stream);
    // A stream that is over may be opened again: which ids were used is not kept.
    peer.send(frame(DATA, SYN, 1, 1), b"!").await;
    session.accept().await.unwrap().read_u8().await.unwrap();
}

/// js-libp2p puts all its credit into one frame.
#[tokio::test]
async fn a_frame_as_long_as_the_window_is_taken_in_pieces() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
    // For a stream that is gone: nothing limits it but the frame's own length, and it is to be ignored.
    let length = (5 << 20) + 1;
    in_time("sending it", peer.send(frame(DATA, 0, 2, length), &vec![7; length as usize])).await;

    // The first part can be read before the rest is there.
    peer.0.write_all(&frame(DATA, SYN | FIN, 4, WINDOW).bytes()).await.unwrap();
    peer.0.write_all(b"begin").await.unwrap();
    let mut theirs = in_time("the next stream", session.accept()).await.unwrap();
    let mut text = [0; 5];
    in_time("its bytes", theirs.read_exact(&mut text)).await.unwrap();
    assert_eq!(&text, b"begin");
    peer.0.write_all(&vec![1; WINDOW as usize - 5]).await.unwrap();
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), WINDOW as usize - 5);
}

#[tokio::test]
async fn a_flood_of_pings_costs_no_memory() {
    let (ours, peer) = pipes::pair_with_capacity(64);
    let yamux = Yamux::new(YamuxConfig::default()).unwrap();
    let (_session, driver, held) = yamux.start_watched(ours, MuxerContext::new(Role::Listener, &env()));
    let driver = tokio::spawn(driver);
    let mut peer = Peer(peer);
    // Nothing is read, so that the answers pile up.
    for value in 0..10_000 {
        in_time("a ping", peer.send(frame(PING, SYN, 0, value), b"")).await;
    }
    assert!(held.memory() < 64 * 1024, "{held:?}");
    assert!(!driver.is_finished());
    let (pong, _) = peer.receive_any().await;
    assert_eq!(pong, frame(PING, ACK, 0, 0));
}

#[tokio::test]
async fn refusals_that_nobody_reads_end_the_connection() {
    let (ours, mut peer) = pipes::pair_with_capacity(64);
    let yamux = Yamux::new(YamuxConfig { max_streams: 1, ..Default::default() }).unwrap();
    let (_session, driver, held) = yamux.start_watched(ours, MuxerContext::new(Role::Listener, &env()));
    let driver = tokio::spawn(driver);
    let flood = tokio::spawn(async move {
        let mut id = 1;
        let mut most = 0;
        while peer.write_all(&frame(DATA, SYN, id, 0).bytes()).await.is_ok() {
            id += 2;
            most = most.max(held.memory());
        }
        most
    });
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::PeerMisbehaved(Violation::Flood));
    let most = in_time("the flood", flood).await.unwrap();
    assert!(most < 600 * 1024, "{most}");
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_taken_back_unanswered_may_not_come_in_floods() {
    let (session, driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    let accepting = tokio::spawn(async move { while session.accept().await.is_ok() {} });
    // As fast as 200 in a second is fine for however long.
    for i in 0..2000 {
        peer.send(frame(DATA, SYN, 2 * i + 1, 0), b"").await;
        peer.send(frame(WINDOW_UPDATE, RST, 2 * i + 1, 0), b"").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!driver.is_finished());
    let flood: Vec<u8> = (10_000..15_000)
        .flat_map(|i| [frame(DATA, SYN, 2 * i + 1, 0).bytes(), frame(DATA, RST, 2 * i + 1, 0).bytes()].concat())
        .collect();
    let sending = tokio::spawn(async move {
        let _refused = peer.0.write_all(&flood).await;
        peer
    });
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::PeerMisbehaved(Violation::Flood));
    drop(sending.await);
    in_time("the accepter", accepting).await.unwrap();
}

/// Measured twice: as the room of all chunks (of streams, of what waits to be sent; not those that a reader has taken, nor the table itself with a few hundred bytes a stream), and as what was sent and not read.
#[tokio::test(start_paused = true)]
async fn a_peer_that_fills_every_window_stays_within_the_bound() {
    let max_streams = 64;
    let config = YamuxConfig { max_streams, receive_window: 40 << 20, ..Default::default() };
    let bound = config.receive_window;
    let (ours, peer) = pipes::pair_with_capacity(1 << 20);
    let (session, driver, held) =
        Yamux::new(config).unwrap().start_watched(ours, MuxerContext::new(Role::Listener, &env()));
    let driver = tokio::spawn(driver);
    let (mut reading, mut writing) = tokio::io::split(peer);
    // The peer takes whatever it is granted, and fills that.
    let (granted, grants) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn(async move {
        let mut header = [0; 12];
        while reading.read_exact(&mut header).await.is_ok() {
            let field = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
            match header[1] {
                WINDOW_UPDATE if header[3] & RST as u8 == 0 => granted.send((field(4), field(8))).unwrap(),
                PING => granted.send((0, field(8))).unwrap(),
                _ => {}
            }
        }
    });
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let flooding = tokio::spawn(async move {
        let mut grants = grants;
        for id in (1..).step_by(2).take(2 * max_streams as usize) {
            let mut bytes = frame(DATA, SYN, id, WINDOW).bytes();
            bytes.resize(bytes.len() + WINDOW as usize, 7);
            writing.write_all(&bytes).await.unwrap();
        }
        while let Some((id, length)) = grants.recv().await {
            if id == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let mut bytes = match id {
                0 => frame(PING, ACK, 0, length).bytes(),
                _ => frame(DATA, 0, id, length).bytes(),
            };
            bytes.resize(bytes.len() + if id == 0 { 0 } else { length as usize }, 7);
            writing.write_all(&bytes).await.unwrap();
            counter.fetch_add(bytes.len() as u64 - 12, Ordering::Relaxed);
        }
    });
    settle().await;
    assert_eq!(held.windows(), u64::from(max_streams) * u64::from(WINDOW));
    assert!(held.memory() as u64 <= held.windows() + (64 << 10), "{held:?}");
    // A reader that reads fast makes windows grow, up to the bound, and leaves them filled.
    let mut streams = Vec::new();
    for _ in 0..max_streams {
        streams.push(session.accept().await.unwrap());
    }
    let mut read = 0;
    for _ in 0..50 {
        for stream in &mut streams {
            let mut part = vec![0; 200 << 10];
            read += stream.read_exact(&mut part).await.unwrap() as u64;
        }
        settle().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Streams of ours could have 16 MiB; the rest is the peer's.
    let most = bound - u64::from(max_streams) * u64::from(WINDOW);
    assert_eq!(held.windows(), most, "{held:?}");
    assert!(held.memory() as u64 <= most, "{held:?}");
    let unread = sent.load(Ordering::Relaxed) + u64::from(max_streams) * u64::from(WINDOW) - read;
    assert!((most / 2..=most).contains(&unread), "{unread}");
    assert!(!driver.is_finished());
    // Once nothing moves and nothing is unread, nothing is held.
    drop(streams);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(held.memory(), 0, "{held:?}");
    assert_eq!(held.windows(), 0);
    driver.abort();
    let _gone = tokio::join!(driver, listening, flooding);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// Frames of every kind in any order, right and wrong, neither panic nor hang nor cost more memory than they may.
    #[test]
    fn any_frames_end_or_are_ignored(
        frames in prop::collection::vec((0..4u8, 0..16u16, 0..6u32, prop_oneof![0..40u32, Just(WINDOW), any::<u32>()]), 0..40),
        junk in prop::collection::vec(any::<u8>(), 0..40),
        role in prop_oneof![Just(Role::Dialer), Just(Role::Listener)],
    ) {
        let mut bytes = Vec::new();
        for (kind, flags, stream, length) in frames {
            bytes.extend(frame(kind, flags, stream, length).bytes());
            let body = if kind == DATA { length.min(WINDOW + 1) as usize } else { 0 };
            bytes.resize(bytes.len() + body, 1);
        }
        bytes.extend(junk);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(in_time("the conversation", async {
            let (ours, peer) = pipes::pair();
            let config = YamuxConfig { max_streams: 2, ..Default::default() };
            let (session, driver, held) = Yamux::new(config).unwrap().start_watched(ours, MuxerContext::new(role, &env()));
            let (mut reading, mut writing) = tokio::io::split(peer);
            let talking = async {
                let _refused = writing.write_all(&bytes).await;
                let _refused = writing.shutdown().await;
                assert!(held.memory() < 2 * 4 * WINDOW as usize + (1 << 20));
            };
            let listening = async {
                let _end = reading.read_to_end(&mut Vec::new()).await;
            };
            let using = async {
                let mut ours = session.open().await.ok();
                if let Some(stream) = &mut ours {
                    let _refused = stream.write_all(b"hello").await;
                }
                while let Ok(mut stream) = session.accept().await {
                    let _end = stream.read(&mut [0; 100]).await;
                    let _end = stream.shutdown().await;
                }
            };
            let (end, ..) = tokio::join!(driver, talking, listening, using);
            if let Err(e) = end {
                assert_eq!(e.layer(), Some(Layer::Muxer), "{e}");
                assert!(!matches!(e.kind(), Kind::Internal | Kind::Io), "{e}");
            }
        }));
    }
}
