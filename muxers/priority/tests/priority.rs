//! Who goes first: counted in bytes on pipes that somebody holds up, never in time.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod played;

use std::{collections::HashMap, num::NonZeroU64, time::Duration};

use played::{DIALER, Played, frame, next, play, play_as, play_on};
use stackwire_conformance::{
    muxer::{settle, write_until_blocked},
    pipes,
};
use stackwire_core::{BoxPipe, Priority, SessionExt};
use stackwire_muxer_priority::{
    PriorityConfig, Weights,
    settings::{MAX_CREDIT, Settings},
    wire::{END, FrameKind, HEADER},
};
use tokio::io::AsyncWriteExt;

const FRAGMENT: usize = 16 << 10;

/// Our side on a pipe of `capacity` that the peer does not read, with all credit there is.
async fn held_up(capacity: usize, config: PriorityConfig) -> Played {
    let mut played = play_on(pipes::pair_with_capacity(capacity), DIALER, config);
    let settings = Settings { streams: 1000, stream_window: MAX_CREDIT, connection_window: MAX_CREDIT };
    played.says(&settings.encode()).await;
    played.skip_greeting().await;
    played
}

/// A stream of `class` on which a task writes without end.
async fn bulk(played: &Played, class: Priority) -> BoxPipe {
    let mut stream = played.session.open().await.unwrap();
    stream.set_priority(class);
    stream
}

fn flood(mut stream: BoxPipe) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while stream.write_all(&[7; 10_000]).await.is_ok() {} })
}

