//! A connection that waits for a stream, and how that ends.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

use stackwire_conformance::{env, in_time, muxer::settle, pipes};
use stackwire_core::{BoxPipe, MuxerContext, Pipe, Role, SessionExt};
use stackwire_muxer_mplex::{MplexConfig, Overflow};
use stackwire_plugin::Plugin;
use tokio::io::AsyncWriteExt;

/// Every way in which a stream can say that it wants no more, which `end` is one of, lets the connection go on: though
/// the stream has received nothing, because another fills the buffer of the connection.
async fn goes_on_after(end: impl FnOnce(BoxPipe) -> Option<BoxPipe>) {
    let config = MplexConfig {
        receive_buffer: 65_536,
        connection_buffer: 65_536,
        overflow: Overflow::Block,
        ..MplexConfig::default()
    };
    let (ours, mut peer) = pipes::pair_with_capacity(1 << 20);
    let muxer = config.build().unwrap().muxers.remove(0);
    let (session, driver) = muxer.start(ours, MuxerContext::new(Role::Dialer, &env()));
    let driver = tokio::spawn(driver);
    // Streams 0 and 1; 65 536 bytes for 0, which nobody reads, then one byte for 1.
    let mut bytes = vec![0, 1, b'0', 8, 1, b'1', 2, 0x80, 0x80, 4];
    bytes.extend(vec![0; 65_536]);
    bytes.extend([10, 1, 7]);
    peer.write_all(&bytes).await.unwrap();
    let unread = in_time("stream 0", session.accept()).await.unwrap();
    let blocking = in_time("stream 1", session.accept()).await.unwrap();
    settle().await;
    // Stream 2 needs no buffer, but it is behind the byte.
    peer.write_all(&[16, 1, b'2']).await.unwrap();
    settle().await;
    assert!(futures::poll!(std::pin::pin!(session.accept())).is_pending(), "the connection is not blocked");
    let left = end(blocking);
    in_time("stream 2", session.accept()).await.unwrap();
    assert!(!driver.is_finished());
    drop((unread, left));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_holds_nobody_up() {
    goes_on_after(|stream| {
        drop(stream);
        None
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_reads_no_more_holds_nobody_up() {
    goes_on_after(|mut stream| {
        stream.close_read();
        Some(stream)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_reset_holds_nobody_up() {
    goes_on_after(|mut stream| {
        stream.reset(1);
        Some(stream)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_closed_and_dropped_holds_nobody_up() {
    goes_on_after(|mut stream| {
        let mut closing = Box::pin(async move {
            stream.shutdown().await.unwrap();
        });
        let waits = futures::FutureExt::now_or_never(&mut closing);
        assert!(waits.is_none(), "the close has not been sent yet");
        None
    })
    .await;
}
