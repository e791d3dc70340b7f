#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod datagrams;
mod outages;

use std::task::{Context, Poll};

use futures::{StreamExt, stream::FuturesUnordered};
use proptest::prelude::*;
use stackwire_conformance::{env, env_seeded, pipes};
use stackwire_core::{Result, Session, SessionExt};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::*;

/// Sends `bytes` through a faulty pipe to a faulty pipe; returns the pieces that arrived, and when.
async fn timed_pieces(bytes: &[u8], faults: Faults, env: &Env) -> Vec<(Duration, Vec<u8>)> {
    let (a, b) = pipes::pair_with_capacity(1000);
    let (mut a, mut b) = (faulty(a, Faults { cut_after: None, damage_at: None, ..faults.clone() }, env), b);
    b = faulty(b, faults, env);
    let begin = Instant::now();
    let sending = async {
        // The reader may end first.
        let _cut = a.write_all(bytes).await;
        let _cut = a.shutdown().await;
    };
    let receiving = async {
        let mut pieces = Vec::new();
        let mut piece = [0; 500];
        loop {
            match b.read(&mut piece).await.unwrap() {
                0 => break,
                n => pieces.push((begin.elapsed(), piece[..n].to_vec())),
            }
        }
        drop(b);
        pieces
    };
    tokio::join!(sending, receiving).1
}

async fn pieces(bytes: &[u8], faults: Faults, env: &Env) -> Vec<Vec<u8>> {
    timed_pieces(bytes, faults, env).await.into_iter().map(|(_, piece)| piece).collect()
}

fn millis(range: RangeInclusive<u64>) -> Option<RangeInclusive<Duration>> {
    Some(Duration::from_millis(*range.start())..=Duration::from_millis(*range.end()))
}

fn per_second(bytes: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes)
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_itself() {
    let harmless = Faults { seed: Some(7), fragment: 50, pending_percent: 30, ..Faults::default() };
    let slow = Faults { delay: millis(3..=40), rate: per_second(50_000), ..harmless.clone() };
    let lossy = Faults { chunk_loss_per_mille: 300, ..slow.clone() };
    let bytes: Vec<u8> = (0..5000).map(|i| i as u8).collect();
    for faults in [harmless, slow, lossy] {
        let first = timed_pieces(&bytes, faults.clone(), &env_seeded(1)).await;
        assert!(first.iter().all(|(_, piece)| piece.len() <= 50));
        assert_eq!(first, timed_pieces(&bytes, faults.clone(), &env_seeded(2)).await);
        let other = Faults { seed: Some(8), ..faults };
        assert_ne!(first, timed_pieces(&bytes, other, &env_seeded(1)).await);
    }
}

/// Whatever way the bytes are read in: those that are taken with their memory have the same faults.
#[tokio::test]
async fn what_is_taken_is_cut_and_damaged_like_what_is_read() {
    let stall = Some(Stall { after: 10, lasts: Some(Duration::ZERO) });
    for fragment in [0, 3] {
        let faults = Faults {
            fragment,
            pending_percent: 20,
            cut_after: Some(50),
            damage_at: Some(20),
            stall,
            ..Faults::default()
        };
        let (pipe, calls) = stackwire_conformance::passing::probe(b"");
        let mut pipe = faulty(pipe, faults, &env());
        let mut all = Vec::new();
        loop {
            if let Some(taken) = std::future::poll_fn(|cx| pipe.poll_take(7, cx)).await.unwrap() {
                assert!(fragment == 0 || taken.len() <= fragment);
                all.extend_from_slice(&taken);
                continue;
            }
            match pipe.fill_buf().await.unwrap() {
                [] => break,
                [first, ..] => all.push(*first),
            }
            pipe.consume(1);
        }
        let mut expected = b"word".repeat(13)[..50].to_vec();
        expected[20] = !expected[20];
        assert_eq!(all, expected);
        assert!(format!("{calls:?}").contains("poll_take"), "the memory came from below");
    }
}

