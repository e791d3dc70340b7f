//! The server's half of a stream. Its first byte says what the stream is for:
//!
//! - `E`: all that comes is sent back; the end is, too.
//! - `S`: all that comes is counted and forgotten; then the stream ends.
//! - `G`, then a number `n` (8 bytes, big-endian): `n` bytes are sent; then the stream ends.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{LazyLock, Mutex, PoisonError},
    task::Poll,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::{contestant::ContestStream, usage::count_received};

pub(crate) const ECHO: u8 = b'E';
pub(crate) const SINK: u8 = b'S';
pub(crate) const GIVE: u8 = b'G';

/// What is written at once in bulk, and the most that is read at once.
pub(crate) const SLICE: usize = 256 * 1024;

/// What fits here is echoed without an allocation of its own.
const SMALL: usize = 1024;

/// What is sent in bulk.
pub(crate) static CONTENT: LazyLock<Box<[u8]>> = LazyLock::new(|| (0..SLICE).map(|i| (i % 251) as u8).collect());

/// Buffers to receive into. They are made before anything is measured and shared by all streams, so that what is
/// measured is the memory of stacks.
static SCRATCH: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// More than this many at once are made when they are needed.
const PREPARED: usize = 32;

/// Makes the buffers; a program calls it once, at its start.
pub(crate) fn prepare() {
    LazyLock::force(&CONTENT);
    let prepared = (0..PREPARED).map(|_| Scratch::new());
    // Kept by what drops them.
    drop(prepared.collect::<Vec<_>>());
}

/// A buffer on loan.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    fn new() -> Self {
        // Not zeroes: the system hands those out without any memory behind them.
        Self(CONTENT.clone())
    }

    pub(crate) fn take() -> Self {
        let free = SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(Self::new, Self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
    }
}

/// Serves a stream that came in, until it ends or fails. A failure is the client's to notice. It may be dropped at
/// any time.
pub async fn serve<S: ContestStream>(mut stream: S) {
    // Whoever measures the client sees what fails there; here, a stream that breaks off is how bulk ends.
    let _ = answer(&mut stream).await;
}

async fn answer<S: ContestStream>(stream: &mut S) -> io::Result<()> {
    let mut first = [0; SMALL];
    let n = stream.read(&mut first).await?;
    match first[..n].first() {
        Some(&ECHO) => echo(stream, &mut first, 1..n).await,
        Some(&SINK) => {
            count_received(n - 1);
            drain(stream).await?;
            stream.shutdown().await
        }
        Some(&GIVE) => {
            let mut count = n;
            while count < 9 {
                match stream.read(&mut first[count..9]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => count += n,
                }
            }
            let number = first[1..9].try_into().expect("eight bytes are eight bytes");
            write_content(stream, u64::from_be_bytes(number)).await?;
            stream.shutdown().await
        }
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
        None => Ok(()),
    }
}

/// Sends back what comes, after what is in `held[range]` already.
async fn echo<S: ContestStream>(
    stream: &mut S,
    held: &mut [u8; SMALL],
    range: std::ops::Range<usize>,
) -> io::Result<()> {
    stream.write_all(&held[range]).await?;
    let mut large = None;
    loop {
        let into = large.as_deref_mut().unwrap_or(&mut held[..]);
        let n = read_or_flush(stream, into).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&into[..n]).await?;
        if n == SMALL && large.is_none() {
            large = Some(vec![0; 64 * 1024]);
        }
    }
}

/// Reads, and flushes before it waits, so that a stack may send an answer and the end that follows at once together.
async fn read_or_flush<S: ContestStream>(stream: &mut S, into: &mut [u8]) -> io::Result<usize> {
    let mut buffer = ReadBuf::new(into);
    let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buffer))).await;
    if let Poll::Ready(done) = read {
        done?;
        return Ok(buffer.filled().len());
    }
    stream.flush().await?;
    stream.read(into).await
}

/// Takes all that comes, and counts it.
pub(crate) async fn drain<S: ContestStream>(stream: &mut S) -> io::Result<u64> {
    let mut scratch = Scratch::take();
    let mut total = 0;
    loop {
        let n = poll_fn(|cx| Pin::new(&mut *stream).poll_drain(cx, &mut scratch.0)).await?;
        if n == 0 {
            return Ok(total);
        }
        count_received(n);
        total += n as u64;
    }
}

/// Writes `count` bytes, in slices.
pub(crate) async fn write_content<S: ContestStream>(stream: &mut S, mut count: u64) -> io::Result<()> {
    while count > 0 {
        let n = count.min(SLICE as u64);
        stream.write_all(&CONTENT[..n as usize]).await?;
        count -= n;
    }
    Ok(())
}
