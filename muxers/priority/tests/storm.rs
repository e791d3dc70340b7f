//! Everything at once: applications that do anything, and peers that say anything in well-formed frames.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod played;

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use played::{frame, muxer};
use proptest::prelude::*;
use stackwire_conformance::{
    env, in_time,
    muxer::{Side, payload, settle},
    pipes,
};
use stackwire_core::{BoxPipe, Kind, MuxerContext, Priority, Role, Session, SessionExt};
use stackwire_muxer_priority::{
    PriorityConfig,
    wire::{FrameKind, HEADER, Header},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

/// Bytes that were read, so that a storm which moves nothing is noticed.
static READ: AtomicUsize = AtomicUsize::new(0);

/// Repeatable dice.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % sides
    }

    fn part(&mut self) -> Dice {
        Dice(self.roll(1 << 40) | 1)
    }

    fn class(&mut self) -> Priority {
        [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent][self.roll(4) as usize]
    }
}

/// Both sides write the same text on every stream, so that what is read must be its beginning.
fn text() -> Vec<u8> {
    payload(300_000, 5)
}

/// Does something at random with a stream until it is done with it.
async fn use_stream(mut stream: BoxPipe, mut dice: Dice, text: Arc<Vec<u8>>) {
    let (mut written, mut read) = (0, 0);
    let mut part = vec![0; 50_000];
    for _ in 0..dice.roll(60) {
        match dice.roll(20) {
            0..8 => {
                let end = (written + dice.roll(40_000) as usize).min(text.len());
                let limit = Duration::from_millis(dice.roll(50));
                if let Ok(Ok(n)) = tokio::time::timeout(limit, stream.write(&text[written..end])).await {
                    written += n;
                }
            }
            8..14 => {
                let limit = Duration::from_millis(dice.roll(50));
                let size = 1 + dice.roll(50_000) as usize;
                if let Ok(Ok(n)) = tokio::time::timeout(limit, stream.read(&mut part[..size])).await {
                    assert!(part[..n] == text[read..read + n], "other bytes than were written");
                    read += n;
                    READ.fetch_add(n, Ordering::Relaxed);
                }
            }
            14..16 => stream.set_priority(dice.class()),
            16 => stream.set_rate(NonZeroU64::new(dice.roll(1 << 22))),
            17 => {
                let datagrams = stream.datagrams().unwrap();
                let _sent = datagrams.send(vec![1; dice.roll(16_000) as usize].into());
                let taken = futures::future::poll_fn(|cx| datagrams.poll_receive(cx));
                let _taken = tokio::time::timeout(Duration::from_millis(dice.roll(5)), taken).await;
            }
            18 => tokio::time::sleep(Duration::from_millis(dice.roll(30))).await,
            _ => {}
        }
    }
    match dice.roll(6) {
        0 => stream.reset(dice.roll(100) as u32),
        1 => stream.close_read(),
        2 => return,
        _ => {}
    }
    let (mut reader, mut writer) = split(stream);
    let writing = async {
        let _written = writer.write_all(&text[written..]).await;
        let _shut = writer.shutdown().await;
    };
    let reading = async {
        let mut rest = Vec::new();
        if reader.read_to_end(&mut rest).await.is_ok() {
            assert!(text[read..].starts_with(&rest), "other bytes than were written");
            READ.fetch_add(rest.len(), Ordering::Relaxed);
        }
    };
    let _done = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(writing, reading) }).await;
}

async fn use_session(session: Arc<dyn Session>, mut dice: Dice, text: Arc<Vec<u8>>) {
    let mut tasks = tokio::task::JoinSet::new();
    let accepting = {
        let (session, mut dice, text) = (session.clone(), dice.part(), text.clone());
        tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Ok(stream) = session.accept().await {
                tasks.spawn(use_stream(stream, dice.part(), text.clone()));
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        })
    };
    for _ in 0..20 {
        let stream = session.open().await.unwrap();
        tasks.spawn(use_stream(stream, dice.part(), text.clone()));
        tokio::time::sleep(Duration::from_millis(dice.roll(20))).await;
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    session.close(0);
    accepting.await.unwrap();
}

