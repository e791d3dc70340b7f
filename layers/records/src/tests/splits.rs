//! Two channels, and bytes between them in pieces of any size.

use futures::{executor::block_on, future::join};
use proptest::{collection::vec, prelude::*, sample::select};
use stackwire_core::{Buffer, Buffered, Pipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What the users of two channels do.
#[derive(Clone, Debug)]
enum Act {
    /// One writes slices of these lengths,
    Write(Vec<usize>),
    Flush,
    /// the other reads up to so many bytes,
    Read(usize),
    /// or takes as many of what is lent.
    Take(usize),
    /// The other's protocol asks, and answers come between the bytes.
    Ask,
    /// The one reads too, though nothing comes but questions.
    Listen,
}

fn act() -> impl Strategy<Value = Act> {
    let length = prop_oneof![4 => 0..30usize, 4 => 0..3000usize, 1 => 0..60_000usize];
    prop_oneof![
        4 => vec(length, 0..5).prop_map(Act::Write),
        2 => Just(Act::Flush),
        2 => (1..5000usize).prop_map(Act::Read),
        2 => (0..5000usize).prop_map(Act::Take),
        1 => Just(Act::Ask),
        2 => Just(Act::Listen),
    ]
}

/// How many bytes a pipe moves at a time; 0: none, and it is to come again.
fn steps() -> impl Strategy<Value = Vec<usize>> {
    let step = prop_oneof![Just(0), 1..5usize, 1..1000usize, 1..100_000usize];
    vec(step, 0..6).prop_map(|mut steps| {
        // However often it hesitates, it moves in the end.
        steps.push(2000);
        steps
    })
}

/// Two channels whose pipes are joined by [`Pair::carry`].
struct Pair {
    one: Channel<Toy>,
    other: Channel<Toy>,
    below: [Below; 2],
    knobs: Arc<Knobs>,
    read: Vec<u8>,
}

impl Pair {
    fn new(steps: [Vec<usize>; 2]) -> Self {
        let (one, below_one, _) = channel();
        let (other, below_other, knobs) = channel();
        let below = [below_one, below_other];
        for (below, steps) in below.iter().zip(steps) {
            below.state().steps = steps;
        }
        Self { one, other, below, knobs, read: Vec::new() }
    }

    fn carry(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let bytes = std::mem::take(&mut self.below[from].state().written);
            self.below[to].arrive(&bytes);
        }
    }

    /// Reads up to `n` bytes; false at the end.
    fn read(&mut self, n: usize) -> bool {
        let Poll::Ready(bytes) = read(&mut self.other, n) else { return true };
        let bytes = bytes.unwrap();
        self.read.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    fn take(&mut self, n: usize) {
        if let Poll::Ready(bytes) = fill(&mut self.other) {
            let bytes = bytes.unwrap();
            let n = n.min(bytes.len());
            self.read.extend_from_slice(&bytes[..n]);
            consume(&mut self.other, n);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn bytes_arrive_in_order_whatever_anybody_does(
        acts in vec(act(), 0..60),
        ours in steps(),
        theirs in steps(),
        carried in select(vec![1, 2, 5]),
    ) {
        let mut pair = Pair::new([ours, theirs]);
        // No byte is like the one it would be taken for.
        let source: Vec<u8> = (0..70_000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        let (mut written, mut asked) = (Vec::new(), 0);
        for (n, act) in acts.into_iter().enumerate() {
            match act {
                Act::Write(lengths) => {
                    let start = written.len() % 5000;
                    let parts: Vec<&[u8]> = lengths.iter().map(|length| &source[start..start + length]).collect();
                    let all = parts.concat();
                    if let Poll::Ready(n) = write_slices(&mut pair.one, &parts) {
                        let n = n.unwrap();
                        prop_assert_eq!(n == 0, all.is_empty());
                        written.extend_from_slice(&all[..n]);
                    }
                }
                Act::Flush => if let Poll::Ready(flushed) = flush(&mut pair.one) {
                    flushed.unwrap();
                    prop_assert_eq!(pair.one.memory().1, 0);
                },
                Act::Read(n) => prop_assert!(pair.read(n)),
                Act::Take(n) => pair.take(n),
                Act::Ask => {
                    asked += 1;
                    pair.knobs.asks.store(true, Ordering::Relaxed);
                    let _pending = flush(&mut pair.other);
                }
                Act::Listen => prop_assert!(fill(&mut pair.one).is_pending()),
            }
            if n % carried == 0 {
                pair.carry();
            }
            for (reader, writer) in [pair.one.memory(), pair.other.memory()] {
                prop_assert!(reader <= Buffer::LARGE && writer <= Buffer::LARGE);
            }
            prop_assert!(written.starts_with(&pair.read));
        }
        let mut ended = false;
        while pair.read(3000) {
            if !ended && let Poll::Ready(end) = shutdown(&mut pair.one) {
                end.unwrap();
                ended = true;
            }
            pair.carry();
        }
        prop_assert!(pair.read == written);
        prop_assert!(pair.knobs.answers.load(Ordering::Relaxed) <= asked);
        prop_assert_eq!(pair.one.memory().1, 0);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_are_never_data(bytes: Vec<u8>, steps in steps()) {
        let (mut channel, below, knobs) = channel();
        knobs.any_end.store(true, Ordering::Relaxed);
        below.state().steps = steps;
        let empty = bytes.is_empty();
        below.end_with(&bytes);
        let end = loop {
            if let Poll::Ready(end) = read(&mut channel, 100) {
                break end;
            }
        };
        prop_assert_eq!(end.is_ok(), empty);
        prop_assert!(end.is_err() || end.unwrap().is_empty());
    }

    #[test]
    fn every_way_of_cutting_into_records_gives_the_same_bytes(
        messages in vec(vec(any::<u8>(), 0..2000), 0..20),
        steps in steps(),
        n in 1..3000usize,
    ) {
        let (mut channel, below, knobs) = channel();
        knobs.any_end.store(true, Ordering::Relaxed);
        below.state().steps = steps;
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        below.end_with(&Toy::default().records(&messages));
        let mut data = Vec::new();
        loop {
            match read(&mut channel, n) {
                Poll::Ready(part) if part.as_ref().unwrap().is_empty() => break,
                Poll::Ready(part) => data.extend(part.unwrap()),
                Poll::Pending => {}
            }
        }
        prop_assert_eq!(data, messages.concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn taking_lending_and_reading_give_the_same_bytes(
        lengths in vec(prop_oneof![0..50usize, 8_000..29_000usize], 0..12),
        most in vec(0..30_000usize, 1..5),
        steps in steps(),
    ) {
        let (mut channel, below, knobs) = channel();
        knobs.any_end.store(true, Ordering::Relaxed);
        below.state().steps = steps;
        let messages: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, length)| vec![n as u8; *length]).collect();
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        below.end_with(&Toy::default().records(&messages));
        let mut data = Vec::new();
        for most in most.into_iter().cycle() {
            match channel.poll_take(most, &mut cx()) {
                Poll::Ready(Ok(Some(buffer))) => {
                    prop_assert!(buffer.len() <= most && buffer.capacity() <= 2 * buffer.len() + Buffer::CHUNK);
                    data.extend_from_slice(&buffer);
                    continue;
                }
                Poll::Ready(taken) => prop_assert!(taken.is_ok()),
                Poll::Pending => continue,
            }
            match fill(&mut channel) {
                Poll::Ready(lent) => {
                    let lent = lent.unwrap();
                    if lent.is_empty() {
                        break;
                    }
                    let n = lent.len().min(most.max(1));
                    data.extend_from_slice(&lent[..n]);
                    consume(&mut channel, n);
                }
                Poll::Pending => {}
            }
        }
        prop_assert_eq!(data, messages.concat());
    }
}

/// Both ends of a real pipe write and read at once, and each is woken when it should be.
fn both_ways(capacity: usize, size: usize, mut read_size: impl FnMut() -> usize) {
    let (a, b) = tokio::io::duplex(capacity);
    let [a, b] =
        [a, b].map(|end| Channel::new(Box::new(Buffered::with_capacity(1.max(capacity / 2), end)), Toy::default()));
    let data: Vec<u8> = (0..size as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let (mut a_reads, mut a_writes) = tokio::io::split(a);
    let (mut b_reads, mut b_writes) = tokio::io::split(b);
    let send = async |pipe: &mut tokio::io::WriteHalf<Channel<Toy>>, data: &[u8]| {
        pipe.write_all(&data[..data.len() / 3]).await.unwrap();
        pipe.flush().await.unwrap();
        pipe.write_all(&data[data.len() / 3..]).await.unwrap();
        pipe.shutdown().await.unwrap();
    };
    let mut buffer = vec![0; 1 << 20];
    let slow = async {
        let mut read = Vec::new();
        loop {
            let n = read_size();
            match b_reads.read(&mut buffer[..n]).await.unwrap() {
                0 => break read,
                n => read.extend_from_slice(&buffer[..n]),
            }
            tokio::task::yield_now().await;
        }
    };
    let mut back = Vec::new();
    let receive = a_reads.read_to_end(&mut back);
    let (_, (received, read)) =
        block_on(join(join(send(&mut a_writes, &data), send(&mut b_writes, &data)), join(receive, slow)));
    assert_eq!((received.unwrap(), read.len()), (size, size));
    assert!(back == data && read == data);
}

#[test]
fn pipes_of_single_bytes_work() {
    both_ways(1, 5000, || 100);
}

#[test]
fn readers_of_single_bytes_work() {
    both_ways(100, 20_000, || 1);
}

#[test]
fn megabytes_flow_both_ways_at_once() {
    let mut n = 0;
    both_ways(64 * 1024, 3 << 20, || {
        n = (n + 4321) % 400_000;
        n + 1
    });
}
