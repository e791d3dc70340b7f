//! Laws 1–7 and 14–17: ends of streams.

use std::time::Duration;

use stackwire_core::SessionExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Pair, Side, Subject, payload, read_all, settle, write_until_blocked};

const MIB: usize = 1 << 20;

/// Law 1: Write, close, the peer reads to the end and answers, both see the end.
pub async fn echo_with_half_close_loses_nothing(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let question = payload(100_000, 1);
    let answer = payload(70_001, 2);
    let asking = async {
        ours.write_all(&question).await.unwrap();
        ours.shutdown().await.unwrap();
        read_all(&mut ours).await.unwrap()
    };
    let answering = async {
        let heard = read_all(&mut theirs).await.unwrap();
        theirs.write_all(&answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        heard
    };
    let (got, heard) = tokio::join!(asking, answering);
    assert!(heard == question, "the question arrived changed");
    assert!(got == answer, "the answer arrived changed");
}

/// Law 2: Closing the write side sends everything that was accepted, even a full send buffer.
pub async fn closing_flushes_everything_accepted(subject: Subject) {
    let pair = Pair::narrow(&subject, 1024).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let sent = payload(150_000, 3);
    // No flush: `shutdown` alone must do it.
    let sending = async {
        ours.write_all(&sent).await.unwrap();
        ours.shutdown().await.unwrap();
    };
    let (_, got) = tokio::join!(sending, read_all(&mut theirs));
    assert!(got.unwrap() == sent);
}

/// Law 3: What was buffered when the peer closed is still readable, then comes the end.
pub async fn data_before_the_end_is_still_readable(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let sent = payload(20_000, 4);
    ours.write_all(&sent).await.unwrap();
    ours.shutdown().await.unwrap();
    settle().await;
    assert!(read_all(&mut theirs).await.unwrap() == sent);
}

/// Law 4: After our own close, 10 MiB can still be received.
pub async fn much_can_be_received_after_closing_our_side(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    ours.shutdown().await.unwrap();
    assert!(read_all(&mut theirs).await.unwrap().is_empty());
    let sent = payload(10 * MIB, 5);
    let sending = async {
        theirs.write_all(&sent).await.unwrap();
        theirs.shutdown().await.unwrap();
    };
    let (_, got) = tokio::join!(sending, read_all(&mut ours));
    assert!(got.unwrap() == sent);
}

/// Law 5: A write after our close fails here; nothing reaches the peer.
pub async fn writing_after_closing_fails_here(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    ours.write_all(b"before").await.unwrap();
    ours.shutdown().await.unwrap();
    ours.write(b"after").await.expect_err("a write after the close");
    assert_eq!(read_all(&mut theirs).await.unwrap(), b"before");
    pair.assert_alive().await;
}

/// Law 6: Reading on after the end gives the end again; a second close is harmless.
pub async fn the_end_stays_the_end_and_closing_twice_is_harmless(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    ours.shutdown().await.unwrap();
    ours.shutdown().await.unwrap();
    for _ in 0..3 {
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0);
    }
    theirs.shutdown().await.unwrap();
    settle().await;
    for _ in 0..3 {
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0);
    }
    ours.shutdown().await.unwrap();
    theirs.shutdown().await.unwrap();
    pair.assert_alive().await;
}

/// Law 7: After `close_read`, what arrives is discarded: no error on the connection, no sender that waits forever, and
/// our own writing goes on.
pub async fn unwanted_data_is_discarded(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    theirs.close_read();
    // More than any window or buffer, so that it must be discarded and not merely kept.
    let unwanted = payload(4 * MIB, 6);
    // The peer may be told to stop, which fails its writes; it must not be left waiting.
    let _stopped = ours.write_all(&unwanted).await;
    let (mut others, mut thirds) = pair.stream().await;
    others.write_all(b"undisturbed").await.unwrap();
    others.shutdown().await.unwrap();
    assert_eq!(read_all(&mut thirds).await.unwrap(), b"undisturbed");
    theirs.write_all(b"still writing").await.unwrap();
    theirs.shutdown().await.unwrap();
    assert_eq!(read_all(&mut ours).await.unwrap(), b"still writing");
    pair.assert_alive().await;
}

/// Laws 2, 13: A stream that was closed and then dropped, unread, was not aborted: what it sent arrives.
pub async fn dropping_after_closing_loses_nothing(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let sent = payload(50_000, 7);
    ours.write_all(&sent).await.unwrap();
    ours.shutdown().await.unwrap();
    drop(ours);
    settle().await;
    assert!(read_all(&mut theirs).await.unwrap() == sent);
    drop(theirs);
    pair.assert_alive().await;
}

