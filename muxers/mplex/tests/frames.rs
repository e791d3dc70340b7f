//! What goes over the wire, frame by frame, against a peer played by hand.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

use std::sync::Arc;

use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{BoxPipe, Kind, MuxerContext, Result, Role, Session, SessionExt, Violation, reset_code};
use stackwire_muxer_mplex::{MplexConfig, Overflow};
use stackwire_plugin::Plugin;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

struct Played {
    session: Arc<dyn Session>,
    driver: JoinHandle<Result<()>>,
    peer: BoxPipe,
}

fn play(config: MplexConfig) -> Played {
    let (ours, peer) = pipes::pair_with_capacity(1 << 20);
    let muxer = config.build().unwrap().muxers.remove(0);
    let (session, driver) = muxer.start(ours, MuxerContext::new(Role::Dialer, &env()));
    Played { session, driver: tokio::spawn(driver), peer }
}

impl Played {
    async fn says(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).await.unwrap();
        self.peer.flush().await.unwrap();
    }

    async fn hears(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        in_time("the expected frames", self.peer.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, expected);
    }

    async fn ends(self) -> Result<()> {
        in_time("the driver's end", self.driver).await.unwrap()
    }
}

#[tokio::test]
async fn opening_writing_and_closing() {
    let mut played = play(MplexConfig::default());
    let mut stream = played.session.open().await.unwrap();
    played.hears(b"\x00\x010").await;
    stream.write_all(b"hi").await.unwrap();
    played.hears(b"\x02\x02hi").await;
    stream.shutdown().await.unwrap();
    played.hears(b"\x04\x00").await;
    // The peer's frames for our stream are those of a receiver.
    played.says(b"\x01\x03yes\x03\x00").await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"yes");
    // The next stream has the next number; dropping it open resets it.
    drop((stream, played.session.open().await.unwrap()));
    played.hears(b"\x08\x011\x0e\x00").await;
}

#[tokio::test]
async fn the_peers_streams_are_answered_as_a_receiver() {
    let mut played = play(MplexConfig::default());
    // Both sides may use the same number.
    let _ours = played.session.open().await.unwrap();
    played.hears(b"\x00\x010").await;
    played.says(b"\x00\x04name\x02\x02hi\x04\x00").await;
    let mut stream = played.session.accept().await.unwrap();
    let mut question = Vec::new();
    stream.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"hi");
    stream.write_all(b"yes").await.unwrap();
    played.hears(b"\x01\x03yes").await;
    stream.reset(42);
    played.hears(b"\x05\x00").await;
}

#[tokio::test]
async fn long_writes_become_frames_of_the_configured_size() {
    let mut played = play(MplexConfig { frame_size: 3, ..Default::default() });
    let mut stream = played.session.open().await.unwrap();
    stream.write_all(b"abcdefgh").await.unwrap();
    played.hears(b"\x00\x010\x02\x03abc\x02\x03def\x02\x02gh").await;
}

#[tokio::test]
async fn frames_for_unknown_streams_are_ignored() {
    let mut played = play(MplexConfig::default());
    played.says(b"\x52\x03abc\x51\x03abc\x53\x00\x54\x00\x55\x01x\x56\x00").await;
    played.says(b"\x00\x00\x02\x02hi").await;
    let mut stream = played.session.accept().await.unwrap();
    let mut got = [0; 2];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hi");
}

#[tokio::test]
async fn data_after_the_peers_close_is_ignored() {
    let mut played = play(MplexConfig::default());
    played.says(b"\x00\x00\x02\x01a\x04\x00\x02\x01b\x04\x00").await;
    let mut stream = played.session.accept().await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"a");
}

#[tokio::test]
async fn a_reset_after_the_peers_close_loses_no_data() {
    let mut played = play(MplexConfig::default());
    // It closed its side, then dropped the stream without reading ours.
    played.says(b"\x00\x00\x02\x01a\x04\x00\x06\x00\x08\x00").await;
    let mut stream = played.session.accept().await.unwrap();
    let _next = played.session.accept().await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"a");
    let error = stream.write(b"x").await.expect_err("the peer reads no more");
    assert_eq!(reset_code(&error), Some(0));
}

#[tokio::test]
async fn our_reset_ends_reading_after_the_peers_close_and_reset() {
    let mut played = play(MplexConfig::default());
    played.says(b"\x00\x00\x02\x01a\x04\x00\x06\x00\x08\x00").await;
    let mut stream = played.session.accept().await.unwrap();
    let _next = played.session.accept().await.unwrap();
    stream.reset(7);
    let error = stream.read(&mut [0]).await.expect_err("nothing is read after our reset");
    assert_eq!(reset_code(&error), Some(0), "the peer's reset was the first");
}

#[tokio::test]
async fn misbehaviour_ends_the_connection() {
    for (what, bytes, violation) in [
        ("a stream opened twice", &b"\x00\x00\x00\x00"[..], Violation::OutOfOrder),
        ("an unknown flag", b"\x07\x00", Violation::Malformed),
        ("a frame above 1 MiB", b"\x02\x81\x80\x40", Violation::TooLarge),
    ] {
        let mut played = play(MplexConfig::default());
        played.says(bytes).await;
        let error = played.ends().await.expect_err(what);
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(violation), "{what}");
        assert_eq!(error.plugin(), Some("mplex"));
    }
}

