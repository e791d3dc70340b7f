//! What is kept and for how long: windows, buffers, datagrams.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod played;

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use played::{DIALER, frame, muxer, next, number, play};
use stackwire_conformance::{
    env,
    muxer::{Pair, Side, Subject, read_all, settle, write_until_blocked},
    pipes,
};
use stackwire_core::{BoxPipe, Datagrams, Kind, MuxerContext, Role, SessionExt, Violation};
use stackwire_muxer_priority::{
    PriorityConfig,
    settings::{MAX_CREDIT, Settings},
    wire::FrameKind,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn received(datagrams: &Arc<dyn Datagrams>) -> stackwire_core::Result<bytes::Bytes> {
    futures::future::poll_fn(|cx| datagrams.poll_receive(cx)).await
}

#[tokio::test(start_paused = true)]
async fn the_connections_window_is_the_most_that_many_streams_make_us_keep() {
    const WINDOW: u32 = 300_000;
    let config = PriorityConfig { receive_window: WINDOW, stream_window: 100_000, ..Default::default() };
    let (a, b) = pipes::pair();
    let dialer = Side::start(&muxer(PriorityConfig::default()), a, Role::Dialer);
    let listener = Side::start(&muxer(config.clone()), b, Role::Listener);
    settle().await;
    let mut writers = Vec::new();
    for _ in 0..20 {
        let mut stream = dialer.session.open().await.unwrap();
        writers.push(tokio::spawn(async move {
            let _end = stream.write_all(&vec![5; 200_000]).await;
            let _end = stream.shutdown().await;
        }));
    }
    settle().await;
    // Everything that arrived lies in our streams now.
    let mut streams = Vec::new();
    let mut kept = 0;
    for _ in 0..20 {
        let mut stream = listener.session.accept().await.unwrap();
        let (mut all, mut part) = (0, vec![0; 1 << 20]);
        // No task runs between these polls, so that no credit goes out.
        while let std::task::Poll::Ready(n) = futures::poll!(std::pin::pin!(stream.read(&mut part))) {
            all += n.unwrap();
        }
        kept += all;
        streams.push((stream, all));
    }
    assert!(kept <= WINDOW as usize, "{kept} bytes were kept");
    assert!(kept >= WINDOW as usize - 16 * 1024, "only {kept} bytes were kept");
    // Once they are read, all of it arrives.
    let mut readers = Vec::new();
    for (mut stream, before) in streams {
        readers.push(tokio::spawn(async move { before + read_all(&mut stream).await.unwrap().len() }));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 200_000);
    }
}

/// Two ends of a pipe whose bytes are `delay` on their way.
fn slow_pipe(delay: Duration) -> (BoxPipe, BoxPipe) {
    let ((a, left), (right, b)) = (pipes::pair_with_capacity(16 << 20), pipes::pair_with_capacity(16 << 20));
    let (left_read, left_write) = tokio::io::split(left);
    let (right_read, right_write) = tokio::io::split(right);
    carry(left_read, right_write, delay);
    carry(right_read, left_write, delay);
    (a, b)
}

