//! Laws 18–24, 32 and 34: volume and flow.

use std::{
    io::IoSlice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use stackwire_core::{BoxPipe, SessionExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

use super::{Pair, Subject, echo, payload, read_all, settle, write_until_blocked};
use crate::pipes;

const MIB: usize = 1 << 20;

/// What a stream may at most accept with nobody reading: the largest window in use (16 MiB) and buffers on the way.
const BOUND: usize = 20 * MIB;

/// Sends `bytes` and closes, while reading to the end.
async fn exchange(stream: BoxPipe, bytes: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = split(stream);
    let sending = async {
        writer.write_all(&bytes).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        got
    };
    tokio::join!(sending, receiving).1
}

/// Law 18: 10 MiB in both directions at once on one stream: no deadlock.
pub async fn ten_mebibytes_both_ways_at_once(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (ours, theirs) = pair.stream().await;
    let (there, back) = (payload(10 * MIB, 1), payload(10 * MIB, 2));
    let left = tokio::spawn(exchange(ours, there.clone()));
    let right = tokio::spawn(exchange(theirs, back.clone()));
    assert!(left.await.unwrap() == back);
    assert!(right.await.unwrap() == there);
}

/// Law 19: A reader that does not read stops only its own sender. A muxer without flow control may reset that stream, or
/// hold up the connection until the stream is read or dropped; it must not buffer without bound.
pub async fn a_slow_reader_stops_only_its_own_sender(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut stalled, unread) = pair.stream().await;
    let accepted = write_until_blocked(&mut stalled, BOUND).await;
    if subject.capabilities.flow_control {
        accepted.expect("a sender waits, it does not fail");
        let (ours, theirs) = pair.stream().await;
        let serving = tokio::spawn(echo(theirs));
        let sent = payload(2 * MIB, 3);
        assert!(exchange(ours, sent.clone()).await == sent);
        serving.await.unwrap().unwrap();
    }
    drop(unread);
    pair.assert_alive().await;
}

/// Law 20: A sender stops at a bound until the reader consumes; nothing is lost meanwhile.
pub async fn a_sender_stops_until_the_reader_consumes(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let Ok(accepted) = write_until_blocked(&mut ours, BOUND).await else {
        assert!(!subject.capabilities.flow_control, "a sender waits, it does not fail");
        return;
    };
    settle().await;
    let closing = async { ours.shutdown().await.unwrap() };
    let (_, got) = tokio::join!(closing, read_all(&mut theirs));
    assert!(got.unwrap() == accepted);
}

/// Law 21: A waiting sender goes on when a bit more than half of what was sent is consumed, and not before anything is.
pub async fn a_sender_goes_on_when_half_is_consumed(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let Ok(accepted) = write_until_blocked(&mut ours, BOUND).await else {
        assert!(!subject.capabilities.flow_control, "a sender waits, it does not fail");
        return;
    };
    let more = Arc::new(AtomicUsize::new(0));
    let counter = more.clone();
    let _sending = tokio::spawn(async move {
        loop {
            let n = ours.write(&[0; 4096]).await.unwrap();
            counter.fetch_add(n, Ordering::Relaxed);
        }
    });
    settle().await;
    settle().await;
    assert_eq!(more.load(Ordering::Relaxed), 0, "nothing was consumed, yet the sender went on");
    let mut part = vec![0; accepted.len() / 2 + 1];
    theirs.read_exact(&mut part).await.unwrap();
    settle().await;
    assert!(more.load(Ordering::Relaxed) > 0, "half was consumed, yet the sender still waits");
    assert!(part == accepted[..part.len()]);
}

/// Law 22: A large write at once after opening, before the peer has said anything, arrives.
pub async fn the_first_write_may_be_large(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let sent = payload(MIB, 4);
    let opening = async {
        let mut ours = pair.dialer.session.open().await.unwrap();
        ours.write_all(&sent).await.unwrap();
        ours.shutdown().await.unwrap();
        ours
    };
    let accepting = async {
        let mut theirs = pair.listener.session.accept().await.unwrap();
        read_all(&mut theirs).await.unwrap()
    };
    let (_ours, got) = tokio::join!(opening, accepting);
    assert!(got == sent);
}

/// Law 23: The same bytes arrive whether they were written in one piece, in small ones or in odd ones, and however read.
pub async fn sizes_of_writes_do_not_matter(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let sent = payload(700_000, 5);
    for (write, read) in [(1 << 20, 1 << 20), (997, 64 * 1024), (65_536, 13_001), (16_384, 16_384), (40_009, 333)] {
        let (mut ours, mut theirs) = pair.stream().await;
        let sending = async {
            for part in sent.chunks(write) {
                ours.write_all(part).await.unwrap();
            }
            ours.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut got = Vec::new();
            let mut part = vec![0; read];
            loop {
                match theirs.read(&mut part).await.unwrap() {
                    0 => return got,
                    n => got.extend_from_slice(&part[..n]),
                }
            }
        };
        let (_, got) = tokio::join!(sending, receiving);
        assert!(got == sent, "written by {write}, read by {read}");
    }
}

/// Law 24: 2 000 small writes, each flushed as its own message; then 1 KiB and 10 MiB in single writes.
pub async fn many_small_writes_and_one_large(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, theirs) = pair.stream().await;
    let serving = tokio::spawn(echo(theirs));
    for i in 0..2000u32 {
        ours.write_all(&i.to_be_bytes()).await.unwrap();
        ours.flush().await.unwrap();
        if i % 4 == 0 {
            for expected in i.saturating_sub(3)..=i {
                assert_eq!(ours.read_u32().await.unwrap(), expected);
            }
        }
    }
    for expected in 1997..2000 {
        assert_eq!(ours.read_u32().await.unwrap(), expected);
    }
    let small = payload(1024, 6);
    ours.write_all(&small).await.unwrap();
    ours.flush().await.unwrap();
    let mut got = vec![0; 1024];
    ours.read_exact(&mut got).await.unwrap();
    assert!(got == small);
    let large = payload(10 * MIB, 7);
    assert!(exchange(ours, large.clone()).await == large);
    serving.await.unwrap().unwrap();
}

