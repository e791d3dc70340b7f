//! The channel after the handshake, where it differs from other security channels.

use std::io;

use stackwire_conformance::in_time;
use stackwire_core::{Error, Kind, Pipe, reset_code};
use stackwire_records::Channel;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::{channel, honest, shake};
use crate::records::Records;

async fn channels() -> (Channel<Records>, Channel<Records>) {
    let (dialed, listened) = shake(&honest(1), &honest(2)).await;
    (channel(dialed.unwrap()), channel(listened.unwrap()))
}

#[tokio::test]
async fn after_the_peers_end_we_may_still_write() {
    let (mut a, mut b) = channels().await;
    a.write_all(b"question").await.unwrap();
    a.shutdown().await.unwrap();
    let mut question = Vec::new();
    b.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    assert!(b.fill_buf().await.unwrap().is_empty(), "the end stays the end");
    b.write_all(b"answer").await.unwrap();
    b.shutdown().await.unwrap();
    let mut answer = Vec::new();
    a.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    let late = a.write_all(b"late").await.unwrap_err();
    assert_eq!(Error::io("writing", late).kind(), &Kind::Closed);
}

#[tokio::test]
async fn an_end_that_tls_did_not_say_is_an_error_after_the_data() {
    let (mut a, mut b) = channels().await;
    a.write_all(b"data").await.unwrap();
    a.flush().await.unwrap();
    drop(a);
    let mut data = [0; 4];
    b.read_exact(&mut data).await.unwrap();
    assert_eq!(&data, b"data");
    for _ in 0..2 {
        let cut = in_time("the end", b.read_u8()).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        assert!(cut.to_string().contains("without closing the TLS session"), "{cut}");
        assert_eq!(Error::from(cut).plugin(), Some("tls"));
    }
}

#[tokio::test]
async fn a_reset_ends_both_directions_with_its_code() {
    let (mut a, mut b) = channels().await;
    b.write_all(b"unread").await.unwrap();
    b.flush().await.unwrap();
    a.reset(7);
    assert_eq!(reset_code(&a.read_u8().await.unwrap_err()), Some(7));
    assert_eq!(reset_code(&a.write_all(b"x").await.unwrap_err()), Some(7));
    drop(a);
    b.read_u8().await.unwrap_err();
}

#[tokio::test]
async fn what_waits_for_a_flush_is_bounded() {
    let (mut a, _b) = channels().await;
    let chunk = [0; 16 * 1024];
    let mut accepted = 0;
    // The pipe below holds 64 KiB, and the channel a large buffer.
    while let std::task::Poll::Ready(n) = futures::poll!(std::pin::pin!(a.write(&chunk))) {
        accepted += n.unwrap();
        assert!(accepted <= 384 * 1024);
    }
}
