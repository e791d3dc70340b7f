//! What a connection holds: bounded, charged to its budget, and given back.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use parking_lot::Mutex;
use stackwire_core::{
    BoxPipe, Budget, Buffer, Error, Kind, MuxerContext, OnExcess, Pipe, PipeDecorator, Role, SessionExt, pipe_decorator,
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::{Pair, Side, Subject, echo, payload, settle};
use crate::{env, pipes};

const LIMIT: usize = 4 << 20;
const NAME: &str = "limits.max_buffered_per_connection";

/// What may be held beyond the limit: what one read brings and what one write takes.
const BATCH: usize = 512 << 10;

/// A pipe that hears nothing any more from some moment on, so that no credit arrives either.
struct Deaf {
    inner: BoxPipe,
    deaf: Arc<AtomicBool>,
}

pipe_decorator!(Deaf { inner: BoxPipe });

impl PipeDecorator for Deaf {
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        match self.deaf.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => self.inner.poll_take(most, cx),
        }
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        match self.deaf.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.inner).poll_fill_buf(cx),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.deaf.load(Ordering::Relaxed) {
            true => Poll::Pending,
            false => Pin::new(&mut self.inner).poll_read(cx, out),
        }
    }
}

/// 500 streams that echo towards a peer that takes nothing: what is held stays within the budget and a batch, the stream
/// that holds most is given up first, with an error that names the limit, and in the end nothing is held.
pub async fn a_peer_that_takes_nothing_is_held_within_the_budget(subject: Subject) {
    const STREAMS: usize = 500;
    let Some(muxer) = subject.on_pipes().filter(|_| subject.capabilities.budget) else { return };
    let budget = Budget::root(NAME, LIMIT);
    let peak = Arc::new(AtomicUsize::new(0));
    let (highest, held) = (peak.clone(), budget.clone());
    let tell: Arc<OnExcess> = Arc::new(move || {
        highest.fetch_max(held.held(), Ordering::Relaxed);
    });
    budget.on_excess(Arc::downgrade(&tell));
    let deaf = Arc::new(AtomicBool::new(false));
    let (a, b) = pipes::pair();
    let dialer = Side::start(muxer, Box::new(Deaf { inner: a, deaf: deaf.clone() }), Role::Dialer);
    let env = env();
    let context = MuxerContext::new(Role::Listener, &env).with_budget(budget.clone());
    let listener = Side::run(muxer.start(b, context));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let mut streams = Vec::new();
    for n in 0..STREAMS {
        let mut ours = dialer.session.open().await.expect("a stream opens");
        ours.write_all(b"!").await.expect("a first byte is written");
        ours.flush().await.expect("a first byte is sent");
        let mut theirs = listener.session.accept().await.expect("a stream arrives");
        assert_eq!(theirs.read_u8().await.expect("the first byte arrives"), b'!');
        let failed = failed.clone();
        tokio::spawn(async move {
            if let Err(error) = echo(theirs).await {
                failed.lock().push((n, Error::io("echoing", error)));
            }
        });
        streams.push(ours);
    }
    settle().await;
    deaf.store(true, Ordering::Relaxed);
    // One sends most, once others have filled what is between the two sides.
    let greedy = STREAMS - 20;
    for n in (0..STREAMS).rev() {
        let bytes = payload(if n == greedy { 200 << 10 } else { 40 << 10 }, n as u64);
        let mut stream = streams.remove(n);
        // Some of it may have no room, and wait.
        tokio::spawn(async move {
            let _given_up = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        });
        // Seldom enough that nobody gives up a peer that hears nothing.
        if n % 10 == 0 {
            settle().await;
        }
        let held = budget.held().max(peak.load(Ordering::Relaxed));
        assert!(held <= LIMIT + BATCH, "{held} bytes are held");
        if n == greedy {
            assert!(held >= 512 << 10, "{held} bytes were charged for a mebibyte that nobody takes");
        }
    }
    assert!(peak.load(Ordering::Relaxed) > LIMIT, "the limit was never met: {budget:?}");
    let (first, error) = failed.lock().first().cloned().expect("some stream was given up");
    assert_eq!(first, greedy, "another than the greediest was given up first: {error}");
    assert_eq!(error.kind(), &Kind::LimitExceeded { limit: NAME, max: LIMIT as u64 }, "{error}");
    assert!(failed.lock().len() < STREAMS, "all were given up");
    assert!(!listener.driver.is_finished(), "the connection ended with its greediest stream");
    drop(dialer.abort().await);
    let _lost = listener.end().await;
    settle().await;
    assert_eq!(budget.held(), 0, "nobody holds anything any more");
}

/// Streams that were read to their ends leave nothing behind, while their connection lives on.
pub async fn what_was_read_and_sent_is_held_no_more(subject: Subject) {
    let Some(muxer) = subject.on_pipes() else { return };
    let (budgets, (a, b)) = ([(); 2].map(|()| Budget::root(NAME, usize::MAX)), pipes::pair());
    let start = |pipe, role, budget: &Budget| {
        Side::run(muxer.start(pipe, MuxerContext::new(role, &env()).with_budget(budget.clone())))
    };
    let pair = Pair { dialer: start(a, Role::Dialer, &budgets[0]), listener: start(b, Role::Listener, &budgets[1]) };
    let mut waiting = Vec::new();
    for n in 0..50 {
        let (mut ours, theirs) = pair.stream().await;
        tokio::spawn(echo(theirs));
        let sent = payload(n * 4000, n as u64);
        waiting.push(tokio::spawn(async move {
            ours.write_all(&sent).await.unwrap();
            let mut got = vec![0; sent.len()];
            ours.read_exact(&mut got).await.unwrap();
            assert!(got == sent);
            // Half of them end in a proper way.
            if n % 2 == 0 {
                ours.shutdown().await.unwrap();
                assert_eq!(ours.read(&mut [0]).await.unwrap(), 0);
            }
        }));
    }
    for waiting in waiting {
        waiting.await.unwrap();
    }
    settle().await;
    assert_eq!(budgets.each_ref().map(Budget::held), [0, 0]);
    pair.assert_alive().await;
}