#[tokio::test]
async fn without_faults_nothing_changes() {
    assert_eq!(pieces(&[9; 400], Faults::default(), &env()).await, [vec![9; 400]]);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_arrives_after_its_delay_and_not_before() {
    let faults = Faults { delay: millis(30..=30), ..Faults::default() };
    let (mut a, b) = pipes::pair();
    let mut b = faulty(b, faults, &env());
    for round in 0..3 {
        let begin = Instant::now();
        let ten = [round; 10];
        let (written, read) = tokio::join!(a.write_all(&ten), b.read_u8());
        written.unwrap();
        assert_eq!(read.unwrap(), round);
        assert_eq!(begin.elapsed(), Duration::from_millis(30));
        b.read_exact(&mut [0; 9]).await.unwrap();
        assert_eq!(begin.elapsed(), Duration::from_millis(30), "what travels together arrives together");
    }
    // So does the end, and nobody waits to send.
    let begin = Instant::now();
    a.shutdown().await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(b.fill_buf().await.unwrap().is_empty());
    assert_eq!(begin.elapsed(), Duration::from_millis(30));
    assert!(b.fill_buf().await.unwrap().is_empty(), "an end stays an end");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_over_any_time() {
    let faults = Faults { rate: per_second(10_000), ..Faults::default() };
    let arrived = timed_pieces(&vec![1; 25_000], faults, &env()).await;
    let (last, _) = arrived.last().unwrap();
    assert!(last.abs_diff(Duration::from_millis(2500)) < Duration::from_millis(10), "{last:?}");
    // It trickles.
    let at_half = arrived.iter().filter(|(at, _)| *at <= Duration::from_millis(1250)).map(|(_, bytes)| bytes.len());
    assert!(at_half.sum::<usize>().abs_diff(12_500) < 500);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_bounded_and_holds_up_the_sender() {
    let (mut a, b) = pipes::pair_with_capacity(1000);
    let mut b = faulty(b, Faults { delay: millis(1000..=1000), ..Faults::default() }, &env());
    let writing = async {
        let mut written = 0;
        while let Ok(n) = tokio::time::timeout(Duration::from_millis(100), a.write(&[0; 1000])).await {
            written += n.unwrap();
        }
        written
    };
    let waiting = tokio::time::timeout(Duration::from_millis(900), b.fill_buf());
    let (written, waited) = tokio::join!(writing, waiting);
    assert!(waited.is_err());
    assert!((256 * 1024..300 * 1024).contains(&written), "{written} bytes");
    b.read_exact(&mut vec![0; written]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_after_what_was_on_its_way() {
    let (mut a, b) = pipes::pair();
    let mut b = faulty(b, Faults { delay: millis(10..=10), ..Faults::default() }, &env());
    a.write_all(b"last words").await.unwrap();
    drop(a);
    let mut words = Vec::new();
    b.read_to_end(&mut words).await.unwrap();
    assert_eq!(words, b"last words");
}

/// Streams that are there at once; keeps their other ends.
#[derive(Default)]
struct Streams(parking_lot::Mutex<Vec<BoxPipe>>);

impl Session for Streams {
    fn poll_open(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let (ours, theirs) = pipes::pair();
        self.0.lock().push(theirs);
        Poll::Ready(Ok(ours))
    }
    fn poll_accept(&self, _: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        Poll::Pending
    }
    fn close(&self, _: u32) {}
}

#[tokio::test(start_paused = true)]
async fn streams_of_one_session_overtake_each_other() {
    let inner = Arc::new(Streams::default());
    let faults = Faults { delay: millis(1..=100), ..Faults::default() };
    let wrap: crate::Wrap = Arc::new(move |pipe, env| faulty(pipe, faults.clone(), env));
    let session = crate::over_session(inner.clone(), wrap, &env());
    let mut arriving = FuturesUnordered::new();
    for _ in 0..20 {
        let mut stream = session.open().await.unwrap();
        arriving.push(async move { stream.read_u8().await.unwrap() });
    }
    let mut others = std::mem::take(&mut *inner.0.lock());
    for (number, other) in (0..).zip(&mut others) {
        other.write_u8(number).await.unwrap();
    }
    let mut order = Vec::new();
    while let Some(number) = arriving.next().await {
        order.push(number);
    }
    assert!(!order.is_sorted(), "nothing overtook anything");
    order.sort_unstable();
    assert_eq!(order, Vec::from_iter(0..20));
}

#[tokio::test(start_paused = true)]
async fn chunks_vanish_at_the_rate_that_was_asked_for() {
    let (mut a, b) = pipes::pair();
    let mut b = faulty(b, Faults { chunk_loss_per_mille: 250, seed: Some(1), ..Faults::default() }, &env());
    let sending = async {
        for i in 0..1000u32 {
            a.write_all(&i.to_be_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        a.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut arrived = Vec::new();
        while let Ok(i) = b.read_u32().await {
            arrived.push(i);
        }
        arrived
    };
    let ((), arrived) = tokio::join!(sending, receiving);
    assert!((700..800).contains(&arrived.len()), "{} of 1000 arrived", arrived.len());
    assert!(arrived.is_sorted(), "what arrives is in order");
}

proptest! {
    #[test]
    fn bytes_arrive_whole_cut_or_damaged_as_told(
        length in 0..3000usize,
        seed: u64,
        fragment in 0..100usize,
        pending_percent in 0..60u8,
        delay in 0..50u64,
        rate in prop::option::of(5000..100_000u64),
        stall in prop::option::of(0..4000u64),
        cut_after in prop::option::of(0..3500u64),
        damage_at in prop::option::of(0..3500u64),
    ) {
        let sent: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let faults = Faults {
            seed: Some(seed),
            fragment,
            pending_percent,
            delay: millis(0..=delay).filter(|_| delay > 0),
            rate: rate.and_then(per_second),
            stall: stall.map(|after| Stall { after, lasts: Some(Duration::from_secs(5)) }),
            cut_after,
            damage_at,
            ..Faults::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let got = runtime.block_on(pieces(&sent, faults, &env())).concat();
        let mut expected = sent;
        if let Some(at) = damage_at && let Some(byte) = expected.get_mut(at as usize) {
            *byte = !*byte;
        }
        if let Some(end) = cut_after {
            expected.truncate(end as usize);
        }
        prop_assert_eq!(got, expected);
    }
}
