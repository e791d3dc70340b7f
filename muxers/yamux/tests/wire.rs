//! What yamux says on the wire, and what it makes of what it hears, frame by frame.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod peer;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake},
    time::Duration,
};

use peer::{ACK, DATA, FIN, GO_AWAY, PING, Peer, RST, SYN, WINDOW_UPDATE, frame, start};
use stackwire_conformance::{env, in_time, muxer::settle, pipes};
use stackwire_core::{BoxPipe, Kind, Muxer, MuxerContext, Role, SessionExt, reset_code};
use stackwire_muxer_yamux::{
    Yamux, YamuxConfig,
    wire::{self, HEADER, Header},
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

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
async fn the_first_bytes_on_the_wire() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"hi").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = [0; 26];
    peer.0.read_exact(&mut bytes).await.unwrap();
    // Data, SYN, stream 2, two bytes; data, FIN, stream 2, none.
    assert_eq!(bytes[..14], *b"\0\0\0\x01\0\0\0\x02\0\0\0\x02hi");
    assert_eq!(bytes[14..], *b"\0\0\0\x04\0\0\0\x02\0\0\0\0");
    // Behind the first bytes comes the first question for the distance.
    let mut ping = [0; 12];
    peer.0.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping[..8], *b"\0\x02\0\x01\0\0\0\0");
    assert_eq!(session.round_trip(), None);
    ping[3] = ACK as u8;
    peer.0.write_all(&ping).await.unwrap();
    peer.send(frame(DATA, ACK, 2, 1), b"!").await;
    stream.read_u8().await.unwrap();
    assert!(session.round_trip().is_some());
}

#[tokio::test]
async fn a_stream_that_only_waits_is_announced_too() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Dialer);
    let mut stream = session.open().await.unwrap();
    let reading = tokio::spawn(async move { stream.read_u8().await });
    peer.expect(frame(WINDOW_UPDATE, SYN, 1, 0)).await;
    peer.send(frame(DATA, ACK, 1, 1), b"x").await;
    assert_eq!(reading.await.unwrap().unwrap(), b'x');
    peer.expect(frame(DATA, RST, 1, 0)).await; // it was dropped with its task

    // Inbound: a reader that waits for more acknowledges, so that the peer may open others.
    peer.send(frame(DATA, SYN, 2, 1), b"y").await;
    let mut theirs = session.accept().await.unwrap();
    let _reading = tokio::spawn(async move { theirs.read_exact(&mut [0; 2]).await.map(|_| ()) });
    peer.expect(frame(WINDOW_UPDATE, ACK, 2, 0)).await;

    let mut flushed = session.open().await.unwrap();
    flushed.flush().await.unwrap();
    peer.expect(frame(WINDOW_UPDATE, SYN, 3, 0)).await;
    let mut empty = session.open().await.unwrap();
    empty.shutdown().await.unwrap();
    peer.expect(frame(DATA, SYN | FIN, 5, 0)).await;
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
    // After our own end, too.
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"!").await.unwrap();
    stream.shutdown().await.unwrap();
    peer.expect(frame(DATA, SYN, 5, 1)).await;
    peer.expect(frame(DATA, FIN, 5, 0)).await;
    stream.reset(8);
    peer.expect(frame(WINDOW_UPDATE, RST, 5, 8)).await;
    // Of a stream that the peer never heard of, it hears nothing.
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"!").await.unwrap();
    stream.reset(9);
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"!").await.unwrap();
    peer.expect(frame(DATA, SYN, 9, 1)).await;
}

#[tokio::test]
async fn an_answer_that_is_given_up_after_the_peers_end_is_a_reset_and_not_an_end() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(DATA, SYN | FIN, 1, 8), b"question").await;
    let mut stream = session.accept().await.unwrap();
    let mut question = String::new();
    stream.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    stream.write_all(b"half an ans").await.unwrap();
    peer.expect(frame(DATA, ACK, 1, 11)).await;
    drop(stream);
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

    peer.send(frame(WINDOW_UPDATE, SYN, 3, 0), b"").await;
    let mut stream = session.accept().await.unwrap();
    peer.send(frame(GO_AWAY, 0, 0, 0x1005), b"").await;
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(reset_code(&error), Some(0x1005));
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::Reset { code: 0x1005 });
    assert_eq!(session.open().await.err().unwrap().kind(), end.kind());
}

