//! Laws 25–31 and 33: many streams.

use std::sync::Arc;

use futures::future::join_all;
use stackwire_core::{Session, SessionExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Barrier, Semaphore},
    task::JoinSet,
};

use super::{Pair, Subject, echo_all, payload, read_all, settle};

/// How many streams may wait for the peer's first word at once. A muxer with acknowledgements sees to that itself;
/// without, whoever opens must, or the peer refuses what its queue cannot hold.
fn unanswered(subject: &Subject) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(if subject.capabilities.ack_backlog { Semaphore::MAX_PERMITS } else { 200 }))
}

/// Opens a stream, has `messages` of `size` bytes echoed one by one, closes.
async fn converse(session: Arc<dyn Session>, unanswered: Arc<Semaphore>, messages: usize, size: usize, seed: u64) {
    let mut permit = Some(unanswered.acquire().await.unwrap());
    let mut stream = session.open().await.unwrap();
    let message = payload(size, seed);
    let mut got = vec![0; size];
    for _ in 0..messages {
        stream.write_all(&message).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut got).await.unwrap();
        assert!(got == message, "another stream's bytes");
        permit = None;
    }
    stream.shutdown().await.unwrap();
    assert!(read_all(&mut stream).await.unwrap().is_empty());
    drop(permit);
}

async fn converse_on(subject: &Subject, pair: &Pair, streams: usize, messages: usize, size: usize) {
    let mut talking = JoinSet::new();
    let unanswered = unanswered(subject);
    for i in 0..streams {
        talking.spawn(converse(pair.dialer.session.clone(), unanswered.clone(), messages, size, i as u64 + 1));
    }
    while let Some(done) = talking.join_next().await {
        done.unwrap();
    }
}

/// Laws 25, 26: 1 to 1 000 streams at once on one connection, 1 to 100 messages each.
pub async fn many_streams_with_many_messages(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let _serving = echo_all(&pair.listener.session);
    for (streams, messages) in [(1, 1), (1, 100), (10, 100), (100, 10), (1000, 1), (500, 3)] {
        converse_on(&subject, &pair, streams, messages, 64).await;
    }
}

/// Law 26: Ten connections at once, each with ten streams of ten messages of 2 KiB.
pub async fn many_connections_with_many_streams(subject: Subject) {
    join_all((0..10).map(|_| async {
        let pair = Pair::connect(&subject).await;
        let _serving = echo_all(&pair.listener.session);
        converse_on(&subject, &pair, 10, 10, 2048).await;
    }))
    .await;
}

/// Law 27: Five workers open streams as fast as they can, close their side and expect the end.
pub async fn open_close_stress(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let _serving = echo_all(&pair.listener.session);
    let workers = (0..5).map(|_| {
        let session = pair.dialer.session.clone();
        tokio::spawn(async move {
            for _ in 0..500 {
                let mut stream = session.open().await.unwrap();
                stream.shutdown().await.unwrap();
                assert!(read_all(&mut stream).await.unwrap().is_empty());
            }
        })
    });
    for worker in join_all(workers).await {
        worker.unwrap();
    }
}

/// Law 28: 128 streams released by one barrier.
pub async fn streams_from_one_barrier(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let _serving = echo_all(&pair.listener.session);
    let barrier = Arc::new(Barrier::new(128));
    let talking = (0..128).map(|i| {
        let (session, barrier, unanswered) = (pair.dialer.session.clone(), barrier.clone(), unanswered(&subject));
        tokio::spawn(async move {
            barrier.wait().await;
            converse(session, unanswered, 3, 1000, i + 1).await;
        })
    });
    for done in join_all(talking).await {
        done.unwrap();
    }
}

/// Law 29: Streams beyond what the peer allows are refused or wait; the connection lives, and later streams work.
pub async fn more_streams_than_the_peer_allows(subject: Subject) {
    let Some((pair, limit)) = Pair::limited(&subject).await else { return };
    let mut attempts = JoinSet::new();
    for _ in 0..limit * 4 {
        let session = pair.dialer.session.clone();
        attempts.spawn(async move {
            let mut stream = session.open().await?;
            stream.write_all(b"!").await?;
            stream.flush().await?;
            let mut answer = [0];
            stream.read_exact(&mut answer).await?;
            stream.shutdown().await?;
            Ok::<_, stackwire_core::Error>(())
        });
    }
    settle().await;
    // Some get through, never more than the limit at once, and they are served.
    let mut held = Vec::new();
    let mut served = 0;
    loop {
        while let std::task::Poll::Ready(stream) = futures::poll!(std::pin::pin!(pair.listener.session.accept())) {
            held.push(stream.expect("the connection lives"));
            assert!(held.len() <= limit, "more streams at once than the limit");
            settle().await;
        }
        if held.is_empty() {
            break;
        }
        for mut stream in held.drain(..) {
            stream.write_all(b"!").await.unwrap();
            stream.shutdown().await.unwrap();
            served += 1;
        }
        settle().await;
    }
    assert!(served >= limit, "only {served} of {limit} allowed streams were served");
    let mut succeeded = 0;
    while let Some(attempt) = attempts.join_next().await {
        succeeded += usize::from(attempt.unwrap().is_ok());
    }
    assert_eq!(succeeded, served, "a stream that was served failed, or one that was not succeeded");
    for _ in 0..3 {
        pair.assert_alive().await;
    }
}

