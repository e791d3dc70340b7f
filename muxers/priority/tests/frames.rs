//! What goes over the wire, frame by frame, against a peer played by hand.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod played;

use std::time::Duration;

use played::{DIALER, first_ping, frame, number, play, play_as};
use stackwire_conformance::{in_time, muxer::settle};
use stackwire_core::{Kind, Priority, Role, SessionExt, Violation, reset_code};
use stackwire_muxer_priority::{
    PriorityConfig,
    settings::Settings,
    wire::{END, FrameKind, VIOLATION},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn settings_and_a_ping_come_first_and_cost_no_round_trip() {
    let mut played = play_as(Role::Dialer, PriorityConfig::default());
    let mut stream = played.session.open().await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let settings = Settings { streams: 256, stream_window: 256 << 10, connection_window: 16 << 20 };
    played.hears(&settings.encode()).await;
    played.hears(&frame(FrameKind::Ping, 0, 0, &first_ping())).await;
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    played.hears(&frame(FrameKind::Data, 0, 1, b"hello")).await;
    assert_eq!(played.session.round_trip(), None);
    tokio::time::sleep(Duration::from_millis(30)).await;
    played.says(&frame(FrameKind::Settings, 0, 0, b"")).await;
    played.says(&frame(FrameKind::Pong, 0, 0, &first_ping())).await;
    settle().await;
    assert_eq!(played.session.round_trip(), Some(Duration::from_millis(30)));
}

#[tokio::test]
async fn opening_writing_and_closing() {
    let mut played = play(PriorityConfig::default()).await;
    let mut stream = played.session.open().await.unwrap();
    stream.set_priority(Priority::High);
    stream.write_all(b"hi").await.unwrap();
    stream.shutdown().await.unwrap();
    played.hears(&frame(FrameKind::Open, 2, 1, b"")).await;
    played.hears(&frame(FrameKind::Data, END, 1, b"hi")).await;
    played.says(&frame(FrameKind::Data, END, 1, b"yes")).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"yes");
    // Over: its drop says nothing. The next is reset by its drop.
    drop(stream);
    drop(played.session.open().await.unwrap());
    played.hears(&frame(FrameKind::Open, 1, 3, b"")).await;
    played.hears(&number(FrameKind::Reset, 3, 0)).await;
    // An end of its own.
    let mut stream = played.session.open().await.unwrap();
    played.hears(&frame(FrameKind::Open, 1, 5, b"")).await;
    stream.shutdown().await.unwrap();
    played.hears(&frame(FrameKind::Data, END, 5, b"")).await;
}

#[tokio::test]
async fn priorities_are_told_and_heard() {
    let mut played = play(PriorityConfig::default()).await;
    played.says(&frame(FrameKind::Open, 3, 2, b"")).await;
    let mut stream = played.session.accept().await.unwrap();
    stream.set_priority(Priority::Low);
    played.hears(&frame(FrameKind::Priority, 0, 2, b"")).await;
    stream.set_priority(Priority::Low);
    stream.set_priority(Priority::Urgent);
    played.hears(&frame(FrameKind::Priority, 3, 2, b"")).await;
    let mut played = play(PriorityConfig { tell_priority: false, ..Default::default() }).await;
    let mut stream = played.session.open().await.unwrap();
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    stream.set_priority(Priority::Low);
    stream.write_all(b"x").await.unwrap();
    played.hears(&frame(FrameKind::Data, 0, 1, b"x")).await;
}

#[tokio::test]
async fn resets_and_stops_carry_their_codes() {
    let mut played = play(PriorityConfig::default()).await;
    played.says(&frame(FrameKind::Open, 1, 2, b"")).await;
    let mut stream = played.session.accept().await.unwrap();
    played.says(&number(FrameKind::Stop, 2, 42)).await;
    let error = loop {
        if let Err(error) = stream.write_all(&[0; 4096]).await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(reset_code(&error), Some(42));
    // The other direction goes on.
    played.says(&frame(FrameKind::Data, 0, 2, b"still")).await;
    let mut got = [0; 5];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"still");
    played.says(&number(FrameKind::Reset, 2, 7)).await;
    assert_eq!(reset_code(&stream.read_u8().await.expect_err("it was reset")), Some(7));

    let mut played = play(PriorityConfig::default()).await;
    let mut stream = played.session.open().await.unwrap();
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    stream.close_read();
    stream.close_read();
    played.hears(&number(FrameKind::Stop, 1, 0)).await;
    stream.reset(u32::MAX);
    stream.reset(1);
    played.hears(&number(FrameKind::Reset, 1, u32::MAX)).await;
}

