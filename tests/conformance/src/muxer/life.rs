//! Laws 12, 35–37 and 40: the life of a connection.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Kind, Role, Session, SessionExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    task::JoinHandle,
};

use super::{Pair, Side, Subject, must_fail, payload, read_all, settle};
use crate::pipes;

/// Tasks that wait on one side of a stream: a reader, and a writer whose peer does not read.
struct Waiters(Vec<JoinHandle<bool>>);

impl Waiters {
    fn none() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, stream: BoxPipe) {
        let (mut reader, mut writer) = split(stream);
        self.0.push(tokio::spawn(async move { reader.read(&mut [0; 8]).await.is_err() }));
        self.0.push(tokio::spawn(async move {
            let chunk = payload(16 * 1024, 1);
            while writer.write_all(&chunk).await.is_ok() {}
            true
        }));
    }

    /// Waits to be told a stream or a place for one.
    fn add_session(&mut self, session: &Arc<dyn Session>) {
        let session = session.clone();
        self.0.push(tokio::spawn(async move { session.accept().await.is_err() }));
    }

    async fn all_fail(self) {
        for waiter in self.0 {
            assert!(waiter.await.unwrap(), "a reader saw a proper end where the connection was cut");
        }
    }
}

/// Streams before anyone waits on them: a muxer without flow control may open none past a reader that does not read.
async fn streams(pair: &Pair, count: usize) -> (Vec<BoxPipe>, Vec<BoxPipe>) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (our, their) = pair.stream().await;
        ours.push(our);
        theirs.push(their);
    }
    (ours, theirs)
}

async fn assert_closed(session: &Arc<dyn Session>) {
    for _ in 0..2 {
        let opened = session.open().await.err().expect("opening on a closed connection");
        assert_eq!(opened.kind(), &Kind::Closed, "{opened}");
        let accepted = session.accept().await.err().expect("accepting on a closed connection");
        assert_eq!(accepted.kind(), &Kind::Closed, "{accepted}");
    }
}

/// Law 35: A close ends the drivers of both sides, `Ok`, and with them every stream.
pub async fn closing_ends_all_streams_on_both_sides(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let mut waiters = Waiters::none();
    for _ in 0..5 {
        let (ours, theirs) = pair.stream().await;
        for stream in [ours, theirs] {
            let mut stream = stream;
            waiters.0.push(tokio::spawn(async move { stream.read(&mut [0; 8]).await.is_err() }));
        }
    }
    waiters.add_session(&pair.dialer.session);
    waiters.add_session(&pair.listener.session);
    settle().await;
    pair.dialer.session.close(0);
    pair.dialer.session.close(0);
    let (dialer, listener) = (pair.dialer.session.clone(), pair.listener.session.clone());
    pair.dialer.end().await.expect("a close that we asked for");
    pair.listener.end().await.expect("a close that the peer asked for");
    waiters.all_fail().await;
    assert_closed(&dialer).await;
    assert_closed(&listener).await;
    dialer.close(0);
    listener.close(1);
}

/// Laws 2, 35: What streams had accepted for writing before the close is sent.
pub async fn closing_sends_what_was_accepted(subject: Subject) {
    let pair = Pair::narrow(&subject, 4096).await;
    let (mut finished, mut theirs) = pair.stream().await;
    let (mut open, mut others) = pair.stream().await;
    let sent = payload(60_000, 2);
    let receiving = tokio::spawn(async move {
        let finished = read_all(&mut theirs).await.unwrap();
        let mut open = vec![0; 60_000];
        others.read_exact(&mut open).await.unwrap();
        must_fail(&mut others).await;
        (finished, open)
    });
    finished.write_all(&sent).await.unwrap();
    finished.shutdown().await.unwrap();
    open.write_all(&sent).await.unwrap();
    open.flush().await.unwrap();
    pair.dialer.session.close(0);
    let (got_finished, got_open) = receiving.await.unwrap();
    assert!(got_finished == sent);
    assert!(got_open == sent);
    pair.dialer.end().await.unwrap();
    pair.listener.end().await.unwrap();
}

/// Law 35: Both sides may close at the same moment.
pub async fn both_sides_may_close_at_once(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (_ours, _theirs) = pair.stream().await;
    pair.dialer.session.close(0);
    pair.listener.session.close(0);
    pair.dialer.end().await.unwrap();
    pair.listener.end().await.unwrap();
}