#[tokio::test]
async fn an_end_inside_a_frame_is_no_proper_close() {
    for bytes in [&b"\x00"[..], b"\x00\x05ab"] {
        let mut played = play(MplexConfig::default());
        played.says(bytes).await;
        played.peer.shutdown().await.unwrap();
        assert_eq!(played.ends().await.expect_err("cut").kind(), &Kind::Closed);
    }
    let mut played = play(MplexConfig::default());
    played.says(b"\x00\x02ab").await;
    played.peer.shutdown().await.unwrap();
    played.ends().await.expect("an end between frames is a close");
}

#[tokio::test]
async fn streams_above_the_limits_are_reset() {
    let mut played = play(MplexConfig { max_streams: 2, ..Default::default() });
    played.says(b"\x00\x00\x08\x00\x10\x00").await;
    played.hears(b"\x15\x00").await;
    let mut played = play(MplexConfig { max_unaccepted: 1, ..Default::default() });
    played.says(b"\x00\x00\x08\x00").await;
    played.hears(b"\x0d\x00").await;
    // One that the peer takes back makes room.
    played.says(b"\x06\x00\x10\x00\x12\x01x\x18\x00").await;
    played.hears(b"\x1d\x00").await;
    let mut stream = played.session.accept().await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_peer_that_ignores_our_refusals_is_dropped() {
    let mut played = play(MplexConfig { max_streams: 1, send_buffer: 1024, ..Default::default() });
    let (mut reader, mut writer) = tokio::io::split(std::mem::replace(&mut played.peer, pipes::pair().0));
    let flood = tokio::spawn(async move {
        for number in 0..2_000_000u64 {
            let mut frame = Vec::new();
            let header = stackwire_muxer_mplex::wire::Header {
                number,
                flag: stackwire_muxer_mplex::wire::Flag::NewStream,
                length: 0,
            };
            stackwire_muxer_mplex::wire::encode(&header, &mut frame);
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
        panic!("the flood was endured");
    });
    flood.await.unwrap();
    let mut unread = Vec::new();
    let _end = reader.read_to_end(&mut unread).await;
    assert_eq!(played.ends().await.expect_err("a flood").kind(), &Kind::PeerMisbehaved(Violation::Flood));
}

#[tokio::test]
async fn with_overflow_reset_only_the_full_stream_suffers() {
    let config = MplexConfig { receive_buffer: 10, overflow: Overflow::Reset, ..Default::default() };
    let mut played = play(config);
    played.says(b"\x00\x00\x08\x00\x02\x0a0123456789\x02\x01x\x0a\x02ok").await;
    played.hears(b"\x05\x00").await;
    let mut full = played.session.accept().await.unwrap();
    let mut other = played.session.accept().await.unwrap();
    let error = full.read(&mut [0; 20]).await.expect_err("the stream was reset");
    assert_eq!(reset_code(&error), Some(0));
    let mut got = [0; 2];
    other.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ok");
}

#[tokio::test(start_paused = true)]
async fn with_overflow_block_everything_waits_and_nothing_is_lost() {
    for connection_buffer in [10, 1000] {
        let mut played = play(MplexConfig { receive_buffer: 10, connection_buffer, ..Default::default() });
        played.says(b"\x00\x00\x08\x00\x02\x0c0123456789ab\x0a\x02ok").await;
        let mut full = played.session.accept().await.unwrap();
        let mut other = played.session.accept().await.unwrap();
        let moment = std::time::Duration::from_millis(10);
        let waiting = tokio::time::timeout(moment, other.read_u8()).await;
        assert!(waiting.is_err(), "data overtook a full stream");
        let mut got = [0; 12];
        full.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"0123456789ab");
        let mut got = [0; 2];
        other.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_ever_for_the_peers() {
    let mut played = play(MplexConfig::default());
    played.session.close(0);
    played.hears(b"").await;
    assert_eq!(played.peer.read(&mut [0; 1]).await.unwrap(), 0, "our end of the pipe");
    // The peer neither closes nor leaves.
    let Played { driver, peer, .. } = played;
    in_time("the driver's end", driver).await.unwrap().unwrap();
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn no_stream_takes_the_whole_send_buffer() {
    let (ours, peer) = pipes::pair_with_capacity(1);
    let muxer = MplexConfig::default().build().unwrap().muxers.remove(0);
    let (session, driver) = muxer.start(ours, MuxerContext::new(Role::Dialer, &env()));
    let _driver = tokio::spawn(driver);
    let mut greedy = session.open().await.unwrap();
    let mut modest = session.open().await.unwrap();
    let moment = std::time::Duration::from_millis(10);
    let all = tokio::time::timeout(moment, greedy.write_all(&vec![0; 1 << 20])).await;
    assert!(all.is_err(), "a mebibyte went into a pipe of a byte");
    tokio::time::timeout(moment, modest.write_all(b"a word")).await.expect("there is room for others").unwrap();
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closed_and_reads_nothing_does_not_keep_us() {
    let (ours, mut peer) = pipes::pair_with_capacity(16);
    let muxer = MplexConfig::default().build().unwrap().muxers.remove(0);
    let (session, driver) = muxer.start(ours, MuxerContext::new(Role::Listener, &env()));
    let driver = tokio::spawn(driver);
    let mut stream = session.open().await.unwrap();
    let moment = std::time::Duration::from_millis(10);
    let all = tokio::time::timeout(moment, stream.write_all(&vec![0; 1 << 20])).await;
    assert!(all.is_err(), "a mebibyte went into a pipe of 16 bytes");
    peer.shutdown().await.unwrap();
    in_time("the driver's end", driver).await.unwrap().expect("a close that the peer asked for");
    stream.write(b"x").await.expect_err("the connection is closed");
}