/// Laws 30, 31: With 256 streams unacknowledged the next open waits; it goes on as soon as the peer's side of one sends
/// its first frame. A muxer without acknowledgements opens at once.
pub async fn too_many_unacknowledged_streams_wait(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    // Some open only few before the peer has acknowledged any.
    pair.assert_alive().await;
    let mut opened = Vec::new();
    for _ in 0..256 {
        let mut stream = pair.dialer.session.open().await.unwrap();
        stream.write_all(b"!").await.unwrap();
        stream.flush().await.unwrap();
        opened.push(stream);
    }
    settle().await;
    let session = pair.dialer.session.clone();
    let next = tokio::spawn(async move { session.open().await });
    settle().await;
    if !subject.capabilities.ack_backlog {
        next.await.unwrap().unwrap();
        return;
    }
    assert!(!next.is_finished(), "a 257th unacknowledged stream opened");
    let mut first = pair.listener.session.accept().await.unwrap();
    first.write_all(b"!").await.unwrap();
    first.flush().await.unwrap();
    let mut next = next.await.unwrap().unwrap();
    // What waited is a stream like any other.
    next.write_all(b"late").await.unwrap();
    next.shutdown().await.unwrap();
    for _ in 0..255 {
        drop(pair.listener.session.accept().await.unwrap());
    }
    let mut last = pair.listener.session.accept().await.unwrap();
    assert_eq!(read_all(&mut last).await.unwrap(), b"late");
}

/// Law 33: Both sides open at once; every stream reaches its own opener.
pub async fn both_sides_open_at_once(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let _left = echo_all(&pair.listener.session);
    let _right = echo_all(&pair.dialer.session);
    let mut talking = JoinSet::new();
    for i in 0..100 {
        talking.spawn(converse(pair.dialer.session.clone(), unanswered(&subject), 2, 500, 2 * i));
        talking.spawn(converse(pair.listener.session.clone(), unanswered(&subject), 2, 500, 2 * i + 1));
    }
    while let Some(done) = talking.join_next().await {
        done.unwrap();
    }
}

/// `open` and `accept` are cancel-safe: giving them up loses no stream.
pub async fn giving_up_an_open_or_accept_loses_nothing(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    for round in 0..20u8 {
        for _ in 0..3 {
            assert!(futures::poll!(std::pin::pin!(pair.listener.session.accept())).is_pending());
            settle().await;
        }
        let mut ours = loop {
            if let std::task::Poll::Ready(stream) = futures::poll!(std::pin::pin!(pair.dialer.session.open())) {
                break stream.unwrap();
            }
            settle().await;
        };
        ours.write_all(&[round]).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut theirs = pair.listener.session.accept().await.unwrap();
        assert_eq!(read_all(&mut theirs).await.unwrap(), [round], "a stream was lost or doubled");
    }
}

/// Any number of tasks may wait to open, those that gave up among them; each that stays is served.
pub async fn everyone_who_waits_to_open_is_served(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    // Enough that a muxer which makes openers wait does so.
    let mut waiting = Vec::new();
    for i in 0..400 {
        let session = pair.dialer.session.clone();
        waiting.push(tokio::spawn(async move {
            let mut stream = session.open().await.unwrap();
            stream.write_all(b"!").await?;
            stream.shutdown().await?;
            read_all(&mut stream).await
        }));
        if i == 100 {
            settle().await;
        }
    }
    settle().await;
    for gone in waiting.iter().step_by(3) {
        gone.abort();
    }
    let _serving = echo_all(&pair.listener.session);
    for (i, served) in waiting.into_iter().enumerate() {
        match served.await {
            // Above what the peer queues it may refuse; it must not forget.
            Ok(_answer_or_refusal) => {}
            Err(e) => assert!(e.is_cancelled() && i % 3 == 0, "{e}"),
        }
    }
    converse(pair.dialer.session.clone(), unanswered(&subject), 1, 10, 1).await;
}
