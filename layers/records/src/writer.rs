//! Records out of bytes: gathers into few large records, and seals them where they lie.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Buffer, Error, Result};
use tokio::io::AsyncWrite;

use crate::{Codec, channel::named};

/// What data leaves of the buffer to what the protocol itself has to say.
const RESERVE: usize = 512;

/// What an operating system leaves of a full buffer, where that is less, goes with the next one.
const MORE: usize = 16 * 1024;

/// The sending half.
///
/// What is written gathers in one buffer, record behind record. The buffer is written to the pipe below when it is full
/// or at a flush, in one write if the pipe takes it. There is one only while there is something to send.
#[derive(Default)]
pub(crate) struct Writer {
    /// Sealed records, then one that takes more.
    buffer: Buffer,
    /// Where the header of the record that takes more is. It is never without content, and there is none after the end.
    open: Option<usize>,
    /// How much of the buffer the pipe below has taken.
    sent: usize,
    end: Option<End>,
}

/// How writing ended, for good.
enum End {
    /// There is no record after those in the buffer.
    Sealed,
    /// A record could not be sealed. Nothing may be sent behind its gap, an end least of all.
    Failed(Error),
}

impl Writer {
    /// Takes bytes of `slices`, in order, until they end or the buffer is full. A full buffer is first written to
    /// the pipe below; while that takes time, nothing is taken.
    pub fn poll_write<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        if self.end.is_some() {
            return Poll::Ready(Err(named(Error::closed("writing after the end"), codec).into()));
        }
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        if self.open.is_none() {
            self.speak(codec)?;
        }
        if self.room::<C>() == 0 {
            ready!(self.poll_drain_to(MORE, codec, below, cx))?;
        }
        if self.buffer.capacity() < Buffer::LARGE {
            self.make_large();
        }
        let mut taken = 0;
        for slice in slices {
            let mut rest: &[u8] = slice;
            while !rest.is_empty() {
                let n = self.append(codec, rest)?;
                if n == 0 {
                    return Poll::Ready(Ok(taken));
                }
                taken += n;
                rest = &rest[n..];
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Sends everything that was taken, and what the protocol itself has to say.
    pub fn poll_flush<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.speak(codec)?;
        if self.has_to_speak(codec) {
            // The buffer was too full.
            ready!(self.poll_drain(codec, below, cx))?;
            self.speak(codec)?;
        }
        self.poll_send(codec, below, cx)
    }

    /// Sends everything that was taken and the sealed end, then ends the pipe below. Nothing is taken from the first
    /// call on.
    pub fn poll_shutdown<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.end.is_none() {
            self.speak(codec)?;
            self.seal(codec)?;
            let sealed = codec.seal_end(&mut self.buffer);
            self.check_sealed(sealed, codec)?;
            self.end = Some(End::Sealed);
        }
        ready!(self.poll_drain(codec, below, cx))?;
        self.buffer = Buffer::default();
        Pin::new(below).poll_shutdown(cx)
    }

    /// Whether the protocol itself has something to say, and still may.
    pub fn has_to_speak<C: Codec>(&self, codec: &C) -> bool {
        self.end.is_none() && codec.has_to_speak()
    }

    /// Puts what the protocol itself has to say, if anything, behind what was taken.
    pub fn speak<C: Codec>(&mut self, codec: &mut C) -> io::Result<()> {
        // Whoever makes us speak without listening has to wait.
        if self.has_to_speak(codec) && self.buffer.len() <= Buffer::LARGE - RESERVE {
            self.seal(codec)?;
            let sealed = codec.speak(&mut self.buffer);
            self.check_sealed(sealed, codec)?;
        }
        Ok(())
    }

    /// Puts behind what was taken what the peer is told of a failure. Nothing is taken any more.
    pub fn fail<C: Codec>(&mut self, codec: &mut C) {
        // What can't be sealed is not told.
        if self.end.is_none() && self.seal(codec).is_ok() {
            codec.fail(&mut self.buffer);
            self.end = Some(End::Sealed);
        }
    }

    /// Whether everything that was taken has been sent.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == self.sent
    }

    /// Drops what was taken and not yet sent.
    pub fn clear(&mut self) {
        *self = Self { end: self.end.take(), ..Self::default() };
    }

    fn check(&self) -> io::Result<()> {
        match &self.end {
            Some(End::Failed(error)) => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// Ends writing if something could not be sealed, and drops what may not be sealed by half.
    fn check_sealed<C: Codec>(&mut self, sealed: Result<()>, codec: &C) -> io::Result<()> {
        sealed.map_err(|error| {
            let error = named(error, codec);
            *self = Self { end: Some(End::Failed(error.clone())), ..Self::default() };
            error.into()
        })
    }

    fn make_large(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        self.buffer.enlarge(sent);
        self.open = self.open.map(|open| open - sent);
    }

    /// How much content fits into the record that takes more, or into a new one. 0: the buffer is full.
    fn room<C: Codec>(&self) -> usize {
        let start = self.open.unwrap_or(self.buffer.len());
        let filled = self.open.map_or(0, |open| self.buffer.len() - open - C::HEADER);
        // A large buffer has room for a record, and a record that takes more is never full.
        (Buffer::LARGE - RESERVE).saturating_sub(start + C::HEADER + C::TRAILER).min(C::MAX_CONTENT) - filled
    }

    /// Adds the first bytes of `data` to the record that takes more, and seals it when it is full. Returns how many.
    fn append<C: Codec>(&mut self, codec: &mut C, data: &[u8]) -> io::Result<usize> {
        if self.open.is_none() {
            self.speak(codec)?;
        }
        let room = self.room::<C>();
        let n = data.len().min(room);
        if n == 0 {
            return Ok(0);
        }
        if self.open.is_none() {
            let start = self.buffer.len();
            self.open = Some(start);
            self.buffer.resize(start + C::HEADER, 0);
        }
        self.buffer.extend_from_slice(&data[..n]);
        if n == room {
            self.seal(codec)?;
        }
        Ok(n)
    }

    /// Seals the record that takes more, if there is one.
    fn seal<C: Codec>(&mut self, codec: &mut C) -> io::Result<()> {
        if let Some(start) = self.open.take() {
            let length = self.buffer.len();
            self.buffer.resize(length + C::TRAILER, 0);
            let sealed = codec.seal(&mut self.buffer[start..]);
            self.check_sealed(sealed, codec)?;
        }
        Ok(())
    }

    /// Writes the buffer to the pipe below. Leaves it empty, with its memory.
    fn poll_drain<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_drain_to(0, codec, below, cx)
    }

    /// The same, but what is `left` at most may stay.
    fn poll_drain_to<C: Codec>(
        &mut self,
        left: usize,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        self.seal(codec)?;
        while self.buffer.len() - self.sent > left {
            match Pin::new(&mut *below).poll_write(cx, &self.buffer[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => self.sent += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.sent = self.buffer.rest(self.sent);
                    return Poll::Pending;
                }
            }
        }
        self.buffer.drain(..self.sent);
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes the buffer to the pipe below, gives it back, and flushes the pipe.
    pub fn poll_send<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(codec, below, cx))?;
        // Nothing tells a busy channel from one that is idle from now on.
        self.buffer = Buffer::default();
        Pin::new(below).poll_flush(cx)
    }

    /// Bytes of memory it holds.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}