/// Law 16: A peer that never reads cannot keep a caller who has a timeout: giving up and dropping ends everything.
pub async fn a_peer_that_never_reads_cannot_hang_a_caller_with_a_timeout(subject: Subject) {
    // Nobody takes a stream there, and of a muxer nobody even reads the pipe.
    let (side, _never_read) = Pair::halves(&subject, 1024).await;
    let side = Side::run(side);
    let mut stream = side.session.open().await.unwrap();
    write_until_blocked(&mut stream, 32 * MIB).await.unwrap();
    let limit = Duration::from_secs(1);
    let _pending_or_done = tokio::time::timeout(limit, stream.shutdown()).await;
    drop(stream);
    side.session.close(0);
    settle().await;
    let session = match subject.on_pipes() {
        Some(_) => {
            assert!(!side.driver.is_finished(), "the driver cannot have sent what nobody read");
            side.abort().await
        }
        // The peer's own stack has taken it.
        None => {
            let session = side.session.clone();
            side.end().await.expect("a close that we asked for");
            session
        }
    };
    assert!(session.open().await.is_err());
}

/// Law 17: Written and closed before the peer even looked: it still arrives.
pub async fn closing_before_the_peer_looked_still_delivers(subject: Subject) {
    let (dialer, (session, driver)) = Pair::halves(&subject, 64 * 1024).await;
    let dialer = Side::run(dialer);
    let mut ours = dialer.session.open().await.unwrap();
    let sent = payload(10_000, 8);
    ours.write_all(&sent).await.unwrap();
    ours.shutdown().await.unwrap();
    drop(ours);
    settle().await;
    let _listener = tokio::spawn(driver);
    let mut theirs = session.accept().await.unwrap();
    assert!(read_all(&mut theirs).await.unwrap() == sent);
}

/// Laws 1, 27: A stream that carries nothing but its end arrives, and so does the end, both ways.
pub async fn an_empty_stream_can_be_closed(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let mut ours = pair.dialer.session.open().await.unwrap();
    ours.shutdown().await.unwrap();
    let mut theirs = pair.listener.session.accept().await.unwrap();
    assert!(read_all(&mut theirs).await.unwrap().is_empty());
    theirs.shutdown().await.unwrap();
    assert!(read_all(&mut ours).await.unwrap().is_empty());
}

/// Law 15: Streams that both sides closed make room: a peer may open many times its limit one after another.
pub async fn finished_streams_are_freed(subject: Subject) {
    let Some((pair, limit)) = Pair::limited(&subject).await else { return };
    for i in 0..limit * 5 {
        let (mut ours, mut theirs) = pair.stream().await;
        match i % 4 {
            0 => {
                ours.shutdown().await.unwrap();
                theirs.shutdown().await.unwrap();
                assert!(read_all(&mut ours).await.unwrap().is_empty());
                assert!(read_all(&mut theirs).await.unwrap().is_empty());
            }
            // Dropped open, reset, closed by one side and dropped by both: all are ends.
            1 => {}
            2 => theirs.reset(1),
            _ => ours.shutdown().await.unwrap(),
        }
        drop((ours, theirs));
        settle().await;
    }
    pair.assert_alive().await;
}

/// Law 15: A stream that only one side closed still works, and still counts against the limit.
pub async fn half_closed_streams_still_count(subject: Subject) {
    let Some((pair, limit)) = Pair::limited(&subject).await else { return };
    let mut held = Vec::new();
    for _ in 0..limit {
        let (mut ours, theirs) = pair.stream().await;
        ours.shutdown().await.unwrap();
        held.push((ours, theirs));
    }
    let session = pair.dialer.session.clone();
    let excess = tokio::spawn(async move {
        let mut stream = session.open().await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        stream.read_u8().await?;
        Ok::<_, stackwire_core::Error>(())
    });
    settle().await;
    assert!(
        futures::poll!(std::pin::pin!(pair.listener.session.accept())).is_pending(),
        "a stream above the limit was handed out"
    );
    excess.abort();
    for (mut ours, mut theirs) in held {
        theirs.write_all(b"late").await.unwrap();
        theirs.shutdown().await.unwrap();
        assert_eq!(read_all(&mut ours).await.unwrap(), b"late");
    }
    settle().await;
    pair.assert_alive().await;
}
