//! What the laws are told with: two connected sides, payloads, an echo.

use std::{io, sync::Arc, time::Duration};

use stackwire_core::{BoxPipe, Driver, Muxer, MuxerContext, Result, Role, Session, SessionExt};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

use super::Subject;
use crate::{env, pipes};

/// How long a quiet law waits for nothing to happen. Its time moves on only when every task waits. Longer than two
/// acknowledgements one after the other that are held back on purpose, by 25 ms each in QUIC.
const MOMENT: Duration = Duration::from_millis(100);

/// One side of a connection, its driver running.
pub struct Side {
    /// The streams.
    pub session: Arc<dyn Session>,
    /// The driver's task. Aborting it drops the driver.
    pub driver: JoinHandle<Result<()>>,
}

/// One side of a connection, its driver left to the law.
pub type Half = (Arc<dyn Session>, Driver);

impl Side {
    /// Starts `muxer` on `pipe` and runs its driver.
    pub fn start(muxer: &Arc<dyn Muxer>, pipe: BoxPipe, role: Role) -> Self {
        Self::run(Self::idle(muxer, pipe, role))
    }

    /// Runs the driver.
    pub fn run((session, driver): Half) -> Self {
        Self { session, driver: tokio::spawn(driver) }
    }

    /// Starts `muxer` on `pipe`, leaving the driver to the law.
    pub fn idle(muxer: &Arc<dyn Muxer>, pipe: BoxPipe, role: Role) -> Half {
        muxer.start(pipe, MuxerContext::new(role, &env()))
    }

    /// The driver's result. Waits for its end.
    pub async fn end(self) -> Result<()> {
        self.driver.await.expect("a driver neither panics nor is stopped here")
    }

    /// Drops the driver and waits until it is gone.
    pub async fn abort(self) -> Arc<dyn Session> {
        self.driver.abort();
        let stopped = self.driver.await;
        assert!(stopped.is_err_and(|e| e.is_cancelled()), "the driver had ended by itself");
        self.session
    }
}

/// Both sides of a connection.
pub struct Pair {
    /// The side that dialed.
    pub dialer: Side,
    /// The side that accepted.
    pub listener: Side,
}

impl Pair {
    /// Two sides: on a pipe of 64 KiB each way, or as the transport makes them.
    pub async fn connect(subject: &Subject) -> Self {
        Self::narrow(subject, 64 * 1024).await
    }

    /// Two sides: on a pipe of `capacity` bytes each way, or as the transport makes them.
    pub async fn narrow(subject: &Subject, capacity: usize) -> Self {
        let (dialer, listener) = Self::halves(subject, capacity).await;
        Self { dialer: Side::run(dialer), listener: Side::run(listener) }
    }

    /// The two sides of [`Pair::narrow`], their drivers left to the law: first the dialer's.
    pub async fn halves(subject: &Subject, capacity: usize) -> (Half, Half) {
        if let Some(sessions) = &subject.sessions {
            return (sessions.make)().await;
        }
        let (a, b) = pipes::pair_with_capacity(capacity);
        (Side::idle(&subject.muxer, a, Role::Dialer), Side::idle(&subject.muxer, b, Role::Listener))
    }

    /// Two sides of a muxer on a pipe of 64 KiB each way.
    pub fn start(subject: &Subject) -> Self {
        Self::on(subject, pipes::pair())
    }

    /// Two sides on these ends of a pipe.
    pub fn on(subject: &Subject, (a, b): (BoxPipe, BoxPipe)) -> Self {
        Self {
            dialer: Side::start(&subject.muxer, a, Role::Dialer),
            listener: Side::start(&subject.muxer, b, Role::Listener),
        }
    }

    /// Two sides of which the listener allows only so many streams; `None` where the subject has no such config.
    pub async fn limited(subject: &Subject) -> Option<(Self, usize)> {
        if let Some((limited, streams)) = subject.sessions.as_ref().and_then(|sessions| sessions.limited.as_ref()) {
            let (dialer, listener) = limited().await;
            return Some((Self { dialer: Side::run(dialer), listener: Side::run(listener) }, *streams));
        }
        let Some((limited, streams)) = &subject.limited else {
            eprintln!("skipped: no config with a limit on streams was given");
            return None;
        };
        let (a, b) = pipes::pair();
        let pair = Self {
            dialer: Side::start(&subject.muxer, a, Role::Dialer),
            listener: Side::start(limited, b, Role::Listener),
        };
        Some((pair, *streams))
    }

