//! What connections do beyond the laws: how they end, their datagrams, their priorities. Over a network in memory.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod network;

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use network::{Host, connect, connect_on};
use stackwire_conformance::{in_time, muxer::Side};
use stackwire_core::{BoxPipe, Datagrams, Error, Kind, Multiplexed, Priority, Result, SessionExt};
use stackwire_transport_quic::QuicConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DEFAULT: fn() -> QuicConfig = QuicConfig::default;

fn run(top: Multiplexed) -> Side {
    Side::run(network::half(top))
}

async fn pair() -> (Side, Side) {
    let (dialer, listener) = connect(DEFAULT(), DEFAULT()).await;
    (run(dialer), run(listener))
}

/// A stream that both ends know.
async fn stream(dialer: &Side, listener: &Side) -> (BoxPipe, BoxPipe) {
    let mut ours = dialer.session.open().await.unwrap();
    ours.write_all(b"!").await.unwrap();
    let mut theirs = listener.session.accept().await.unwrap();
    theirs.read_u8().await.unwrap();
    (ours, theirs)
}

async fn receive(datagrams: &Arc<dyn Datagrams>) -> Result<Bytes> {
    in_time("a datagram", poll_fn(|cx| datagrams.poll_receive(cx))).await
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_close_is_told_to_the_peer() {
    for code in [1, 0x1006, u32::MAX] {
        let (dialer, listener) = pair().await;
        let (_ours, mut theirs) = stream(&dialer, &listener).await;
        dialer.session.close(code);
        let session = listener.session.clone();
        assert_eq!(listener.end().await.unwrap_err().kind(), &Kind::Reset { code });
        assert_eq!(session.open().await.err().unwrap().kind(), &Kind::Reset { code });
        let read = Error::from(theirs.read_u8().await.unwrap_err());
        assert_eq!((read.kind(), read.plugin()), (&Kind::Reset { code }, Some("quic")));
        dialer.end().await.expect("a close that we asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_delivers_what_was_written_though_packets_are_lost() {
    let host = Host::default();
    let (dialer, listener) = connect_on(&host, DEFAULT(), DEFAULT()).await;
    let (dialer, listener) = (run(dialer), run(listener));
    let (mut ours, mut theirs) = stream(&dialer, &listener).await;
    let (mut finished, mut others) = stream(&dialer, &listener).await;
    host.0.lose_every(5);
    let sent: Vec<u8> = (0..500_000_u32).map(|i| i as u8).collect();
    ours.write_all(&sent).await.unwrap();
    finished.write_all(&sent).await.unwrap();
    finished.shutdown().await.unwrap();
    dialer.session.close(9);
    let mut got = vec![0; sent.len()];
    in_time("an open stream", theirs.read_exact(&mut got)).await.unwrap();
    assert!(got == sent);
    let mut got = Vec::new();
    in_time("a finished stream", others.read_to_end(&mut got)).await.unwrap();
    assert!(got == sent);
    dialer.end().await.unwrap();
    assert_eq!(listener.end().await.unwrap_err().kind(), &Kind::Reset { code: 9 });
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_ever() {
    let host = Host::default();
    let config = QuicConfig { idle_timeout_secs: 1000, ..DEFAULT() };
    let (dialer, listener) = connect_on(&host, config, config).await;
    let (dialer, listener) = (run(dialer), run(listener));
    let (mut ours, _theirs) = stream(&dialer, &listener).await;
    host.0.lose_every(1);
    ours.write_all(b"nobody hears this").await.unwrap();
    dialer.session.close(0);
    in_time("the close", dialer.end()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_given_up() {
    let host = Host::default();
    let config = QuicConfig { idle_timeout_secs: 20, ..DEFAULT() };
    let (dialer, listener) = connect_on(&host, config, DEFAULT()).await;
    let (dialer, listener) = (run(dialer), run(listener));
    let (mut ours, _theirs) = stream(&dialer, &listener).await;
    // Asking for it keeps it alive.
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(!dialer.driver.is_finished() && !listener.driver.is_finished());
    host.0.lose_every(1);
    let silent = Kind::Timeout { limit: Duration::from_secs(20) };
    assert_eq!(in_time("the end", dialer.end()).await.unwrap_err().kind(), &silent);
    let read = Error::from(ours.read_u8().await.unwrap_err());
    assert_eq!(read.kind(), &silent);
}

/// A peer that goes on speaking while nothing reaches it, or that acknowledges nothing for the sake of it.
#[tokio::test(start_paused = true)]
async fn a_peer_that_speaks_and_takes_nothing_in_is_given_up() {
    let host = Host::default();
    let theirs = QuicConfig { idle_timeout_secs: 3600, keep_alive_secs: 5, ack_timeout_secs: 0, ..DEFAULT() };
    let ours = QuicConfig { idle_timeout_secs: 3600, ..DEFAULT() };
    let (dialer, listener) = connect_on(&host, theirs, ours).await;
    let (dialer, listener) = (run(dialer), run(listener));
    let (_quiet, mut writing) = stream(&dialer, &listener).await;
    // All is acknowledged, and nobody minds the quiet.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!listener.driver.is_finished());
    host.0.mute("127.0.0.1:4001".parse().unwrap());
    writing.write_all(&[1; 1000]).await.unwrap();
    let before = tokio::time::Instant::now();
    let error = in_time("the end", listener.end()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Timeout { limit: Duration::from_secs(30) }, "{error}");
    let took = before.elapsed();
    assert!((Duration::from_secs(30)..Duration::from_secs(60)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_that_nobody_reads_stop_nobody_else() {
    let (dialer, listener) = pair().await;
    let mut unread = Vec::new();
    for n in 0..12 {
        let (mut ours, theirs) = in_time("a new stream", stream(&dialer, &listener)).await;
        unread.push((theirs, tokio::spawn(async move { ours.write_all(&vec![n; 64 << 20]).await })));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (mut a, mut b) = in_time("a stream beside unread ones", stream(&dialer, &listener)).await;
        for _ in 0..3 {
            in_time("a ping", async {
                a.write_all(&[7; 32]).await.unwrap();
                b.read_exact(&mut [0; 32]).await.unwrap();
            })
            .await;
        }
    }
    // Some were too much. The others have lost nothing, and go on where somebody reads.
    let (mut cut, mut went_on) = (0, 0);
    for (n, (mut theirs, writer)) in unread.into_iter().enumerate() {
        let mut got = vec![0; 10 << 20];
        match in_time("reading at last", theirs.read_exact(&mut got)).await {
            Ok(_) => {
                assert!(got.iter().all(|byte| usize::from(*byte) == n));
                went_on += 1;
            }
            Err(error) => {
                let error = Error::from(error);
                assert!(matches!(error.kind(), Kind::LimitExceeded { limit: "connection_window", .. }), "{error}");
                in_time("the writer of a stream that was cut", writer).await.unwrap().unwrap_err();
                cut += 1;
            }
        }
    }
    assert!(went_on >= 2 && cut >= 1, "{went_on} went on, {cut} were cut");
}

/// As long as nobody else needs the window, a stream waits for its reader.
#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_is_not_reset() {
    let (dialer, listener) = pair().await;
    let (mut ours, mut theirs) = stream(&dialer, &listener).await;
    let writer = tokio::spawn(async move {
        ours.write_all(&vec![5; 20 << 20]).await.unwrap();
        // Dropped, it would be reset.
        ours
    });
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(30)).await;
        stream(&dialer, &listener).await;
    }
    let mut got = vec![0; 20 << 20];
    in_time("all of it", theirs.read_exact(&mut got)).await.unwrap();
    assert!(got.iter().all(|byte| *byte == 5));
    drop(writer.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn packets_within_a_machine_are_large() {
    for (max_udp_payload, sizes) in [(1452, 6000..6528), (32_000, 16_000..32_000)] {
        let config = QuicConfig { max_udp_payload, ..DEFAULT() };
        let (dialer, listener) = connect(config, config).await;
        let (dialer, listener) = (run(dialer), run(listener));
        let (mut ours, mut theirs) = stream(&dialer, &listener).await;
        let sent = vec![7; 4 << 20];
        let mut got = vec![0; sent.len()];
        let (wrote, read) = futures::future::join(ours.write_all(&sent), theirs.read_exact(&mut got)).await;
        wrote.and(read).unwrap();
        assert!(got == sent);
        let size = ours.datagrams().unwrap().max_size();
        assert!(sizes.contains(&size), "{size} bytes in a packet");
    }
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_is_measured() {
    let (dialer, listener) = pair().await;
    let _stream = stream(&dialer, &listener).await;
    let measured = dialer.session.round_trip().unwrap();
    assert!((Duration::from_millis(2)..Duration::from_millis(10)).contains(&measured), "{measured:?}");
}

#[tokio::test(start_paused = true)]
async fn urgent_streams_overtake_bulk() {
    const BULK: usize = 2 << 20;
    let (dialer, listener) = pair().await;
    let mut bulk = Vec::new();
    for _ in 0..4 {
        let (mut ours, mut theirs) = stream(&dialer, &listener).await;
        ours.set_priority(Priority::Low);
        ours.write_all(&vec![0; BULK]).await.unwrap();
        bulk.push((ours, tokio::spawn(async move { theirs.read_exact(&mut vec![0; BULK]).await.map(|_| ()) })));
    }
    let (mut ours, mut theirs) = stream(&dialer, &listener).await;
    ours.set_priority(Priority::Urgent);
    ours.write_all(&vec![1; 500_000]).await.unwrap();
    in_time("what is urgent", theirs.read_exact(&mut vec![0; 500_000])).await.unwrap();
    // By turns, each of the others would have had its 500 000 bytes too, and some of them more.
    assert!(bulk.iter().all(|(_, reader)| !reader.is_finished()), "bulk that was written before came first");
    for (_ours, reader) in bulk {
        in_time("bulk", reader).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn datagrams_travel_both_ways_beside_their_stream() {
    let (dialer, listener) = pair().await;
    let (mut ours, mut theirs) = stream(&dialer, &listener).await;
    let (mut more, mut others) = stream(&listener, &dialer).await;
    let (a, c) = (ours.datagrams().unwrap(), more.datagrams().unwrap());
    assert!(Arc::ptr_eq(&a, &ours.datagrams().unwrap()), "one flow a stream");
    // Sent before the other end has asked for any.
    a.send(Bytes::from("early")).unwrap();
    c.send(Bytes::from("another stream's")).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (b, d) = (theirs.datagrams().unwrap(), others.datagrams().unwrap());
    assert_eq!(receive(&b).await.unwrap(), "early");
    assert_eq!(receive(&d).await.unwrap(), "another stream's");
    for size in [0, 1, a.max_size()] {
        let sent = Bytes::from(vec![7; size]);
        a.send(sent.clone()).unwrap();
        assert_eq!(receive(&b).await.unwrap(), sent);
        b.send(sent.clone()).unwrap();
        assert_eq!(receive(&a).await.unwrap(), sent);
    }
    // They leave the bytes of the stream alone.
    ours.write_all(b"bytes").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut text = String::new();
    theirs.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "bytes");
}

#[tokio::test(start_paused = true)]
async fn a_datagram_that_is_too_large_is_refused() {
    let (dialer, listener) = pair().await;
    let (mut ours, _theirs) = stream(&dialer, &listener).await;
    let datagrams = ours.datagrams().unwrap();
    let max = datagrams.max_size();
    assert!((1100..6528).contains(&max), "{max}");
    let error = datagrams.send(Bytes::from(vec![0; max + 1])).unwrap_err();
    assert_eq!(error.kind(), &Kind::LimitExceeded { limit: "max_size", max: max as u64 });
    assert_eq!(error.plugin(), Some("quic"));
}

#[tokio::test(start_paused = true)]
async fn datagrams_end_with_their_stream_and_connection() {
    let (dialer, listener) = pair().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(stream(&dialer, &listener).await);
    }
    let flows: Vec<_> =
        streams.iter_mut().map(|(ours, theirs)| (ours.datagrams().unwrap(), theirs.datagrams().unwrap())).collect();
    let expect = async |flow: &Arc<dyn Datagrams>, kind: Kind| {
        assert_eq!(receive(flow).await.unwrap_err().kind(), &kind);
        assert_eq!(flow.send(Bytes::from("late")).unwrap_err().kind(), &kind);
    };

    // Reset: here at once, there when the stream shows it.
    streams[0].0.reset(5);
    expect(&flows[0].0, Kind::Reset { code: 5 }).await;
    streams[0].1.read_u8().await.unwrap_err();
    expect(&flows[0].1, Kind::Reset { code: 5 }).await;

    flows[1].1.send(Bytes::from("left")).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(streams.remove(1));
    assert_eq!(receive(&flows[1].0).await.unwrap(), "left");
    expect(&flows[1].0, Kind::Closed).await;

    dialer.session.close(6);
    in_time("the close", dialer.end()).await.unwrap();
    listener.end().await.unwrap_err();
    expect(&flows[2].0, Kind::Closed).await;
    expect(&flows[2].1, Kind::Reset { code: 6 }).await;
}

#[tokio::test(start_paused = true)]
async fn without_datagrams_on_both_sides_there_are_none() {
    let off = QuicConfig { datagram_buffer: 0, ..DEFAULT() };
    for (dialer, listener) in [(off, DEFAULT()), (DEFAULT(), off)] {
        let (dialer, listener) = connect(dialer, listener).await;
        let (dialer, listener) = (run(dialer), run(listener));
        let (mut ours, mut theirs) = stream(&dialer, &listener).await;
        assert!(ours.datagrams().is_none() && theirs.datagrams().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_datagrams_that_nobody_reads_disturbs_nobody() {
    let (dialer, listener) = pair().await;
    let (mut ours, mut theirs) = stream(&dialer, &listener).await;
    let (flow, unread) = (ours.datagrams().unwrap(), theirs.datagrams().unwrap());
    for i in 0..20_000_u32 {
        flow.send(Bytes::from(i.to_be_bytes().repeat(250))).unwrap();
        if i % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    ours.write_all(b"still here").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut text = String::new();
    in_time("the stream", theirs.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "still here");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waiting = std::iter::from_fn(|| poll_fn(|cx| unread.poll_receive(cx)).now_or_never()).count();
    assert!((1..=260).contains(&waiting), "{waiting}");
}