/// Laws 12, 36: A pipe that breaks without a word fails every blocked reader, writer and accepter.
pub async fn a_lost_pipe_fails_every_waiter(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (ours, _theirs) = streams(&pair, 3).await;
    let mut waiters = Waiters::none();
    ours.into_iter().for_each(|stream| waiters.add(stream));
    waiters.add_session(&pair.dialer.session);
    settle().await;
    // Dropping the other side's driver drops its pipe.
    pair.listener.abort().await;
    waiters.all_fail().await;
    let session = pair.dialer.session.clone();
    let _why = pair.dialer.end().await;
    assert!(session.open().await.is_err());
    assert!(session.accept().await.is_err());
}

/// Law 37: The peer's close is seen though nothing is read, written or opened here.
pub async fn the_close_of_the_peer_is_seen_without_activity_here(subject: Subject) {
    for streams in [0, 2] {
        let pair = Pair::connect(&subject).await;
        let mut held = Vec::new();
        for _ in 0..streams {
            held.push(pair.stream().await);
        }
        settle().await;
        pair.listener.session.close(0);
        let session = pair.dialer.session.clone();
        pair.dialer.end().await.expect("a close that the peer asked for");
        pair.listener.end().await.expect("a close that we asked for");
        assert_closed(&session).await;
    }
}

/// Law 40: Opening after a close fails at once, on both sides, also for those who were already waiting.
pub async fn opening_after_a_close_fails(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let mut opened = Vec::new();
    let session = pair.dialer.session.clone();
    // As many as open without waiting, so that the next one waits where the muxer has a bound.
    while let std::task::Poll::Ready(stream) = futures::poll!(std::pin::pin!(session.open())) {
        let mut stream = stream.unwrap();
        stream.write_all(b"!").await.unwrap();
        opened.push(stream);
        if opened.len() == 300 {
            break;
        }
    }
    let waiting = tokio::spawn(async move {
        let mut held = Vec::new();
        for _ in 0..5000 {
            match session.open().await {
                Ok(stream) => held.push(stream),
                Err(error) => return error,
            }
            tokio::task::yield_now().await;
        }
        panic!("5 000 streams opened on a closed connection");
    });
    tokio::task::yield_now().await;
    pair.dialer.session.close(0);
    assert!(pair.dialer.session.open().await.is_err());
    assert_eq!(waiting.await.unwrap().kind(), &Kind::Closed);
    settle().await;
    assert!(pair.listener.session.open().await.is_err());
}

/// Laws 12, 36: Dropping a driver aborts the connection: every waiter on both sides fails, and so does whoever comes later.
pub async fn dropping_the_driver_aborts_everything(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    // Waiters on either side, whose peers do nothing.
    let (left, _idle_right) = streams(&pair, 2).await;
    let (_idle_left, right) = streams(&pair, 2).await;
    let (mut kept, _theirs) = pair.stream().await;
    let mut waiters = Waiters::none();
    left.into_iter().chain(right).for_each(|stream| waiters.add(stream));
    waiters.add_session(&pair.dialer.session);
    waiters.add_session(&pair.listener.session);
    settle().await;
    let session = pair.dialer.abort().await;
    waiters.all_fail().await;
    assert!(session.open().await.is_err());
    assert!(session.accept().await.is_err());
    must_fail(&mut kept).await;
    kept.write(b"x").await.expect_err("a write on a connection that is gone");
    session.close(0);
}

/// Laws 36, 40: A driver that is dropped before its first poll leaves a session that fails and never hangs.
pub async fn dropping_an_unpolled_driver_fails_the_session(subject: Subject) {
    let ((session, driver), _peer) = Pair::halves(&subject, 64 * 1024).await;
    drop(driver);
    assert!(session.open().await.is_err());
    assert!(session.accept().await.is_err());
    let Some(muxer) = subject.on_pipes() else { return };
    let (a, mut b) = pipes::pair();
    drop(Side::idle(muxer, a, Role::Dialer));
    assert!(read_all(&mut b).await.is_ok_and(|bytes| bytes.is_empty()), "nothing happens before the first poll");
}