/// Law 23: Vectored writes, empty slices and empty writes among them, give the same bytes.
pub async fn vectored_writes_give_the_same_bytes(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let sent = payload(200_000, 8);
    let sending = async {
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (a, tail) = rest.split_at(rest.len().min(10));
            let (b, tail) = tail.split_at(tail.len().min(30_000));
            let (c, _) = tail.split_at(tail.len().min(4097));
            let slices = [IoSlice::new(a), IoSlice::new(&[]), IoSlice::new(b), IoSlice::new(c)];
            let n = ours.write_vectored(&slices).await.unwrap();
            assert!(n > 0 && n <= a.len() + b.len() + c.len());
            rest = &rest[n..];
        }
        assert_eq!(ours.write(&[]).await.unwrap(), 0);
        ours.shutdown().await.unwrap();
    };
    let (_, got) = tokio::join!(sending, read_all(&mut theirs));
    assert!(got.unwrap() == sent);
}

/// Law 32: Pipes that hold or move a byte or a few at a time only slow things down.
pub async fn tiny_pipes_only_slow_things_down(subject: Subject) {
    if subject.on_pipes().is_none() {
        return;
    }
    let pipes = [
        pipes::pair_in_chunks(1),
        pipes::pair_in_chunks(3),
        pipes::pair_in_chunks(13),
        pipes::pair_with_capacity(1),
        pipes::pair_with_capacity(17),
    ];
    for pipe in pipes {
        let pair = Pair::on(&subject, pipe);
        let (ours, theirs) = pair.stream().await;
        let serving = tokio::spawn(echo(theirs));
        let sent = payload(5000, 9);
        assert!(exchange(ours, sent.clone()).await == sent);
        serving.await.unwrap().unwrap();
    }
}

/// Law 34: A read deadline fires, the stream works on after it, and no byte is lost.
pub async fn a_read_that_was_given_up_loses_nothing(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let mut got = Vec::new();
    let mut part = [0; 64];
    for i in 0..5u8 {
        let waited = tokio::time::timeout(Duration::from_secs(1), theirs.read(&mut part)).await;
        assert!(waited.is_err(), "a read ended with nothing sent");
        ours.write_all(&[i; 10]).await.unwrap();
        ours.flush().await.unwrap();
        let n = theirs.read(&mut part).await.unwrap();
        got.extend_from_slice(&part[..n]);
    }
    ours.shutdown().await.unwrap();
    got.extend(read_all(&mut theirs).await.unwrap());
    let expected: Vec<u8> = (0..5u8).flat_map(|i| [i; 10]).collect();
    assert_eq!(got, expected);
}

/// Law 34: A write deadline fires, and exactly what writes reported as accepted arrives.
pub async fn a_write_that_was_given_up_loses_nothing(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let (mut ours, mut theirs) = pair.stream().await;
    let mut accepted = Vec::new();
    let mut got = Vec::new();
    for _ in 0..3 {
        let Ok(more) = write_until_blocked(&mut ours, BOUND).await else {
            assert!(!subject.capabilities.flow_control, "a sender waits, it does not fail");
            return;
        };
        accepted.extend(more);
        let mut part = vec![0; accepted.len() - got.len()];
        theirs.read_exact(&mut part).await.unwrap();
        got.extend(part);
    }
    ours.shutdown().await.unwrap();
    got.extend(read_all(&mut theirs).await.unwrap());
    assert!(got == accepted);
}