#[tokio::test]
async fn what_came_before_an_end_stays_readable_after_a_reset() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    peer.send(frame(DATA, SYN | FIN, 1, 5), b"whole").await;
    peer.send(frame(DATA, RST, 1, 0), b"").await;
    // A stream that arrives later says that the reset has arrived.
    peer.send(frame(DATA, SYN, 3, 0), b"").await;
    let mut stream = session.accept().await.unwrap();
    let _later = session.accept().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "whole");
    assert_eq!(reset_code(&stream.write(b"x").await.unwrap_err()), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_then_given_up() {
    let config = YamuxConfig { keepalive_secs: 4, ping_timeout_secs: 7, ..Default::default() };
    let (session, driver, mut peer) = start(config, Role::Dialer);
    let before = tokio::time::Instant::now();
    let mut asked = Vec::new();
    for _ in 0..4 {
        let ping = peer.question().await;
        asked.push(before.elapsed().as_secs());
        peer.send(frame(PING, ACK, 0, ping), b"").await;
    }
    assert_eq!(asked[0], 4);
    assert!(asked.windows(2).all(|two| (8..=44).contains(&(two[1] - two[0]))), "less and less often: {asked:?}");
    settle().await;
    assert!(session.round_trip().is_some());
    // Anything it says counts as life, an answer or not.
    peer.question().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    peer.send(frame(WINDOW_UPDATE, 0, 99, 0), b"").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!driver.is_finished());
    let end = in_time("the end", driver).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), &Kind::Timeout { limit: Duration::from_secs(7) });
    assert_eq!(session.open().await.err().unwrap().kind(), end.kind());

    let (_session, driver, peer) = start(YamuxConfig { keepalive_secs: 0, ..Default::default() }, Role::Dialer);
    tokio::time::sleep(Duration::from_secs(1_000_000)).await;
    assert!(!driver.is_finished());
    drop(peer);
}

#[tokio::test]
async fn streams_beyond_the_limit_are_reset_one_by_one() {
    let (session, _driver, mut peer) = start(YamuxConfig { max_streams: 2, ..Default::default() }, Role::Listener);
    for id in [1, 3, 5, 7] {
        peer.send(frame(DATA, SYN, id, 1), b"a").await;
    }
    peer.expect(frame(WINDOW_UPDATE, RST, 5, 0x1002)).await;
    peer.expect(frame(WINDOW_UPDATE, RST, 7, 0x1002)).await;
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

/// Law 22: what a SYN grants adds to the first window.
#[tokio::test(start_paused = true)]
async fn credit_that_comes_with_the_opening_counts() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    let more = 100_000;
    peer.send(frame(WINDOW_UPDATE, SYN, 1, more), b"").await;
    let mut stream = session.accept().await.unwrap();
    let writing = tokio::spawn(async move { stream.write_all(&[0; 1 << 20]).await });
    let mut left = (256 << 10) + more;
    while left > 0 {
        let (header, body) = peer.receive().await;
        assert_eq!(header.kind, DATA);
        left -= body.len() as u32;
    }
    settle().await;
    assert!(!writing.is_finished());
    // No more without more credit: what comes next is the answer to this ping.
    peer.send(frame(PING, SYN, 0, 5), b"").await;
    assert_eq!(peer.receive_any().await.0, frame(PING, ACK, 0, 5));
    peer.send(frame(WINDOW_UPDATE, 0, 1, 10), b"").await;
    peer.expect(frame(DATA, 0, 1, 10)).await;
}

/// Law 21: credit is granted when half of the window was read, in whatever pieces, and never for what is unread.
#[tokio::test(start_paused = true)]
async fn credit_is_granted_for_what_was_read() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    let window = 256 << 10;
    peer.send(frame(DATA, SYN, 1, window), &vec![1; window as usize]).await;
    let mut stream = session.accept().await.unwrap();
    settle().await;
    let half = window as usize / 2;
    stream.read_exact(&mut vec![0; half - 1]).await.unwrap();
    settle().await;
    peer.send(frame(PING, SYN, 0, 1), b"").await;
    assert_eq!(peer.receive_any().await.0, frame(PING, ACK, 0, 1), "a grant came early");
    stream.read_u8().await.unwrap();
    peer.expect(frame(WINDOW_UPDATE, ACK, 1, half as u32)).await;
    stream.read_exact(&mut vec![0; half]).await.unwrap();
    peer.expect(frame(WINDOW_UPDATE, 0, 1, half as u32)).await;
}

