//! Frames out of bytes: gathers into few large frames, and seals them where they lie.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Error, Kind};
use tokio::io::AsyncWrite;

use crate::{
    channel::named,
    crypto::{FrameCipher, TAG},
    wire::{HEADER, MAX_FRAME, MAX_PLAINTEXT},
};

/// The most that is kept in memory: four full frames.
const CAPACITY: usize = 4 * (HEADER + MAX_FRAME);

/// The sending half.
///
/// What is written gathers in one buffer, frame behind frame. The buffer is written to the pipe below when it is full
/// or at a flush, in one write if the pipe takes it. It exists only while there is something to send.
pub(crate) struct Writer {
    cipher: FrameCipher,
    plugin: &'static str,
    /// Sealed frames, then one that takes more.
    buffer: Vec<u8>,
    /// Where the header of the unsealed frame is; the buffer's end where there is none.
    open: usize,
    /// How much of the buffer the pipe below has taken.
    sent: usize,
    closed: bool,
}

impl Writer {
    /// A writer before the first frame.
    pub fn new(cipher: FrameCipher, plugin: &'static str) -> Self {
        Self { cipher, plugin, buffer: Vec::new(), open: 0, sent: 0, closed: false }
    }

    /// Takes bytes of `slices`, in order, until they end or the buffer is full. A full buffer is first written to
    /// the pipe below, all of it; until then nothing is taken.
    pub fn poll_write(
        &mut self,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(named(Error::closed("writing after the end"), self.plugin).into()));
        }
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.room() == 0 {
            ready!(self.poll_drain(below, cx))?;
        }
        self.make_room(total);
        let mut taken = 0;
        for slice in slices {
            let mut rest: &[u8] = slice;
            while !rest.is_empty() {
                let n = self.append(rest)?;
                if n == 0 {
                    return Poll::Ready(Ok(taken));
                }
                taken += n;
                rest = &rest[n..];
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Sends everything that was taken.
    pub fn poll_flush(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(below, cx))?;
        // Nothing tells a busy channel from one that is idle from now on, so the buffer goes.
        self.buffer = Vec::new();
        Pin::new(below).poll_flush(cx)
    }

    /// Sends everything that was taken, then ends the pipe below. Nothing is taken from the first call on.
    pub fn poll_shutdown(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        ready!(self.poll_flush(below, cx))?;
        Pin::new(below).poll_shutdown(cx)
    }

    /// Drops what was taken and not yet sent.
    pub fn clear(&mut self) {
        self.buffer = Vec::new();
        self.open = 0;
        self.sent = 0;
    }

    /// Grows the buffer for `more` bytes and what their frames need, by doubling, never beyond the capacity.
    fn make_room(&mut self, more: usize) {
        let frames = more / MAX_PLAINTEXT + 2;
        let wanted = self.buffer.len().saturating_add(more).saturating_add(frames * (HEADER + TAG)).min(CAPACITY);
        if wanted > self.buffer.capacity() {
            let target = wanted.max(2 * self.buffer.capacity()).min(CAPACITY);
            self.buffer.reserve_exact(target - self.buffer.len());
        }
    }

    /// How much plaintext fits into the frame that takes more, or into a new one. 0: the buffer is full.
    fn room(&self) -> usize {
        let (header, filled) = match self.buffer.len() - self.open {
            0 => (HEADER, 0),
            open => (0, open - HEADER),
        };
        CAPACITY.saturating_sub(self.buffer.len() + header + TAG).min(MAX_PLAINTEXT - filled)
    }

    /// Adds the first bytes of `data` to the frame that takes more, and seals it when it is full. Returns how many.
    fn append(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.room();
        let n = data.len().min(room);
        if n == 0 {
            return Ok(0);
        }
        if self.open == self.buffer.len() {
            self.buffer.extend_from_slice(&[0; HEADER]);
        }
        self.buffer.extend_from_slice(&data[..n]);
        if n == room {
            self.seal()?;
        }
        Ok(n)
    }

    /// Seals the frame that takes more, if there is one. It is never without data.
    fn seal(&mut self) -> io::Result<()> {
        if self.open == self.buffer.len() {
            return Ok(());
        }
        let (header, text) = self.buffer[self.open..].split_at_mut(HEADER);
        let Some(tag) = self.cipher.seal(text) else {
            let error = Error::new(Kind::LimitExceeded { limit: "frames", max: u64::MAX }, "sealing a frame");
            return Err(named(error, self.plugin).into());
        };
        let length = u16::try_from(text.len() + TAG).map_err(io::Error::other)?;
        header.copy_from_slice(&length.to_be_bytes());
        self.buffer.extend_from_slice(&tag);
        self.open = self.buffer.len();
        Ok(())
    }

    /// Writes the buffer to the pipe below. Leaves it empty, with its memory.
    fn poll_drain(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seal()?;
        while self.sent < self.buffer.len() {
            let n = ready!(Pin::new(&mut *below).poll_write(cx, &self.buffer[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        self.buffer.clear();
        self.open = 0;
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use stackwire_core::Buffered;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::crypto::Suite;

    fn writer() -> (Writer, BoxPipe, tokio::io::DuplexStream) {
        let (theirs, ours) = tokio::io::duplex(2 * CAPACITY);
        (Writer::new(FrameCipher::new(Suite::ChaChaPoly, &[5; 32]), "noise"), Box::new(Buffered::new(ours)), theirs)
    }

    /// The lengths of the frames that were written below.
    fn frame_lengths(mut pipe: tokio::io::DuplexStream) -> Vec<usize> {
        let mut bytes = Vec::new();
        futures::executor::block_on(pipe.read_to_end(&mut bytes)).unwrap();
        let (mut rest, mut lengths) = (bytes.as_slice(), Vec::new());
        while let Some((header, more)) = rest.split_first_chunk::<HEADER>() {
            let length = usize::from(u16::from_be_bytes(*header));
            lengths.push(length - TAG);
            rest = &more[length..];
        }
        lengths
    }

    fn done<T>(poll: Poll<io::Result<T>>) -> T {
        match poll {
            Poll::Ready(Ok(value)) => value,
            Poll::Ready(Err(e)) => panic!("{e}"),
            Poll::Pending => panic!("pending"),
        }
    }

    #[test]
    fn small_writes_share_frames_and_nothing_is_an_empty_one() {
        let (mut writer, mut below, theirs) = writer();
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        for size in [0, 10, 0, 20, MAX_PLAINTEXT, 0] {
            done(writer.poll_write(&mut below, cx, &[IoSlice::new(&vec![1; size])]));
        }
        done(writer.poll_flush(&mut below, cx));
        done(writer.poll_flush(&mut below, cx));
        assert_eq!(writer.buffer.capacity(), 0, "an idle writer keeps no buffer");
        done(writer.poll_write(&mut below, cx, &[IoSlice::new(&[1; 5])]));
        done(writer.poll_shutdown(&mut below, cx));
        assert!(matches!(writer.poll_write(&mut below, cx, &[IoSlice::new(&[1])]), Poll::Ready(Err(_))));
        drop(below);
        assert_eq!(frame_lengths(theirs), [MAX_PLAINTEXT, 30, 5]);
    }

    #[test]
    fn memory_is_bounded_also_beside_small_frames() {
        let (ours, _theirs) = tokio::io::duplex(1);
        let (mut writer, mut below) = (
            Writer::new(FrameCipher::new(Suite::ChaChaPoly, &[5; 32]), "noise"),
            Box::new(Buffered::new(ours)) as BoxPipe,
        );
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let data = vec![1; MAX_PLAINTEXT + 1];
        // Every flush seals a small frame, and the pipe takes next to nothing.
        while let Poll::Ready(taken) = writer.poll_write(&mut below, cx, &[IoSlice::new(&data)]) {
            assert!(taken.unwrap() > 0);
            let _pending = writer.poll_flush(&mut below, cx);
            assert!(writer.buffer.capacity() <= CAPACITY);
        }
    }

    #[test]
    fn memory_is_bounded_by_four_frames() {
        let (mut writer, mut below, theirs) = writer();
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let data = vec![1; 10 * MAX_PLAINTEXT];
        let first = done(writer.poll_write(&mut below, cx, &[IoSlice::new(&data[..7]), IoSlice::new(&data)]));
        assert_eq!(first, 4 * MAX_PLAINTEXT);
        assert_eq!((writer.buffer.len(), writer.buffer.capacity()), (CAPACITY, CAPACITY));
        assert_eq!(done(writer.poll_write(&mut below, cx, &[IoSlice::new(&data[..9])])), 9);
        assert_eq!(writer.buffer.capacity(), CAPACITY, "a busy writer keeps its buffer");
        done(writer.poll_shutdown(&mut below, cx));
        drop(below);
        assert_eq!(frame_lengths(theirs), [MAX_PLAINTEXT, MAX_PLAINTEXT, MAX_PLAINTEXT, MAX_PLAINTEXT, 9]);
    }
}