#[tokio::test]
async fn a_stream_given_up_in_steps_is_given_up() {
    let mut played = play(PriorityConfig::default()).await;
    let mut stream = played.session.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.shutdown().await.unwrap();
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    played.hears(&frame(FrameKind::Data, END, 1, b"x")).await;
    // The driver does not run between these.
    stream.close_read();
    stream.reset(8);
    drop(stream);
    played.hears(&number(FrameKind::Reset, 1, 8)).await;
    // A drop alone, and one after the end.
    let mut stream = played.session.open().await.unwrap();
    stream.shutdown().await.unwrap();
    drop((stream, played.session.open().await.unwrap()));
    played.hears(&frame(FrameKind::Open, 1, 3, b"")).await;
    played.hears(&number(FrameKind::Stop, 3, 0)).await;
    played.hears(&frame(FrameKind::Data, END, 3, b"")).await;
    played.hears(&frame(FrameKind::Open, 1, 5, b"")).await;
    played.hears(&number(FrameKind::Reset, 5, 0)).await;
}

#[tokio::test]
async fn a_reset_after_the_peers_end_loses_no_data() {
    let mut played = play(PriorityConfig::default()).await;
    played.says(&frame(FrameKind::Open, 1, 2, b"")).await;
    played.says(&frame(FrameKind::Data, END, 2, b"whole")).await;
    played.says(&number(FrameKind::Reset, 2, 9)).await;
    played.says(&frame(FrameKind::Open, 1, 4, b"")).await;
    let mut stream = played.session.accept().await.unwrap();
    let _next = played.session.accept().await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"whole");
    assert_eq!(reset_code(&stream.write(b"x").await.expect_err("the peer reads no more")), Some(9));
}

#[tokio::test]
async fn frames_for_streams_that_are_over_are_ignored_and_their_credit_given_back() {
    let config = PriorityConfig { receive_window: 65_536, stream_window: 65_536, ..Default::default() };
    let mut played = play(config).await;
    drop(played.session.open().await.unwrap());
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    played.hears(&number(FrameKind::Reset, 1, 0)).await;
    played.says(&frame(FrameKind::Data, 0, 1, &[0; 10_000])).await;
    played.says(&number(FrameKind::Credit, 1, 5)).await;
    played.says(&number(FrameKind::Stop, 1, 5)).await;
    played.says(&number(FrameKind::Reset, 1, 5)).await;
    played.says(&frame(FrameKind::Priority, 0, 1, b"")).await;
    played.says(&frame(FrameKind::Datagram, 0, 1, b"late")).await;
    played.says(&frame(FrameKind::Data, END, 1, &[0; 10_000])).await;
    played.hears(&number(FrameKind::Credit, 0, 20_004)).await;
}

#[tokio::test]
async fn a_ping_is_answered() {
    let mut played = play(PriorityConfig::default()).await;
    for payload in [b"12345678", b"abcdefgh"] {
        played.says(&frame(FrameKind::Ping, 0, 0, payload)).await;
        played.hears(&frame(FrameKind::Pong, 0, 0, payload)).await;
    }
}

#[tokio::test]
async fn a_close_says_go_away_sends_what_was_written_and_closes() {
    let mut played = play(PriorityConfig::default()).await;
    let mut stream = played.session.open().await.unwrap();
    stream.write_all(b"the last").await.unwrap();
    played.session.close(0x1006);
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    played.hears(&number(FrameKind::GoAway, 0, 0x1006)).await;
    played.hears(&frame(FrameKind::Data, 0, 1, b"the last")).await;
    played.hears(&number(FrameKind::Close, 0, 0x1006)).await;
    assert_eq!(played.peer.read(&mut [0]).await.unwrap(), 0, "nothing follows");
    played.peer.shutdown().await.unwrap();
    played.ends().await.unwrap();
}

#[tokio::test]
async fn the_peers_close_tells_its_code() {
    for (code, expected) in [(0, Kind::Closed), (0x1005, Kind::Reset { code: 0x1005 })] {
        let mut played = play(PriorityConfig::default()).await;
        let mut stream = played.session.open().await.unwrap();
        let session = played.session.clone();
        played.says(&number(FrameKind::Close, 0, code)).await;
        let end = played.ends().await;
        assert_eq!(end.is_ok(), code == 0);
        assert!(stream.read_u8().await.is_err());
        assert_eq!(session.accept().await.err().unwrap().kind(), &expected);
        assert_eq!(session.open().await.err().unwrap().kind(), &expected);
    }
}