/// What arrives after `close_read` is discarded and granted again, so that the peer can finish.
#[tokio::test]
async fn what_nobody_wants_is_granted_again() {
    let (session, _driver, mut peer) = start(YamuxConfig::default(), Role::Listener);
    let part = 200 << 10;
    peer.send(frame(DATA, SYN, 1, part), &vec![1; part as usize]).await;
    let mut stream = session.accept().await.unwrap();
    stream.fill_buf().await.unwrap();
    stream.close_read();
    peer.expect(frame(WINDOW_UPDATE, ACK, 1, part)).await;
    peer.send(frame(DATA, 0, 1, part), &vec![1; part as usize]).await;
    let (grant, _) = peer.receive().await;
    assert_eq!((grant.kind, grant.stream), (WINDOW_UPDATE, 1));
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_closed_and_dropped_does_not_wait_forever() {
    let config = YamuxConfig { max_streams: 1, keepalive_secs: 0, ..Default::default() };
    let (session, _driver, mut peer) = start(config, Role::Dialer);
    let mut stream = session.open().await.unwrap();
    stream.shutdown().await.unwrap();
    peer.expect(frame(DATA, SYN | FIN, 1, 0)).await;
    drop(stream);
    let before = tokio::time::Instant::now();
    let _next = session.open().await.unwrap();
    assert!((60..=62).contains(&before.elapsed().as_secs()));
    peer.expect(frame(DATA, RST, 1, 0)).await;
}

#[tokio::test]
async fn streams_take_turns() {
    let (ours, peer) = pipes::pair_with_capacity(1000);
    let config = YamuxConfig { split_send_size: 10_000, ..Default::default() };
    let (session, driver) = Yamux::new(config).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
    let mut peer = Peer(peer);
    // All is queued before the driver runs.
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = session.open().await.unwrap();
        stream.write_all(&[0; 25_000]).await.unwrap();
        streams.push(stream);
    }
    let _driver = tokio::spawn(driver);
    let mut order = Vec::new();
    for _ in 0..9 {
        let (header, _) = peer.receive().await;
        order.push((header.stream, header.length));
    }
    let round = |length| [1, 3, 5].map(|id| (id, length));
    assert_eq!(order, [round(10_000), round(10_000), round(5_000)].concat());
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

/// What can be read from `pipe` at once.
async fn available(pipe: &mut BoxPipe) -> usize {
    let (mut all, mut part) = (0, vec![0; 1 << 20]);
    while let Poll::Ready(n) = futures::poll!(pin!(pipe.read(&mut part))) {
        all += n.unwrap();
    }
    all
}

/// Nothing but the polls in here runs the driver.
#[tokio::test]
async fn one_poll_moves_a_part_of_what_is_there_and_others_the_rest() {
    let (ours, mut peer) = pipes::pair_with_capacity(4 << 20);
    let yamux = Yamux::new(YamuxConfig::default()).unwrap();
    let (session, mut driver, held) = yamux.start_watched(ours, MuxerContext::new(Role::Dialer, &env()));
    let (least, most) = (128 << 10, 288 << 10);
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = session.open().await.unwrap();
        stream.write_all(&[1; 256 << 10]).await.unwrap();
        streams.push(stream);
    }
    let mut sent = 0;
    for _ in 0..8 {
        assert!(futures::poll!(&mut driver).is_pending());
        let now = available(&mut peer).await;
        sent += now;
        assert!(now <= most && (now >= least || sent > 1 << 20), "{now} bytes were sent");
        tokio::task::yield_now().await;
    }
    // A header for each 64 KiB, and a ping.
    assert_eq!(sent, (1 << 20) + 17 * 12);

    for id in [2, 4, 6, 8] {
        let bytes = [&frame(DATA, SYN, id, 256 << 10).bytes()[..], &[1; 256 << 10]].concat();
        peer.write_all(&bytes).await.unwrap();
    }
    // What arrived is seen by the memory that it takes: whoever reads has the driver work for it.
    let mut received = held.memory();
    for _ in 0..8 {
        assert!(futures::poll!(&mut driver).is_pending());
        let now = held.memory() - received;
        received += now;
        assert!(now <= most && (now >= least || received >= 1 << 20), "{now} bytes were received");
        tokio::task::yield_now().await;
    }
    for _ in 0..4 {
        let mut stream = session.accept().await.unwrap();
        stream.read_exact(&mut vec![0; 256 << 10]).await.unwrap();
    }
}

