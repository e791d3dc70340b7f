//! Peers that break the rules: every connection ends or goes on; none panics, hangs or grows without bound.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Muxer, Role, SessionExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use super::{Pair, Side, Subject, must_fail, payload, settle};
use crate::pipes;

/// Bytes that are no frame end the connection with `PeerMisbehaved`, and with it streams and session.
pub async fn garbage_ends_the_connection(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    for role in [Role::Dialer, Role::Listener] {
        let (a, mut peer) = pipes::pair();
        let side = Side::start(muxer, a, role);
        let mut stream = side.session.open().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        settle().await;
        peer.write_all(&[0xff; 64]).await.unwrap();
        peer.flush().await.unwrap();
        // Whoever reports the fault to the peer must be able to.
        let reading = tokio::spawn(async move {
            let mut rest = Vec::new();
            let _end = peer.read_to_end(&mut rest).await;
        });
        let session = side.session.clone();
        let error = side.end().await.expect_err("garbage was taken for frames");
        assert!(error.violation().is_some(), "{error}");
        must_fail(&mut stream).await;
        stream.write(b"x").await.expect_err("a write on a connection that is gone");
        assert!(session.open().await.is_err());
        assert!(session.accept().await.is_err());
        reading.await.unwrap();
    }
}

/// Feeds `bytes` and then the end to a fresh listener; it must end.
async fn feed(muxer: &Arc<dyn Muxer>, bytes: &[u8]) {
    let (a, mut peer) = pipes::pair_with_capacity(1 << 20);
    let side = Side::start(muxer, a, Role::Listener);
    let session = side.session.clone();
    let accepting = tokio::spawn(async move {
        let mut held: Vec<BoxPipe> = Vec::new();
        while let Ok(stream) = session.accept().await {
            held.push(stream);
        }
        // What was accepted ends too, one way or the other.
        for mut stream in held {
            let mut rest = Vec::new();
            let _end = stream.read_to_end(&mut rest).await;
        }
    });
    let _refused = peer.write_all(bytes).await;
    let _refused = peer.shutdown().await;
    let mut rest = Vec::new();
    let _end = peer.read_to_end(&mut rest).await;
    drop(peer);
    let _why = side.end().await;
    accepting.await.unwrap();
}

/// Random bytes neither panic nor hang.
pub async fn random_bytes_end_or_are_ignored(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    for seed in 1..100 {
        feed(muxer, &payload(seed as usize * 7, seed)).await;
    }
    // Small values are likelier to be frames.
    for seed in 1..100 {
        let bytes: Vec<u8> = payload(300, seed).iter().map(|b| b % (2 + seed as u8 % 7)).collect();
        feed(muxer, &bytes).await;
    }
}

/// What a dialer says in a short conversation: two streams, one of them closed and one reset.
async fn recording(muxer: &Arc<dyn Muxer>) -> Vec<u8> {
    let (a, mut peer) = pipes::pair();
    let side = Side::start(muxer, a, Role::Dialer);
    let mut first = side.session.open().await.unwrap();
    first.write_all(b"a question").await.unwrap();
    first.shutdown().await.unwrap();
    let mut second = side.session.open().await.unwrap();
    second.write_all(b"never mind").await.unwrap();
    second.flush().await.unwrap();
    settle().await;
    second.reset(3);
    settle().await;
    let mut said = Vec::new();
    loop {
        let mut part = [0; 1024];
        match tokio::time::timeout(std::time::Duration::from_secs(1), peer.read(&mut part)).await {
            Ok(n) => said.extend_from_slice(&part[..n.unwrap()]),
            Err(_) => return said,
        }
    }
}

/// A conversation that breaks off at any byte ends.
pub async fn a_conversation_cut_anywhere_ends(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    let said = recording(muxer).await;
    assert!(!said.is_empty());
    for length in 0..=said.len() {
        feed(muxer, &said[..length]).await;
    }
}

/// A conversation with any one byte changed ends.
pub async fn a_conversation_damaged_anywhere_ends(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    let said = recording(muxer).await;
    for at in 0..said.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = said.clone();
            damaged[at] ^= flip;
            feed(muxer, &damaged).await;
        }
    }
}

/// Streams that arrive while nobody accepts are bounded, and the connection lives.
pub async fn streams_nobody_accepts_are_bounded(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let mut opening = JoinSet::new();
    for _ in 0..2000 {
        let session = pair.dialer.session.clone();
        opening.spawn(async move {
            let mut stream = session.open().await?;
            stream.write_all(b"!").await?;
            stream.flush().await?;
            stream.read_u8().await?;
            Ok::<_, stackwire_core::Error>(())
        });
    }
    settle().await;
    let mut queued = 0;
    // No task runs between these polls, so that only what was queued comes out.
    while let std::task::Poll::Ready(stream) = futures::poll!(std::pin::pin!(pair.listener.session.accept())) {
        drop(stream.expect("the connection lives"));
        queued += 1;
        assert!(queued <= 1024, "more than 1 024 streams were queued");
    }
    assert!(queued > 0);
    opening.abort_all();
    settle().await;
    while let std::task::Poll::Ready(stream) = futures::poll!(std::pin::pin!(pair.listener.session.accept())) {
        drop(stream.expect("the connection lives"));
        settle().await;
    }
    pair.assert_alive().await;
}