/// Neither side ever breaks the rules, whatever its application does, and bytes never change places.
#[test]
fn whatever_applications_do_nobody_misbehaves_and_no_byte_is_out_of_place() {
    let text = Arc::new(text());
    for seed in 1..25 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut dice = Dice(seed * 0x9e37_79b9);
            let (a, b) = match dice.roll(3) {
                0 => pipes::pair_in_chunks(1 + dice.roll(3000) as usize),
                _ => pipes::pair_with_capacity(1 + dice.roll(100_000) as usize),
            };
            let config = PriorityConfig {
                receive_window: 70_000 + dice.roll(200_000) as u32,
                stream_window: 65_536,
                max_streams: 1 + dice.roll(30) as u32,
                max_unaccepted: 1 + dice.roll(30) as u32,
                send_buffer: 16_384 + dice.roll(100_000) as usize,
                max_fragment: 1000 + dice.roll(15_000) as usize,
                ..Default::default()
            };
            let left = Side::start(&muxer(config.clone()), a, Role::Dialer);
            let right = Side::start(&muxer(PriorityConfig::default()), b, Role::Listener);
            let one = tokio::spawn(use_session(left.session.clone(), dice.part(), text.clone()));
            let other = tokio::spawn(use_session(right.session.clone(), dice.part(), text.clone()));
            for side in [left, right] {
                if let Err(error) = tokio::time::timeout(Duration::from_secs(600), side.end()).await.expect("it ends") {
                    panic!("seed {seed}: {error}");
                }
            }
            // The side that closes first fails what the other still does; that is no panic of ours.
            for done in [one.await, other.await] {
                if let Err(error) = done {
                    let panic = error.into_panic();
                    let text = panic.downcast_ref::<String>().map_or("", String::as_str);
                    assert!(text.contains("Closed") || text.contains("closed"), "seed {seed}: {text}");
                }
            }
        });
    }
    let read = READ.load(Ordering::Relaxed);
    assert!(read > 20_000_000, "only {read} bytes were read");
}

fn some_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        4 => Just(FrameKind::Open),
        6 => Just(FrameKind::Data),
        2 => Just(FrameKind::Credit),
        1 => Just(FrameKind::Streams),
        2 => Just(FrameKind::Reset),
        2 => Just(FrameKind::Stop),
        2 => Just(FrameKind::Priority),
        1 => Just(FrameKind::Ping),
        2 => Just(FrameKind::Datagram),
        1 => Just(FrameKind::GoAway),
    ];
    (kind, 0..4u8, 0..10u32, 0..40_000usize, prop_oneof![0..20u32, any::<u32>()]).prop_map(
        |(kind, flags, stream, length, value)| {
            let bytes = match kind {
                FrameKind::Open | FrameKind::Priority => frame(kind, flags, stream, b""),
                FrameKind::Data => frame(kind, flags & 1, stream, &vec![7; length]),
                FrameKind::Datagram => frame(kind, 0, stream, &vec![7; length / 10]),
                FrameKind::Ping => frame(kind, 0, 0, b"whatever"),
                FrameKind::Streams | FrameKind::GoAway => frame(kind, 0, 0, &value.to_be_bytes()),
                _ => frame(kind, 0, stream, &value.to_be_bytes()),
            };
            // One that is none by its header ends everything at once, which other tests see to.
            let (head, _) = bytes.split_first_chunk::<HEADER>().expect("a frame has a header");
            if Header::decode(*head).is_ok() { bytes } else { Vec::new() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_peer_says_the_connection_goes_on_or_ends_typed(
        frames in prop::collection::vec(some_frame(), 1..60),
        what in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(in_time("the end", async {
            let (ours, peer) = pipes::pair_with_capacity(100_000);
            let config = PriorityConfig { receive_window: 200_000, stream_window: 70_000, ..Default::default() };
            let (session, driver) = muxer(config).start(ours, MuxerContext::new(Role::Dialer, &env()));
            let driver = tokio::spawn(driver);
            let (mut reader, mut writer) = split(peer);
            let _reading = tokio::spawn(async move {
                let mut all = Vec::new();
                let _end = reader.read_to_end(&mut all).await;
            });
            let mut dice = Dice(what | 1);
            let text = Arc::new(vec![7; 100_000]);
            for _ in 0..3 {
                let opening = session.clone();
                let (dice, text) = (dice.part(), text.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = opening.open().await {
                        use_stream(stream, dice, text).await;
                    }
                });
            }
            let accepting = session.clone();
            let mut parts = dice.part();
            tokio::spawn(async move {
                while let Ok(stream) = accepting.accept().await {
                    tokio::spawn(use_stream(stream, parts.part(), text.clone()));
                }
            });
            let _end = writer.write_all(&frame(FrameKind::Settings, 0, 0, b"")).await;
            for frame in frames {
                let _end = writer.write_all(&frame).await;
                if dice.roll(3) == 0 {
                    settle().await;
                }
            }
            let _end = writer.shutdown().await;
            let error = driver.await.unwrap().expect_err("the pipe ended without a close");
            assert!(matches!(error.kind(), Kind::PeerMisbehaved(_) | Kind::Closed), "{error}");
            assert!(session.open().await.is_err());
        }));
    }
}