#[tokio::test(start_paused = true)]
async fn an_urgent_message_waits_for_one_frame_and_what_the_pipe_has() {
    const PIPE: usize = 64 << 10;
    for class in [Priority::Low, Priority::Normal, Priority::High] {
        let mut played = held_up(PIPE, PriorityConfig::default()).await;
        let mut urgent = bulk(&played, Priority::Urgent).await;
        for _ in 0..3 {
            flood(bulk(&played, class).await);
        }
        settle().await;
        urgent.write_all(b"now").await.unwrap();
        urgent.shutdown().await.unwrap();
        settle().await;
        let mut before = 0;
        loop {
            let (header, payload) = played.next().await;
            if header.stream == 1 && header.kind == FrameKind::Data {
                assert_eq!((&payload[..], header.flags), (&b"now"[..], END));
                break;
            }
            before += HEADER + payload.len();
        }
        assert!(before >= PIPE / 2, "the pipe was full of bulk: {before}");
        assert!(before <= PIPE + FRAGMENT + HEADER, "{before} bytes went before an urgent message");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_becomes_urgent_overtakes_others_and_never_itself() {
    const PIPE: usize = 10_000;
    let mut played = held_up(PIPE, PriorityConfig::default()).await;
    let mut stream = bulk(&played, Priority::Low).await;
    flood(bulk(&played, Priority::Normal).await);
    flood(bulk(&played, Priority::High).await);
    settle().await;
    let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_be_bytes).take(150_000).collect();
    stream.write_all(&text[..20_000]).await.unwrap();
    settle().await;
    // Its beginning may be on its way by now.
    for _ in 0..4 {
        played.next().await;
    }
    stream.set_priority(Priority::Urgent);
    let rest = text[20_000..].to_vec();
    let writing = tokio::spawn(async move {
        stream.write_all(&rest).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    let mut others = 0;
    loop {
        let (header, payload) = played.next().await;
        match (header.stream, header.kind) {
            (1, FrameKind::Data) => got.extend(payload),
            (_, FrameKind::Data) => others += payload.len(),
            _ => {}
        }
        if header.stream == 1 && header.flags & END != 0 && header.kind == FrameKind::Data {
            break;
        }
    }
    writing.await.unwrap();
    assert!(text.ends_with(&got) || got == text, "its bytes changed places");
    assert!(got.len() >= 130_000);
    assert!(others < 130_000, "{others} bytes of others went before");
}

#[tokio::test(start_paused = true)]
async fn an_end_never_overtakes_the_data_before_it() {
    for class in [Priority::Urgent, Priority::Normal] {
        let mut played = held_up(1000, PriorityConfig::default()).await;
        let mut stream = bulk(&played, class).await;
        for _ in 0..3 {
            stream.write_all(&[1; 10_000]).await.unwrap();
        }
        settle().await;
        // All of it has left the stream, little of it the connection.
        stream.set_priority(Priority::High);
        stream.shutdown().await.unwrap();
        let mut got = 0;
        loop {
            let (header, payload) = played.next().await;
            if header.kind == FrameKind::Data {
                got += payload.len();
                if header.flags & END != 0 {
                    break;
                }
            }
        }
        assert_eq!(got, 30_000);
    }
}

/// Reads `bytes` of data and counts it by stream.
async fn shares(peer: &mut BoxPipe, bytes: usize) -> HashMap<u32, usize> {
    let mut shares = HashMap::new();
    let mut read = 0;
    while read < bytes {
        let (header, payload) = next(peer).await;
        if header.kind == FrameKind::Data {
            *shares.entry(header.stream).or_default() += payload.len();
            read += payload.len();
        }
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn classes_share_a_full_pipe_by_weight_and_streams_of_one_equally() {
    let weights = Weights { low: 1, normal: 3, high: 6 };
    let mut played = held_up(8 << 10, PriorityConfig { weights, ..Default::default() }).await;
    for class in [Priority::Low, Priority::Normal, Priority::Normal, Priority::High] {
        flood(bulk(&played, class).await);
    }
    settle().await;
    let _at_first = shares(&mut played.peer, 200_000).await;
    let shares = shares(&mut played.peer, 10_000_000).await;
    let expected = [(1, 1.0), (3, 1.5), (5, 1.5), (7, 6.0)];
    for (stream, tenths) in expected {
        let got = shares[&stream] as f64 / 1_000_000.0;
        assert!((got - tenths).abs() < 0.1 * tenths, "stream {stream} had {got} tenths, not {tenths}");
    }
}

#[tokio::test(start_paused = true)]
async fn urgent_goes_first_and_starves_nobody() {
    let mut played = held_up(8 << 10, PriorityConfig::default()).await;
    for class in [Priority::Urgent, Priority::Low] {
        flood(bulk(&played, class).await);
    }
    settle().await;
    let _at_first = shares(&mut played.peer, 200_000).await;
    let shares = shares(&mut played.peer, 5_000_000).await;
    let urgent = shares[&1] as f64 / 5_000_000.0;
    assert!((0.79..0.85).contains(&urgent), "urgent had {urgent}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_over_time_and_ends_at_once() {
    const RATE: u64 = 100_000;
    let mut played = held_up(64 << 10, PriorityConfig::default()).await;
    let mut slow = played.session.open().await.unwrap();
    slow.set_rate(NonZeroU64::new(RATE));
    let (handle, mut given) = tokio::sync::mpsc::channel::<BoxPipe>(1);
    tokio::spawn(async move {
        let mut written = 0;
        while written < 2_000_000 {
            slow.write_all(&[1; 10_000]).await.unwrap();
            written += 10_000;
        }
        slow.set_rate(None);
        slow.shutdown().await.unwrap();
        handle.send(slow).await.unwrap();
    });
    // Others do not notice.
    let free = flood(bulk(&played, Priority::Low).await);
    let start = tokio::time::Instant::now();
    let (mut slow, mut fast) = (0u64, 0u64);
    while start.elapsed() < Duration::from_secs(10) {
        let (header, payload) = played.next().await;
        match (header.kind, header.stream) {
            (FrameKind::Data, 1) => slow += payload.len() as u64,
            (FrameKind::Data, _) => fast += payload.len() as u64,
            _ => {}
        }
        // The pipe takes 4 MB a second.
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    let due = 10 * RATE;
    assert!(slow <= due + RATE / 4, "{slow} bytes in 10 s of {RATE} a second");
    assert!(slow >= due - RATE / 5, "{slow} bytes in 10 s of {RATE} a second");
    assert!(fast > 20_000_000, "{fast}");
    free.abort();
    let rest = tokio::spawn(async move {
        let mut rest = 0;
        loop {
            let (header, payload) = played.next().await;
            if (header.kind, header.stream) == (FrameKind::Data, 1) {
                rest += payload.len() as u64;
                if header.flags & END != 0 {
                    return rest;
                }
            }
        }
    });
    let rest = rest.await.unwrap();
    assert_eq!(slow + rest, 2_000_000);
    given.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bulk_that_nobody_reads_leaves_credit_for_what_is_urgent() {
    let mut played = play(PriorityConfig::default()).await;
    let mut stalled = played.session.open().await.unwrap();
    write_until_blocked(&mut stalled, 1 << 20).await.unwrap();
    let mut urgent = bulk(&played, Priority::Urgent).await;
    urgent.write_all(b"now").await.unwrap();
    let mut sent = 0;
    loop {
        let (header, payload) = played.next().await;
        match (header.kind, header.stream) {
            (FrameKind::Data, 1) => sent += payload.len(),
            (FrameKind::Data, 3) => break assert_eq!(payload, b"now"),
            _ => {}
        }
    }
    assert_eq!(sent, (64 << 10) - (16 << 10));
}

#[tokio::test(start_paused = true)]
async fn the_peers_priority_is_ours_until_we_choose() {
    let mut played = play_as(DIALER, PriorityConfig::default());
    let settings = Settings { streams: 1000, stream_window: MAX_CREDIT, connection_window: MAX_CREDIT };
    played.says(&settings.encode()).await;
    played.skip_greeting().await;
    // Two streams of the peer; the second is urgent, then the first, then neither.
    played.says(&frame(FrameKind::Open, 0, 2, b"")).await;
    played.says(&frame(FrameKind::Open, 3, 4, b"")).await;
    let mut first = played.session.accept().await.unwrap();
    let mut second = played.session.accept().await.unwrap();
    for (low, high) in [(2, 4), (4, 2)] {
        if low == 4 {
            played.says(&frame(FrameKind::Priority, 3, 2, b"")).await;
            played.says(&frame(FrameKind::Priority, 0, 4, b"")).await;
            settle().await;
        }
        // No task runs between these.
        first.write_all(b"x").await.unwrap();
        second.write_all(b"x").await.unwrap();
        for stream in [high, low] {
            played.hears(&frame(FrameKind::Data, 0, stream, b"x")).await;
        }
    }
    second.set_priority(Priority::High);
    first.set_priority(Priority::Normal);
    played.hears(&frame(FrameKind::Priority, 2, 4, b"")).await;
    played.hears(&frame(FrameKind::Priority, 1, 2, b"")).await;
    played.says(&frame(FrameKind::Priority, 3, 2, b"")).await;
    settle().await;
    first.write_all(b"x").await.unwrap();
    second.write_all(b"x").await.unwrap();
    for stream in [4, 2] {
        played.hears(&frame(FrameKind::Data, 0, stream, b"x")).await;
    }
}