fn carry(
    mut from: impl AsyncReadExt + Unpin + Send + 'static,
    mut to: impl AsyncWriteExt + Unpin + Send + 'static,
    delay: Duration,
) {
    let (put, mut get) = tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut part = vec![0; 256 << 10];
        while let Ok(n @ 1..) = from.read(&mut part).await {
            if put.send((tokio::time::Instant::now() + delay, part[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((at, bytes)) = get.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn windows_grow_with_the_round_trip_within_the_connections() {
    const WINDOW: usize = 8 << 20;
    let config = PriorityConfig { receive_window: WINDOW as u32, ..Default::default() };
    let subject = Subject::of(config);
    let pair = Pair::on(&subject, slow_pipe(Duration::from_millis(50)));
    settle().await;
    let (mut ours, mut theirs) = pair.stream().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let trip = pair.dialer.session.round_trip().expect("it was measured");
    assert!((100..110).contains(&trip.as_millis()), "{trip:?}");
    let start = tokio::time::Instant::now();
    let sending = tokio::spawn(async move {
        ours.write_all(&vec![3; 30 << 20]).await.unwrap();
        ours.shutdown().await.unwrap();
    });
    assert_eq!(read_all(&mut theirs).await.unwrap().len(), 30 << 20);
    sending.await.unwrap();
    // With its first window of 256 KiB it would have taken 120 round trips.
    let trips = start.elapsed().as_secs_f64() / 0.1;
    assert!(trips < 30.0, "{trips} round trips");
    // What one stream can make us keep is still bounded, and so that others have room.
    let (mut ours, mut theirs) = pair.stream().await;
    let reading = tokio::spawn(async move {
        let mut part = vec![0; 20 << 20];
        theirs.read_exact(&mut part).await.unwrap();
        theirs
    });
    ours.write_all(&vec![3; 20 << 20]).await.unwrap();
    let theirs = reading.await.unwrap();
    let mut more = 0;
    while let Ok(n) = tokio::time::timeout(Duration::from_secs(1), ours.write(&[3; 8192])).await {
        more += n.unwrap();
    }
    assert!(more <= WINDOW / 2 + (512 << 10) + (1 << 20), "{more}");
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn a_stream_accepts_no_more_than_its_share_of_the_send_buffer() {
    let config = PriorityConfig { send_buffer: 256 << 10, ..Default::default() };
    // The peer never greets, so that its credit stays the initial one.
    let (ours, _peer) = pipes::pair_with_capacity(1024);
    let (session, driver) = muxer(config).start(ours, MuxerContext::new(DIALER, &env()));
    let _driver = tokio::spawn(driver);
    let mut total = 0;
    for i in 0..60 {
        let mut stream = session.open().await.unwrap();
        let accepted = write_until_blocked(&mut stream, 256 << 10).await.unwrap().len();
        assert!(accepted >= 16 << 10, "stream {i}: {accepted}");
        total += accepted;
        std::mem::forget(stream);
    }
    // One fragment each is the least; the send buffer and what left it comes on top.
    assert!(total <= 60 * (16 << 10) + (256 << 10) + (200 << 10), "{total}");
}

#[tokio::test(start_paused = true)]
async fn datagrams_carry_the_latest_value() {
    let subject = Subject::of(PriorityConfig::default());
    let pair = Pair::start(&subject);
    let (mut ours, mut theirs) = pair.stream().await;
    let (left, right) = (ours.datagrams().unwrap(), theirs.datagrams().unwrap());
    assert_eq!(left.max_size(), 16 << 10);
    // No task runs between these: the last replaces the others.
    for value in [&b"one"[..], b"two", b"three"] {
        left.send(value.into()).unwrap();
    }
    settle().await;
    assert_eq!(received(&right).await.unwrap(), "three");
    // And the same at the receiver.
    for value in [&b"four"[..], b"five"] {
        left.send(value.into()).unwrap();
        settle().await;
    }
    right.send(bytes::Bytes::new()).unwrap();
    assert_eq!(received(&right).await.unwrap(), "five");
    assert_eq!(received(&left).await.unwrap(), "");
    let large = left.send(vec![0; (16 << 10) + 1].into()).unwrap_err();
    assert!(matches!(large.kind(), Kind::LimitExceeded { .. }));
    // Any number goes through though nobody reads: what is replaced gives its credit back.
    for _ in 0..5000 {
        left.send(vec![9; 16 << 10].into()).unwrap();
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(received(&right).await.unwrap().len(), 16 << 10);
    // They end with their stream, on both sides, also for whoever waits.
    let waiting = tokio::spawn(async move { received(&right).await });
    settle().await;
    ours.reset(6);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), &Kind::Reset { code: 6 });
    assert_eq!(left.send(bytes::Bytes::new()).unwrap_err().kind(), &Kind::Reset { code: 6 });
    drop(ours);
    settle().await;
    assert_eq!(received(&left).await.unwrap_err().kind(), &Kind::Closed);
    pair.assert_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_datagram_beside_a_stream_that_ends_on_both_sides_fails_its_reader() {
    let subject = Subject::of(PriorityConfig::default());
    let pair = Pair::start(&subject);
    let (mut ours, mut theirs) = pair.stream().await;
    let datagrams = ours.datagrams().unwrap();
    let waiting = tokio::spawn(async move { received(&datagrams).await });
    theirs.shutdown().await.unwrap();
    settle().await;
    assert!(!waiting.is_finished());
    ours.shutdown().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), &Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_of_what_it_asks_for_costs_a_bounded_answer() {
    // Everything that makes us answer, over and over, with a pipe that takes no answers.
    let (ours, mut peer) = pipes::pair_with_capacity(64);
    let (session, driver) = muxer(PriorityConfig::default()).start(ours, MuxerContext::new(Role::Listener, &env()));
    let driver = tokio::spawn(driver);
    peer.write_all(&frame(FrameKind::Settings, 0, 0, b"")).await.unwrap();
    let accepting = tokio::spawn(async move { while session.accept().await.is_ok() {} });
    let mut opened = 0;
    loop {
        let id = 2 * opened + 1;
        let bytes = [frame(FrameKind::Open, 1, id, b""), number(FrameKind::Reset, id, 0)].concat();
        if peer.write_all(&bytes).await.is_err() {
            break;
        }
        opened += 1;
        assert!(opened < 50_000, "the flood was endured");
    }
    // Each was taken and dropped, but the STREAMS for them could not be sent.
    assert!(driver.await.unwrap().is_err_and(|error| error.violation() == Some(Violation::FlowControl)));
    accepting.await.unwrap();
}

#[tokio::test]
async fn any_cut_of_what_arrives_gives_the_same_streams() {
    let said = [
        frame(FrameKind::Open, 1, 2, b""),
        frame(FrameKind::Data, 0, 2, b"one "),
        frame(FrameKind::Datagram, 0, 2, b"beside"),
        number(FrameKind::Credit, 2, 10),
        frame(FrameKind::Data, 1, 2, b"two"),
    ]
    .concat();
    for size in 1..said.len() {
        let mut played = play(PriorityConfig::default()).await;
        for part in said.chunks(size) {
            played.says(part).await;
            tokio::task::yield_now().await;
        }
        let mut stream = played.session.accept().await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap(), b"one two");
        assert_eq!(received(&stream.datagrams().unwrap()).await.unwrap(), "beside");
        stream.write_all(b"yes").await.unwrap();
        assert_eq!(next(&mut played.peer).await.1, b"yes");
    }
}

/// Nothing but the polls in here runs the driver.
#[tokio::test]
async fn one_poll_moves_a_part_of_what_is_there_and_others_the_rest() {
    let (ours, mut peer) = pipes::pair_with_capacity(4 << 20);
    let (session, mut driver) = muxer(PriorityConfig::default()).start(ours, MuxerContext::new(DIALER, &env()));
    let settings = Settings { streams: 1000, stream_window: MAX_CREDIT, connection_window: MAX_CREDIT };
    peer.write_all(&settings.encode()).await.unwrap();
    assert!(futures::poll!(&mut driver).is_pending());
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = session.open().await.unwrap();
        stream.write_all(&[1; 256 << 10]).await.unwrap();
        streams.push(stream);
    }
    let (mut sent, mut part) = (0, vec![0; 1 << 20]);
    for _ in 0..8 {
        assert!(futures::poll!(&mut driver).is_pending());
        let mut now = 0;
        while let Poll::Ready(n) = futures::poll!(pin!(peer.read(&mut part))) {
            now += n.unwrap();
        }
        sent += now;
        assert!(now <= 288 << 10 && (now >= 128 << 10 || sent > 1 << 20), "{now} bytes were sent");
        tokio::task::yield_now().await;
    }
    assert!(sent > 1 << 20);
}

/// A datagram that is longer than the connection's credit waits for that, and nobody else does.
#[tokio::test(start_paused = true)]
async fn a_datagram_that_has_no_credit_holds_up_nobody() {
    let mut played = play(PriorityConfig::default()).await;
    let mut bulk = played.session.open().await.unwrap();
    // 25 536 bytes of the first 65 536 are left, 16 KiB of them for what is urgent.
    bulk.write_all(&[0; 40_000]).await.unwrap();
    settle().await;
    let mut latest = played.session.open().await.unwrap();
    let datagrams = latest.datagrams().expect("this muxer has datagrams");
    datagrams.send(vec![1; 16_000].into()).unwrap();
    settle().await;
    let mut other = played.session.open().await.unwrap();
    other.write_all(b"hello").await.unwrap();
    let mut bytes = 0;
    loop {
        let (header, payload) = next(&mut played.peer).await;
        assert_ne!(header.kind, FrameKind::Datagram, "there is no credit for it");
        bytes += payload.len() * usize::from(header.kind == FrameKind::Data);
        if payload == b"hello" {
            break;
        }
    }
    assert_eq!(bytes, 40_005);
    // A shorter one takes its place and goes.
    datagrams.send(vec![2; 5_000].into()).unwrap();
    assert_eq!(next(&mut played.peer).await.1, [2; 5_000]);
    datagrams.send(vec![3; 16_000].into()).unwrap();
    bulk.write_all(&[0; 4000]).await.unwrap();
    settle().await;
    assert_eq!(next(&mut played.peer).await.0.kind, FrameKind::Data);
    // With new credit it comes before all else.
    bulk.write_all(&[0; 16_000]).await.unwrap();
    settle().await;
    played.says(&number(FrameKind::Credit, 0, 16_384)).await;
    loop {
        let (header, payload) = next(&mut played.peer).await;
        match header.kind {
            FrameKind::Datagram => break assert_eq!(payload, [3; 16_000]),
            // What had credit before.
            _ => assert!(payload.len() < 1000, "{header:?}"),
        }
    }
}

/// No datagram is longer than the smallest window has room for.
#[tokio::test(start_paused = true)]
async fn a_datagram_that_never_fits_is_refused() {
    let config = PriorityConfig { max_fragment: 65_535, max_batch: 70_000, ..Default::default() };
    let mut played = play(config).await;
    let mut stream = played.session.open().await.unwrap();
    let datagrams = stream.datagrams().expect("this muxer has datagrams");
    assert_eq!(datagrams.max_size(), 48 << 10);
    let refused = datagrams.send(vec![0; (48 << 10) + 1].into()).unwrap_err();
    assert!(matches!(refused.kind(), Kind::LimitExceeded { .. }), "{refused}");
    datagrams.send(vec![0; 48 << 10].into()).unwrap();
    assert_eq!(next(&mut played.peer).await.0.kind, FrameKind::Open);
    assert_eq!(next(&mut played.peer).await.1.len(), 48 << 10);
}