#[tokio::test]
async fn who_reads_or_writes_does_the_drivers_work() {
    let (ours, mut peer) = pipes::pair_with_capacity(4 << 20);
    let (session, mut driver) =
        Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
    let mut stream = session.open().await.unwrap();
    stream.write_all(&[1]).await.unwrap();
    assert!(futures::poll!(&mut driver).is_pending());
    let before = available(&mut peer).await;
    // Much goes to the pipe at once, frame by frame, and in no poll of the driver.
    stream.write_all(&[2; 128 << 10]).await.unwrap();
    assert_eq!(available(&mut peer).await, (128 << 10) + 2 * HEADER, "after {before} bytes");
    peer.write_all(&[&frame(DATA, ACK, 1, 5).bytes()[..], b"hello"].concat()).await.unwrap();
    let mut text = [0; 5];
    stream.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"hello");
    // A peer that ends the connection ends it for the driver's task.
    peer.shutdown().await.unwrap();
    stream.read_u8().await.unwrap_err();
    assert_eq!(driver.await.unwrap_err().kind(), &Kind::Closed);
}

#[tokio::test]
async fn what_a_full_pipe_leaves_of_a_frame_follows_before_everything_else() {
    // The peer answers no pings, and this may take a while.
    for capacity in [1, 1000, 70_000, 100_000] {
        let config = YamuxConfig { keepalive_secs: 0, ..YamuxConfig::default() };
        let (ours, mut peer) = pipes::pair_with_capacity(capacity);
        let (session, driver) = Yamux::new(config).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
        let driver = tokio::spawn(driver);
        let (mut a, mut b) = (session.open().await.unwrap(), session.open().await.unwrap());
        let writing = tokio::spawn(async move {
            for _ in 0..4 {
                a.write_all(&[1; 40_000]).await.unwrap();
                b.write_all(&[2; 100]).await.unwrap();
            }
            (a, b)
        });
        let mut left = [160_000, 400];
        while left != [0, 0] {
            let mut header = [0; HEADER];
            peer.read_exact(&mut header).await.unwrap();
            let header = Header::decode(&header).unwrap();
            if header.kind == wire::Kind::Data {
                let mut body = vec![0; header.length as usize];
                peer.read_exact(&mut body).await.unwrap();
                let index = (header.stream / 2) as usize;
                assert!(body.iter().all(|byte| usize::from(*byte) == index + 1), "stream {}", header.stream);
                left[index] -= body.len();
            }
        }
        let _streams = writing.await.unwrap();
        driver.abort();
    }
}

#[tokio::test]
async fn a_frame_that_was_begun_is_ended_before_the_reset_of_its_stream() {
    let (ours, mut peer) = pipes::pair_with_capacity(1000);
    let (session, driver) =
        Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
    let driver = tokio::spawn(driver);
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"!").await.unwrap();
    tokio::task::yield_now().await;
    // Much of it does not fit into the pipe.
    assert!(stream.write(&[7; 200_000]).await.unwrap() > 1000);
    stream.reset(9);
    drop(stream);
    let mut data = 0;
    let code = loop {
        let mut header = [0; HEADER];
        peer.read_exact(&mut header).await.unwrap();
        let header = Header::decode(&header).unwrap();
        match header.kind {
            wire::Kind::Data => {
                let mut body = vec![0; header.length as usize];
                peer.read_exact(&mut body).await.unwrap();
                assert!(body == b"!" || body.iter().all(|byte| *byte == 7));
                data += body.len();
            }
            _ if header.flags & RST != 0 => break header.length,
            _ => {}
        }
    };
    assert_eq!(code, 9);
    assert!(data > 1000, "{data} bytes");
    driver.abort();
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_pipe_that_takes_nothing_is_not_asked_again_for_every_write() {
    let (ours, mut peer) = pipes::pair_with_capacity(1000);
    let (session, mut driver) =
        Yamux::new(YamuxConfig::default()).unwrap().start(ours, MuxerContext::new(Role::Dialer, &env()));
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    let waker = wakes.clone().into();
    let mut poll = || driver.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
    let mut stream = session.open().await.unwrap();
    stream.write_all(&[1; 3000]).await.unwrap();
    assert!(poll());
    let before = wakes.0.load(Ordering::Relaxed);
    let mut other = session.open().await.unwrap();
    other.write_all(b"hello").await.unwrap();
    stream.write_all(&[1; 3000]).await.unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), before, "the driver was woken for nothing");
    // The pipe wakes it, and then all of it is sent.
    let mut read = 0;
    let mut part = [0; 1000];
    while read < 6005 + 4 * 12 {
        read += peer.read(&mut part).await.unwrap();
        assert!(wakes.0.load(Ordering::Relaxed) > before, "nobody woke the driver");
        assert!(poll());
    }
    // From now on writes wake it again.
    let before = wakes.0.load(Ordering::Relaxed);
    other.write_all(b"hello").await.unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), before + 1);
}