#[tokio::test]
async fn after_the_peers_go_away_nothing_opens_and_reading_goes_on() {
    let mut played = play(PriorityConfig::default()).await;
    played.says(&frame(FrameKind::Open, 1, 2, b"")).await;
    let mut stream = played.session.accept().await.unwrap();
    played.says(&number(FrameKind::GoAway, 0, 5)).await;
    played.says(&frame(FrameKind::Data, 0, 2, b"ok")).await;
    assert_eq!(stream.read_u16().await.unwrap(), u16::from_be_bytes(*b"ok"));
    let refused = played.session.open().await.err().expect("the peer closes");
    assert_eq!(refused.kind(), &Kind::Reset { code: 5 });
    assert!(stream.write(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_pipe_without_a_close_is_none() {
    for bytes in [&b""[..], b"\x02", b"\x02\x00\x00\x09\x00\x00\x00\x02xy"] {
        let mut played = play(PriorityConfig::default()).await;
        played.says(&frame(FrameKind::Open, 1, 2, b"")).await;
        played.says(bytes).await;
        played.peer.shutdown().await.unwrap();
        assert_eq!(played.ends().await.expect_err("cut").kind(), &Kind::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let mut played = play(PriorityConfig::default()).await;
    let session = played.session.clone();
    played.says(&frame(FrameKind::Pong, 0, 0, &first_ping())).await;
    let end = played.ends().await.expect_err("nobody is there");
    assert!(matches!(end.kind(), Kind::Timeout { .. }), "{end}");
    assert!(session.open().await.is_err());
    // Not one that answers, however long nothing else happens.
    let mut played = play(PriorityConfig::default()).await;
    played.says(&frame(FrameKind::Pong, 0, 0, &first_ping())).await;
    let mut last = first_ping().to_vec();
    for _ in 2..20 {
        let (header, payload) = played.next().await;
        assert_eq!(header.kind, FrameKind::Ping);
        assert_ne!(payload, last, "an answer could be prepared");
        tokio::time::sleep(Duration::from_secs(19)).await;
        played.says(&frame(FrameKind::Pong, 0, 0, &payload)).await;
        last = payload;
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_the_peer_never_reads_times_out() {
    let mut played = play(PriorityConfig::default()).await;
    let mut stream = played.session.open().await.unwrap();
    // More than the credit of a stream.
    stream.write_all(&[0; 100_000]).await.unwrap();
    played.session.close(0);
    let reading = async {
        let mut all = Vec::new();
        played.peer.read_to_end(&mut all).await.map(|_| ())
    };
    let (end, _) = tokio::join!(in_time("the driver's end", played.driver), reading);
    assert!(matches!(end.unwrap().unwrap_err().kind(), Kind::Timeout { .. }));
}

#[tokio::test]
async fn streams_are_allowed_as_they_are_taken_and_end() {
    let config = PriorityConfig { max_streams: 100, max_unaccepted: 4, ..Default::default() };
    let mut played = play(config).await;
    // More than the settings allow, but not more than before they were known: the excess is refused.
    for id in [2, 4, 6, 8, 10] {
        played.says(&frame(FrameKind::Open, 1, id, b"")).await;
    }
    played.hears(&number(FrameKind::Reset, 10, 0x1002)).await;
    let first = played.session.accept().await.unwrap();
    played.hears(&number(FrameKind::Streams, 0, 2)).await;
    played.says(&frame(FrameKind::Open, 1, 12, b"")).await;
    // One that is reset before it was taken keeps its place.
    played.says(&number(FrameKind::Reset, 12, 3)).await;
    drop(first);
    played.hears(&number(FrameKind::Reset, 2, 0)).await;
    for _ in 0..3 {
        let stream = played.session.accept().await.unwrap();
        drop(stream);
    }
    let mut reset = played.session.accept().await.unwrap();
    assert_eq!(reset_code(&reset.read_u8().await.expect_err("it was reset")), Some(3));
}

#[tokio::test]
async fn we_open_no_more_than_the_peer_allows() {
    let mut played = play_as(Role::Dialer, PriorityConfig::default());
    let settings = Settings { streams: 1, ..Settings::INITIAL };
    played.says(&settings.encode()).await;
    played.skip_greeting().await;
    let held = played.session.open().await.unwrap();
    let session = played.session.clone();
    let waiting = tokio::spawn(async move { session.open().await.map(drop) });
    played.hears(&frame(FrameKind::Open, 1, 1, b"")).await;
    assert!(!waiting.is_finished());
    drop(held);
    played.hears(&number(FrameKind::Reset, 1, 0)).await;
    assert!(!waiting.is_finished(), "only the peer makes room");
    played.says(&number(FrameKind::Streams, 0, 1)).await;
    waiting.await.unwrap().unwrap();
    played.hears(&frame(FrameKind::Open, 1, 3, b"")).await;
}

#[tokio::test]
async fn violations_end_the_connection_and_the_peer_is_told() {
    let open = frame(FrameKind::Open, 1, 2, b"");
    let data = |length: usize| frame(FrameKind::Data, 0, 2, &vec![0; length]);
    let many = |count: usize, one: &dyn Fn(u32) -> Vec<u8>| (0..count as u32).flat_map(one).collect::<Vec<u8>>();
    let violations: Vec<(&str, Violation, Vec<u8>)> = vec![
        ("SETTINGS twice", Violation::OutOfOrder, frame(FrameKind::Settings, 0, 0, b"")),
        ("a stream out of turn", Violation::OutOfOrder, frame(FrameKind::Open, 1, 4, b"")),
        ("a stream of ours", Violation::OutOfOrder, frame(FrameKind::Open, 1, 1, b"")),
        ("a stream opened twice", Violation::OutOfOrder, [open.clone(), open.clone()].concat()),
        ("too many streams", Violation::FlowControl, many(257, &|i| frame(FrameKind::Open, 1, 2 * i + 2, b""))),
        ("data on a stream that never was", Violation::OutOfOrder, data(1)),
        ("data on ours that never was", Violation::OutOfOrder, frame(FrameKind::Data, 0, 1, b"x")),
        ("a reset of a stream that never was", Violation::OutOfOrder, number(FrameKind::Reset, 2, 0)),
        ("a stop of a stream that never was", Violation::OutOfOrder, number(FrameKind::Stop, 2, 0)),
        ("a priority of a stream that never was", Violation::OutOfOrder, frame(FrameKind::Priority, 1, 2, b"")),
        ("a datagram of a stream that never was", Violation::OutOfOrder, frame(FrameKind::Datagram, 0, 2, b"")),
        (
            "data after the end",
            Violation::OutOfOrder,
            [open.clone(), frame(FrameKind::Data, END, 2, b""), data(1)].concat(),
        ),
        ("more than the stream's window", Violation::FlowControl, [open.clone(), many(5, &|_| data(60_000))].concat()),
        ("credit of nothing", Violation::FlowControl, number(FrameKind::Credit, 0, 0)),
        (
            "credit of nothing for a stream",
            Violation::FlowControl,
            [open.clone(), number(FrameKind::Credit, 2, 0)].concat(),
        ),
        ("too much credit", Violation::FlowControl, number(FrameKind::Credit, 0, i32::MAX as u32)),
        (
            "too much credit for a stream",
            Violation::FlowControl,
            [open.clone(), number(FrameKind::Credit, 2, i32::MAX as u32)].concat(),
        ),
        ("no streams at all", Violation::FlowControl, number(FrameKind::Streams, 0, 0)),
        ("too many streams allowed", Violation::FlowControl, number(FrameKind::Streams, 0, i32::MAX as u32)),
        ("a pong to no ping", Violation::OutOfOrder, frame(FrameKind::Pong, 0, 0, b"whatever")),
        ("pings faster than answers", Violation::Flood, many(2, &|_| frame(FrameKind::Ping, 0, 0, b"whatever"))),
        (
            "a second go-away",
            Violation::OutOfOrder,
            [number(FrameKind::GoAway, 0, 0), number(FrameKind::GoAway, 0, 0)].concat(),
        ),
    ];
    for (what, violation, bytes) in violations {
        let mut played = play(PriorityConfig::default()).await;
        played.says(&bytes).await;
        let mut rest = Vec::new();
        in_time(what, played.peer.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.ends_with(&number(FrameKind::Close, 0, VIOLATION)), "{what}: {rest:02x?}");
        let error = played.ends().await.expect_err(what);
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(violation), "{what}");
        assert_eq!(error.plugin(), Some("priority"), "{what}");
    }
    let mut played = play_as(DIALER, PriorityConfig::default());
    played.says(&open).await;
    let error = played.ends().await.expect_err("the first frame is SETTINGS");
    assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::OutOfOrder));
}

#[tokio::test]
async fn more_than_the_connections_window_is_a_violation() {
    let config = PriorityConfig { receive_window: 65_536, stream_window: 65_536, ..Default::default() };
    let mut played = play(config).await;
    for id in [2, 4] {
        played.says(&frame(FrameKind::Open, 1, id, b"")).await;
        played.says(&frame(FrameKind::Data, 0, id, &[0; 40_000])).await;
    }
    let error = played.ends().await.expect_err("80 000 of 65 536 bytes");
    assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::FlowControl));
    assert!(error.to_string().contains("connection's window"), "{error}");
}
