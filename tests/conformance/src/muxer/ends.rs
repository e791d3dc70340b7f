//! What is left of streams and connections that ended: nothing that blocks, nothing that is held.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use stackwire_core::{BoxPipe, Muxer, MuxerContext, Pipe, PipeDecorator, Role, Session, SessionExt, pipe_decorator};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use super::{Pair, Side, Subject, payload, settle, write_until_blocked};
use crate::{env_seeded, pipes};

/// What a stream may at most accept with nobody reading.
const BOUND: usize = 20 << 20;

/// How a side ends a stream.
#[derive(Clone, Copy, Debug)]
enum Way {
    Drop,
    Reset,
    Shutdown,
    CloseRead,
    All,
}

impl Way {
    const EACH: [Self; 5] = [Self::Drop, Self::Reset, Self::Shutdown, Self::CloseRead, Self::All];

    /// Ends `stream` and lets go of it.
    async fn end(self, mut stream: BoxPipe) {
        // A stream that is full may not take the end of writing: then letting go of it is the end.
        let moment = Duration::from_millis(10);
        match self {
            Way::Drop => {}
            Way::Reset => stream.reset(7),
            Way::Shutdown => _ = tokio::time::timeout(moment, stream.shutdown()).await,
            Way::CloseRead => stream.close_read(),
            Way::All => {
                stream.close_read();
                let _ended = tokio::time::timeout(moment, stream.shutdown()).await;
                stream.reset(0);
            }
        }
    }
}

/// A stream of which one side reads nothing while the other writes all it can: the reader's end, then the writer's.
async fn full(pair: &Pair, dialer_writes: bool) -> (BoxPipe, BoxPipe) {
    let (ours, theirs) = pair.stream().await;
    let (reader, mut writer) = if dialer_writes { (theirs, ours) } else { (ours, theirs) };
    // Without flow control it may be reset instead.
    let _accepted = write_until_blocked(&mut writer, BOUND).await;
    (reader, writer)
}

/// However a stream ends that is full of bytes which nobody reads, by its reader or by its writer, the connection goes on, and
/// closes.
pub async fn however_a_stream_ends_the_connection_goes_on(subject: Subject) {
    for dialer_writes in [true, false] {
        for way in Way::EACH {
            for reader_first in [true, false] {
                let pair = Pair::connect(&subject).await;
                let (reader, writer) = full(&pair, dialer_writes).await;
                if reader_first {
                    // Whoever still writes on it holds up nobody.
                    way.end(reader).await;
                    settle().await;
                    pair.assert_alive().await;
                    drop(writer);
                } else {
                    way.end(writer).await;
                    settle().await;
                    drop(reader);
                }
                settle().await;
                pair.assert_alive().await;
                pair.dialer.session.close(0);
                let both = async { (pair.dialer.end().await, pair.listener.end().await) };
                let (dialer, listener) = both.await;
                dialer.unwrap_or_else(|e| panic!("{way:?}, reader first: {reader_first}: {e}"));
                listener.unwrap_or_else(|e| panic!("{way:?}, reader first: {reader_first}: {e}"));
            }
        }
    }
}

/// However a stream ends, with bytes under way, its place is free once both sides have let go of it.
pub async fn however_a_stream_ends_its_place_is_free(subject: Subject) {
    let Some((pair, limit)) = Pair::limited(&subject).await else { return };
    for way in Way::EACH {
        for round in 0..2 * limit {
            let (mut ours, mut theirs) = pair.stream().await;
            // Fits everywhere.
            theirs.write_all(&payload(1000, 1)).await.unwrap();
            ours.write_all(&payload(1000, 2)).await.unwrap();
            let (first, second) = if round % 2 == 0 { (ours, theirs) } else { (theirs, ours) };
            way.end(first).await;
            settle().await;
            drop(second);
            settle().await;
        }
        pair.assert_alive().await;
    }
}

