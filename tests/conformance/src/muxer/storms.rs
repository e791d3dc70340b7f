//! Storms: thousands of streams that are opened, written to, closed, reset and dropped before anything of it is sent.

use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::FutureExt;
use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use stackwire_core::{BoxPipe, Priority, Session, SessionExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Pair, Subject, echo, settle};

/// How many streams one storm has.
const STREAMS: u32 = 2000;

/// A stream in a storm: its first four bytes are its number, its last is [`LAST`].
struct Flake {
    stream: BoxPipe,
    number: u32,
    /// Nothing that was written is missing, because all of it was accepted.
    whole: bool,
    closed: bool,
}

const LAST: u8 = 0xff;

impl Flake {
    /// Writes without waiting.
    fn write(&mut self, bytes: &[u8]) {
        let written = self.stream.write(bytes).now_or_never();
        self.whole &= written.is_some_and(|written| written.is_ok_and(|n| n == bytes.len()));
    }

    /// Writes the last byte and the end, without waiting. Whether all of the stream is on its way.
    fn close(&mut self) -> bool {
        self.write(&[LAST]);
        self.whole
            && !std::mem::replace(&mut self.closed, true)
            && self.stream.shutdown().now_or_never().is_none_or(|closed| closed.is_ok())
    }
}

/// Reads every stream that arrives to its end, and notes those that were whole.
fn read_all_whole(session: Arc<dyn Session>) -> Arc<Mutex<HashSet<u32>>> {
    let whole = Arc::new(Mutex::new(HashSet::new()));
    let noted = whole.clone();
    tokio::spawn(async move {
        while let Ok(mut stream) = session.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).await.is_ok() && bytes.last() == Some(&LAST) && bytes.len() > 4 {
                    let number = [bytes[0], bytes[1], bytes[2], bytes[3]];
                    noted.lock().insert(u32::from_be_bytes(number));
                }
                let _over = stream.shutdown().await;
            });
        }
    });
    whole
}

/// One step of a storm. Returns the number of a stream that has to arrive.
fn step(flakes: &mut Vec<Flake>, random: &mut StdRng) -> Option<u32> {
    let classes = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent];
    let at = random.random_range(0..flakes.len().max(1));
    let flake = flakes.get_mut(at)?;
    match random.random_range(0..8) {
        0 | 1 => drop(flakes.swap_remove(at)),
        2 => {
            // Closed and dropped, or kept.
            let arrives = flake.close().then_some(flake.number);
            if random.random() {
                drop(flakes.swap_remove(at));
            }
            return arrives;
        }
        // What was closed whole has to arrive, so that it is not reset.
        3 if !flake.closed => {
            flake.stream.reset(random.random());
            flake.whole = false;
        }
        4 => flake.stream.close_read(),
        5 => flake.stream.set_priority(*classes.choose(random).unwrap_or(&Priority::Normal)),
        _ => {
            let mut bytes = vec![0; random.random_range(0..300)];
            random.fill_bytes(&mut bytes);
            flake.write(&bytes);
        }
    }
    None
}

/// Any order of opens, writes, closes, resets and drops, of 2 000 streams in as few turns as they fit in: the connection
/// lives, and every stream that was closed whole arrives whole.
pub async fn storms_of_streams_pass(subject: Subject) {
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let pair = Pair::connect(&subject).await;
        let whole = read_all_whole(pair.listener.session.clone());
        // The first frames have been exchanged, so that the muxer knows what it may do.
        settle().await;
        let mut flakes: Vec<Flake> = Vec::new();
        let (mut opened, mut expected, mut vain) = (0, HashSet::new(), 0);
        while opened < STREAMS {
            let mut cx = Context::from_waker(Waker::noop());
            // Opens are as many as all else together, so that streams pile up.
            match random.random() {
                false => expected.extend(step(&mut flakes, &mut random)),
                true => match pair.dialer.session.poll_open(&mut cx) {
                    Poll::Ready(stream) => {
                        let stream = stream.expect("a connection in a storm lives");
                        vain = 0;
                        let mut flake = Flake { stream, number: opened, whole: true, closed: false };
                        opened += 1;
                        // Some say nothing before they end.
                        if random.random_range(0..4) > 0 {
                            flake.write(&flake.number.to_be_bytes());
                        } else {
                            flake.whole = false;
                        }
                        flakes.push(flake);
                    }
                    // The driver has to take its turn.
                    Poll::Pending if vain < 8 => {
                        vain += 1;
                        tokio::task::yield_now().await;
                    }
                    // Too many are open, or not accepted.
                    Poll::Pending => {
                        vain += 1;
                        assert!(vain < 100, "seed {seed}: after {opened} streams no more opens");
                        for _ in 0..random.random_range(0..100.min(flakes.len() + 1)) {
                            flakes.swap_remove(random.random_range(0..flakes.len()));
                        }
                        settle().await;
                    }
                },
            }
            // Without acknowledgements a peer refuses what it can't keep.
            let full = !subject.capabilities.ack_backlog && opened % 200 == 0;
            if full || random.random_range(0..1000) == 0 {
                settle().await;
            }
        }
        drop(flakes);
        settle().await;
        settle().await;
        assert!(!pair.dialer.driver.is_finished() && !pair.listener.driver.is_finished(), "seed {seed}: it ended");
        let missing: Vec<_> = expected.difference(&whole.lock()).copied().collect();
        assert!(missing.is_empty(), "seed {seed}: of {} streams closed whole {missing:?} are missing", expected.len());
        assert!(expected.len() > 100, "seed {seed}: {} streams say little", expected.len());
    }
}

/// An application that replaces 256 streams by 256 others at once, over and over.
pub async fn streams_are_replaced_at_once(subject: Subject) {
    let pair = Pair::connect(&subject).await;
    let session = pair.listener.session.clone();
    tokio::spawn(async move {
        while let Ok(stream) = session.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let mut streams: Vec<BoxPipe> = Vec::new();
    for round in 0..4 {
        streams.clear();
        for _ in 0..256 {
            let mut stream = pair.dialer.session.open().await.expect("a stream opens");
            stream.write_all(&[round]).await.expect("an open stream takes a byte");
            stream.flush().await.expect("an open stream is flushed");
            streams.push(stream);
        }
        for stream in &mut streams {
            assert_eq!(stream.read_u8().await.expect("the byte comes back"), round);
        }
    }
}
