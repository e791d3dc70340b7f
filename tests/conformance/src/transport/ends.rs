//! Laws about how a connection ends: by halves, by a drop, by a reset.

use futures::future::join;
use stackwire_core::{BoxPipe, reset_code};
use stackwire_plugin::Reach;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Subject, connected, ping, random_bytes, read_to_any_end};
use crate::in_time;

/// A side that has closed its writing still receives, however much; that goes for either side.
pub async fn a_shutdown_ends_one_direction_only(subject: Subject) {
    for dialer_closes_first in [true, false] {
        let (a, b, _listener) = connected(&subject).await;
        let (first, second) = if dialer_closes_first { (a, b) } else { (b, a) };
        in_time("a close by halves", close_by_halves(first, second)).await;
    }
}

async fn close_by_halves(mut first: BoxPipe, mut second: BoxPipe) {
    let (request, reply) = (random_bytes(200_000, 1), random_bytes(10 << 20, 2));
    let ask = async {
        first.write_all(&request).await.expect("writing works");
        first.shutdown().await.expect("closing works");
        first.shutdown().await.expect("closing again is harmless");
        first.write_all(b"more").await.expect_err("writing after a shutdown fails");
        let mut data = Vec::new();
        first.read_to_end(&mut data).await.expect("reading goes on after a shutdown");
        assert!(data == reply, "the whole reply arrives");
        assert_eq!(first.read(&mut [0; 10]).await.expect("reading works"), 0, "an end stays an end");
    };
    let reply = async {
        let mut data = Vec::new();
        second.read_to_end(&mut data).await.expect("reading works");
        assert!(data == request, "the whole request arrives");
        assert_eq!(second.read(&mut [0; 10]).await.expect("reading works"), 0, "an end stays an end");
        second.write_all(&reply).await.expect("writing goes on after the peer's shutdown");
        second.shutdown().await.expect("closing works");
    };
    join(ask, reply).await;
}

/// Closing without a byte written is a plain end, on both sides.
pub async fn closing_without_data_is_an_end(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    let end = async |pipe: &mut BoxPipe| {
        pipe.shutdown().await.expect("closing works");
        assert_eq!(pipe.read(&mut [0; 10]).await.expect("reading works"), 0);
    };
    in_time("two closes", join(end(&mut a), end(&mut b))).await;
}

/// A pipe that is dropped without a shutdown ends the peer's waiting reads, after what had been flushed. A stream is
/// reset, and that may overtake.
pub async fn dropping_a_pipe_ends_the_peers_reads(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    ping(&mut a, &mut b).await;
    let reader = tokio::spawn(async move { read_to_any_end(&mut b).await });
    a.write_all(b"last words").await.expect("writing works");
    a.flush().await.expect("flushing works");
    drop(a);
    let words = reader.await.expect("the reader ends");
    match subject.reaches {
        Reach::Multiplexed => assert!(b"last words".starts_with(&words[..]), "{words:?}"),
        Reach::Raw | Reach::Secured => assert_eq!(words, b"last words"),
    }
}

/// A pipe that is dropped without a shutdown fails the peer's waiting writes.
pub async fn dropping_a_pipe_fails_the_peers_writes(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    let writer = tokio::spawn(async move {
        let data = vec![7; 64 * 1024];
        loop {
            let written = async {
                b.write_all(&data).await?;
                b.flush().await
            };
            if let Err(error) = written.await {
                return error;
            }
        }
    });
    // The writer is under way, and from here on nobody reads what it writes.
    in_time("some data", a.read_exact(&mut vec![0; 100_000])).await.expect("reading works");
    drop(a);
    in_time("the writer's end", writer).await.expect("the writer ends with an error");
}

/// After a reset neither side moves another byte: ours says that it was reset, the peer's ends.
pub async fn a_reset_ends_both_directions(subject: Subject) {
    let (mut a, mut b, _listener) = connected(&subject).await;
    ping(&mut a, &mut b).await;
    let reader = tokio::spawn(async move { read_to_any_end(&mut b).await });
    a.reset(7);
    a.reset(7);
    let error = in_time("a read", a.read(&mut [0; 10])).await.expect_err("reading after a reset fails");
    assert!(reset_code(&error).is_some(), "not the error of a reset: {error}");
    let written = async {
        a.write_all(b"more").await?;
        a.flush().await
    };
    let error = in_time("a write", written).await.expect_err("writing after a reset fails");
    assert!(reset_code(&error).is_some(), "not the error of a reset: {error}");
    assert!(reader.await.expect("the reader ends").is_empty());
}