/// A pipe whose life can be watched.
struct Watched(BoxPipe, #[allow(dead_code, reason = "its drop is what counts")] Arc<()>);

pipe_decorator!(Watched { 0: BoxPipe });

impl PipeDecorator for Watched {}

/// What may be left of a session.
struct Remains {
    pipe: Weak<()>,
    session: Weak<dyn Session>,
}

/// Sessions in a row, a few at a time. More show more, and take longer.
const SESSIONS: u64 = 1000;
const AT_ONCE: usize = 20;

/// After many sessions that peers ended in all manners, in the midst of everything, nothing of them is left: no driver waits for
/// a wake that was lost, and no pipe is held. Streams use their session before its driver runs and while it begins.
pub async fn sessions_that_ended_hold_nothing(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    let mut running = JoinSet::new();
    let mut remains = Vec::new();
    for seed in 1..=SESSIONS {
        if running.len() == AT_ONCE {
            remains.push(running.join_next().await.expect("some run").expect("none panics"));
        }
        running.spawn(short_life(muxer.clone(), seed));
    }
    remains.extend(running.join_all().await);
    assert_eq!(remains.len() as u64, SESSIONS);
    // A task that drove the connection at its end may have to let go of it still.
    for _ in 0..1000 {
        remains.retain(|left| left.pipe.strong_count() + left.session.strong_count() > 0);
        if remains.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pipes = remains.iter().filter(|left| left.pipe.strong_count() > 0).count();
    panic!("of {SESSIONS} sessions that ended, {} are held, {pipes} of them with their pipes", remains.len());
}

/// A session whose peer leaves soon.
async fn short_life(muxer: Arc<dyn Muxer>, seed: u64) -> Remains {
    let (a, b) = pipes::pair();
    let alive = Arc::new(());
    let pipe = Arc::downgrade(&alive);
    let (session, driver) =
        muxer.start(Box::new(Watched(a, alive)), MuxerContext::new(Role::Listener, &env_seeded(seed)));
    let remains = Remains { pipe, session: Arc::downgrade(&session) };
    let peer = tokio::spawn(peer(muxer, b, seed));
    let mut using = JoinSet::new();
    for side in 0..2 {
        let session = session.clone();
        using.spawn(async move {
            loop {
                let stream = match side {
                    0 => session.open().await,
                    _ => session.accept().await,
                };
                let Ok(mut stream) = stream else { return };
                let mut part = [0; 100];
                if stream.write_all(b"hello").await.is_ok() && stream.flush().await.is_ok() {
                    while stream.read(&mut part).await.is_ok_and(|n| n > 0) {}
                }
                tokio::task::yield_now().await;
            }
        });
    }
    drop(session);
    if seed.is_multiple_of(3) {
        tokio::task::yield_now().await;
    }
    let driver = tokio::spawn(driver);
    let end = tokio::time::timeout(Duration::from_secs(30), driver).await;
    let _how = end.expect("the driver of a connection whose peer left ends").expect("it does not panic");
    using.join_all().await;
    peer.await.expect("the peer is well");
    remains
}

/// A peer that is one of ours and breaks off, or says what comes to its mind.
async fn peer(muxer: Arc<dyn Muxer>, mut pipe: BoxPipe, seed: u64) {
    let pause = Duration::from_micros(seed * 37 % 500);
    if seed.is_multiple_of(2) {
        let bytes: Vec<u8> = payload(1 + seed as usize % 300, seed).iter().map(|b| b % (2 + seed as u8 % 9)).collect();
        let _taken = pipe.write_all(&bytes).await;
        let _taken = pipe.flush().await;
        tokio::time::sleep(pause).await;
        return;
    }
    let side = Side::start(&muxer, pipe, Role::Dialer);
    if let Ok(mut stream) = side.session.open().await {
        let _taken = stream.write_all(&payload(seed as usize % 5000, seed)).await;
        tokio::time::sleep(pause).await;
    }
    match seed % 4 {
        1 => side.session.close(0),
        _ => side.driver.abort(),
    }
    let _how = side.driver.await;
}
