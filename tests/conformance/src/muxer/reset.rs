//! Laws 8–14: streams that end by force.

use std::io;

use stackwire_core::{BoxPipe, reset_code};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

use super::{Pair, Subject, must_fail, payload, read_all, settle};

fn assert_reset(error: &io::Error) {
    assert!(reset_code(error).is_some(), "not a reset: {error}");
}

/// Writes until it fails.
async fn write_until_error(mut stream: impl AsyncWriteExt + Unpin) -> io::Error {
    let chunk = payload(16 * 1024, 9);
    loop {
        if let Err(error) = stream.write_all(&chunk).await {
            return error;
        }
    }
}

/// Laws 8, 12: A reset by one side fails the other side's blocked read and blocked write.
pub async fn a_reset_releases_blocked_readers_and_writers(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (ours, mut theirs) = pair.stream().await;
    let (mut reader, writer) = split(ours);
    let reading = tokio::spawn(async move { reader.read(&mut [0; 8]).await });
    let writing = tokio::spawn(write_until_error(writer));
    settle().await;
    assert!(!reading.is_finished() || !subject.capabilities.flow_control, "nothing was there to read");
    theirs.reset(0);
    assert_reset(&reading.await.unwrap().expect_err("a read on a stream that was reset"));
    assert_reset(&writing.await.unwrap());
    pair.assert_alive().await;
}

/// Law 9: A reader tells a reset from an end.
pub async fn a_reset_is_not_an_end(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    ours.write_all(b"partial").await.unwrap();
    ours.flush().await.unwrap();
    settle().await;
    ours.reset(0);
    assert_reset(&must_fail(&mut theirs).await);
    // It stays that way.
    assert_reset(&must_fail(&mut theirs).await);
    assert_reset(&theirs.write(b"x").await.expect_err("a write on a stream that was reset"));
}

/// Law 9: The same where the reader had closed its own side before; a muxer may declare that it cannot.
pub async fn a_reset_is_not_an_end_after_half_closing(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    theirs.shutdown().await.unwrap();
    assert!(read_all(&mut ours).await.unwrap().is_empty());
    ours.reset(0);
    settle().await;
    if subject.capabilities.reset_after_half_close {
        assert_reset(&must_fail(&mut theirs).await);
    } else {
        // Declared: it may look like the end; it must not hang.
        let _end_or_reset = read_all(&mut theirs).await;
    }
    pair.assert_alive().await;
}

/// Law 10: The code of a reset arrives; where the muxer declares that it has none, as 0.
pub async fn the_code_of_a_reset_arrives(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    for code in [0, 42, u32::MAX] {
        let expected = if subject.capabilities.reset_codes { code } else { 0 };
        let (mut ours, mut theirs) = pair.stream().await;
        ours.reset(code);
        assert_eq!(reset_code(&must_fail(&mut theirs).await), Some(expected));
        let (mut ours, mut theirs) = pair.stream().await;
        theirs.reset(code);
        assert_eq!(reset_code(&must_fail(&mut ours).await), Some(expected));
    }
}

/// Law 11: A reset of one stream leaves the others undisturbed, in the middle of their transfers.
pub async fn a_reset_leaves_other_streams_alone(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let mut streams: Vec<(BoxPipe, BoxPipe)> = Vec::new();
    for _ in 0..5 {
        streams.push(pair.stream().await);
    }
    let (mut doomed, mut theirs) = streams.remove(2);
    let transfers: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(i, (mut ours, mut theirs))| {
            let sent = payload(300_000, i as u64);
            let expected = sent.clone();
            let sending = tokio::spawn(async move {
                for part in sent.chunks(10_000) {
                    ours.write_all(part).await.unwrap();
                    ours.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
                ours.shutdown().await.unwrap();
                ours
            });
            let receiving = tokio::spawn(async move { read_all(&mut theirs).await.unwrap() == expected });
            (sending, receiving)
        })
        .collect();
    tokio::task::yield_now().await;
    doomed.reset(0);
    assert_reset(&must_fail(&mut theirs).await);
    for (sending, receiving) in transfers {
        let _ours = sending.await.unwrap();
        assert!(receiving.await.unwrap(), "another stream's bytes changed");
    }
}

/// Laws 8, 10: After our own reset, our reads and writes fail with `Reset`.
pub async fn our_own_reset_fails_our_own_calls(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, _theirs) = pair.stream().await;
    ours.reset(7);
    ours.reset(8);
    assert_reset(&must_fail(&mut ours).await);
    assert_reset(&ours.write(b"x").await.expect_err("a write after our own reset"));
    ours.close_read();
    drop(ours);
    pair.assert_alive().await;
}

/// Law 12: A reader who waits on our side is released by our own reset.
pub async fn our_own_reset_releases_our_own_waiters(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (ours, _theirs) = pair.stream().await;
    let ours = std::sync::Arc::new(parking_lot::Mutex::new(ours));
    let shared = ours.clone();
    let reading =
        tokio::spawn(futures::future::poll_fn(move |cx| std::pin::Pin::new(&mut *shared.lock()).poll_fill_buf_len(cx)));
    settle().await;
    assert!(!reading.is_finished());
    ours.lock().reset(0);
    assert_reset(&reading.await.unwrap().expect_err("a read on a stream that was reset"));
}

/// Lets a poll's result leave the lock that the stream is behind.
trait FillLen {
    fn poll_fill_buf_len(self, cx: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<usize>>;
}

impl FillLen for std::pin::Pin<&mut BoxPipe> {
    fn poll_fill_buf_len(self, cx: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<usize>> {
        tokio::io::AsyncBufRead::poll_fill_buf(self, cx).map_ok(<[u8]>::len)
    }
}

/// Law 13: Dropping a stream that was not closed tells the peer.
pub async fn dropping_an_open_stream_resets_it(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (ours, mut theirs) = pair.stream().await;
    drop(ours);
    assert_reset(&must_fail(&mut theirs).await);
    // The side that accepted, too.
    let (mut ours, theirs) = pair.stream().await;
    drop(theirs);
    assert_reset(&must_fail(&mut ours).await);
    pair.assert_alive().await;
}

/// Law 14: After a reset from the peer, closing and dropping our end sends nothing that would upset it.
pub async fn a_stream_that_was_reset_can_be_closed_and_dropped(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    for _ in 0..3 {
        let (mut ours, mut theirs) = pair.stream().await;
        ours.reset(0);
        drop(ours);
        settle().await;
        let _ok_or_reset = theirs.shutdown().await;
        theirs.reset(0);
        drop(theirs);
        settle().await;
    }
    pair.assert_alive().await;
}