    /// A stream from the dialer to the listener, known to both: the dialer's end, then the listener's.
    pub async fn stream(&self) -> (BoxPipe, BoxPipe) {
        let mut ours = self.dialer.session.open().await.expect("a stream opens");
        // A muxer may announce a stream with its first frame only.
        ours.write_all(b"!").await.expect("a first byte is written");
        ours.flush().await.expect("a first byte is sent");
        let mut theirs = self.listener.session.accept().await.expect("a stream arrives");
        assert_eq!(theirs.read_u8().await.expect("the first byte arrives"), b'!');
        (ours, theirs)
    }

    /// The connection still works: a new stream carries bytes both ways.
    pub async fn assert_alive(&self) {
        let (mut ours, mut theirs) = self.stream().await;
        ours.write_all(b"ping").await.expect("a live connection takes bytes");
        ours.shutdown().await.expect("a live stream closes");
        assert_eq!(read_all(&mut theirs).await.expect("a live connection delivers"), b"ping");
        theirs.write_all(b"pong").await.expect("a live connection takes an answer");
        theirs.shutdown().await.expect("a live stream closes");
        assert_eq!(read_all(&mut ours).await.expect("a live connection delivers an answer"), b"pong");
    }
}

/// Waits until nothing more happens by itself. Only for quiet laws, whose time stands still while any task runs.
pub async fn settle() {
    tokio::time::sleep(MOMENT).await;
}

/// `length` bytes that look random, and differ for each `seed`.
pub fn payload(length: usize, seed: u64) -> Vec<u8> {
    // A block of prime length, repeated: no power-of-two frame or window lines up with it.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let block: Vec<u8> = (0..length.min(65_521))
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let part = block.len().min(length - bytes.len());
        bytes.extend_from_slice(&block[..part]);
    }
    bytes
}

/// Reads to the end.
pub async fn read_all(stream: &mut BoxPipe) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// The error of a read that must not succeed nor end. Bytes that were still buffered are passed over.
pub async fn must_fail(stream: &mut BoxPipe) -> io::Error {
    loop {
        match stream.fill_buf().await {
            Ok([]) => panic!("the stream ended, as if its sender had closed it"),
            Ok(bytes) => {
                let n = bytes.len();
                stream.consume(n);
            }
            Err(error) => return error,
        }
    }
}

/// Sends everything back as it comes, closes when the other side does.
pub async fn echo(mut stream: BoxPipe) -> io::Result<()> {
    loop {
        let bytes = stream.fill_buf().await?.to_vec();
        if bytes.is_empty() {
            return stream.shutdown().await;
        }
        stream.consume(bytes.len());
        stream.write_all(&bytes).await?;
        stream.flush().await?;
    }
}

/// Echoes on every stream that arrives, until the connection ends.
pub fn echo_all(session: &Arc<dyn Session>) -> JoinHandle<()> {
    let session = session.clone();
    tokio::spawn(async move {
        while let Ok(stream) = session.accept().await {
            tokio::spawn(echo(stream));
        }
    })
}

/// Writes the bytes of an endless pattern until the stream takes no more; returns what was accepted. Only for quiet
/// laws. Panics where more than `bound` bytes are accepted.
pub async fn write_until_blocked(stream: &mut BoxPipe, bound: usize) -> io::Result<Vec<u8>> {
    let mut accepted = Vec::new();
    let chunk = payload(8 * 1024, 77);
    loop {
        match tokio::time::timeout(MOMENT, stream.write(&chunk)).await {
            Ok(written) => {
                let n = written?;
                assert!(n > 0, "a stream that takes nothing must be pending");
                accepted.extend_from_slice(&chunk[..n]);
                assert!(accepted.len() <= bound, "more than {bound} bytes were accepted with nobody reading");
            }
            Err(_) => return Ok(accepted),
        }
    }
}
