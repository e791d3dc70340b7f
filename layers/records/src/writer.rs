//! Records out of bytes: gathers into few large records, and seals them where they lie.

use std::{
    io::{self, IoSlice},
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Buffer, Error, Result, total_len};
use tokio::io::AsyncWrite;

use crate::{Codec, channel::named};

/// What data leaves of the buffer to what the protocol itself has to say.
const RESERVE: usize = 512;

/// From so many bytes on it is cheaper to seal what was handed in as a record of its own, from where it lies, than to
/// copy it behind what waits in an unfinished record.
const APART: usize = 8 * 1024;

/// What an operating system leaves of a full buffer, where that is less, goes with the next one.
const MORE: usize = 16 * 1024;

/// The sending half.
///
/// What is written gathers in one buffer, record behind record. The buffer is written to the pipe below when it is full
/// or at a flush, in one write if the pipe takes it. There is one only while there is something to send.
#[derive(Default)]
pub(crate) struct Writer {
    /// Sealed records, then one that takes more, up to `filled`. What lies behind is left of what was sent, so that no
    /// byte need be cleared before a record is sealed over it.
    buffer: Buffer,
    filled: usize,
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
        let total = total_len(slices);
        if self.room::<C>() == 0 || self.filled + C::HEADER + C::TRAILER + total.min(APART) > Buffer::LARGE - RESERVE {
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
        self.appear(codec)?;
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
            self.add(codec, C::seal_end)?;
            self.end = Some(End::Sealed);
        }
        ready!(self.poll_drain(codec, below, cx))?;
        self.clear();
        Pin::new(below).poll_shutdown(cx)
    }

    /// Whether the protocol itself has something to say, and still may.
    pub fn has_to_speak<C: Codec>(&self, codec: &C) -> bool {
        self.end.is_none() && codec.has_to_speak()
    }

    /// Puts what the protocol itself has to say, if anything, behind what was taken.
    pub fn speak<C: Codec>(&mut self, codec: &mut C) -> io::Result<()> {
        // Whoever makes us speak without listening has to wait.
        if self.has_to_speak(codec) && self.filled <= Buffer::LARGE - RESERVE {
            self.seal(codec)?;
            self.add(codec, C::speak)?;
        }
        Ok(())
    }

    /// Whether the peer waits for a record, and none is on its way.
    pub fn is_awaited<C: Codec>(&self, codec: &C) -> bool {
        self.end.is_none() && self.open.is_none() && codec.is_awaited()
    }

    /// Puts a record without content behind what was taken, if the peer waits for one and there is no other.
    pub fn appear<C: Codec>(&mut self, codec: &mut C) -> io::Result<()> {
        if self.is_awaited(codec) {
            let record = self.grow(C::HEADER + C::TRAILER);
            let sealed = codec.seal(&mut self.buffer[record]);
            self.check_sealed(sealed, codec)?;
        }
        Ok(())
    }

    /// Puts behind what was taken what the peer is told of a failure. Nothing is taken any more.
    pub fn fail<C: Codec>(&mut self, codec: &mut C) {
        // What can't be sealed is not told.
        if self.end.is_none() && self.seal(codec).is_ok() {
            let _told = self.add(codec, |codec, out| {
                codec.fail(out);
                Ok(())
            });
            self.end = Some(End::Sealed);
        }
    }

    /// Whether everything that was taken has been sent.
    pub fn is_empty(&self) -> bool {
        self.filled == self.sent
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
        let little = std::mem::replace(&mut self.buffer, Buffer::used_large());
        let sent = std::mem::take(&mut self.sent);
        let unsent = sent..std::mem::take(&mut self.filled);
        self.open = self.open.map(|open| open - sent);
        let place = self.grow(unsent.len());
        self.buffer[place].copy_from_slice(&little[unsent]);
    }

    /// How much content fits into the record that takes more, or into a new one. 0: the buffer is full.
    fn room<C: Codec>(&self) -> usize {
        let start = self.open.unwrap_or(self.filled);
        let content = self.open.map_or(0, |open| self.filled - open - C::HEADER);
        // A large buffer has room for a record, and a record that takes more is never full.
        (Buffer::LARGE - RESERVE).saturating_sub(start + C::HEADER + C::TRAILER).min(C::MAX_CONTENT) - content
    }

    /// Adds the first bytes of `data`, as a record of their own if they are many, else to the record that takes more,
    /// which is sealed when it is full. Returns how many.
    fn append<C: Codec>(&mut self, codec: &mut C, data: &[u8]) -> io::Result<usize> {
        if data.len() >= APART {
            self.seal(codec)?;
        }
        if self.open.is_none() {
            self.speak(codec)?;
        }
        let room = self.room::<C>();
        let data = &data[..data.len().min(room)];
        if data.is_empty() {
            return Ok(0);
        }
        if data.len() >= APART {
            let record = self.grow(C::HEADER + data.len() + C::TRAILER);
            let sealed = codec.seal_copy(data, &mut self.buffer[record]);
            self.check_sealed(sealed, codec)?;
            return Ok(data.len());
        }
        if self.open.is_none() {
            self.open = Some(self.grow(C::HEADER).start);
        }
        let content = self.grow(data.len());
        self.buffer[content].copy_from_slice(data);
        if data.len() == room {
            self.seal(codec)?;
        }
        Ok(data.len())
    }

    /// Makes so many bytes more a part of the buffer, whatever they are, and says where they lie.
    fn grow(&mut self, bytes: usize) -> Range<usize> {
        let start = self.filled;
        self.filled += bytes;
        if self.buffer.len() < self.filled {
            self.buffer.resize(self.filled, 0);
        }
        start..self.filled
    }

    /// Seals the record that takes more, if there is one.
    fn seal<C: Codec>(&mut self, codec: &mut C) -> io::Result<()> {
        if let Some(start) = self.open.take() {
            let end = self.grow(C::TRAILER).end;
            let sealed = codec.seal(&mut self.buffer[start..end]);
            self.check_sealed(sealed, codec)?;
        }
        Ok(())
    }

    /// Puts what the protocol itself has to say behind what was taken.
    fn add<C: Codec>(&mut self, codec: &mut C, say: impl FnOnce(&mut C, &mut Vec<u8>) -> Result<()>) -> io::Result<()> {
        self.buffer.truncate(self.filled);
        let said = say(codec, &mut self.buffer);
        self.filled = self.buffer.len();
        self.check_sealed(said, codec)
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
        while self.filled - self.sent > left {
            match Pin::new(&mut *below).poll_write(cx, &self.buffer[self.sent..self.filled]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => self.sent += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.rest();
                    return Poll::Pending;
                }
            }
        }
        self.buffer.copy_within(self.sent..self.filled, 0);
        self.filled -= std::mem::take(&mut self.sent);
        Poll::Ready(Ok(()))
    }

    /// For a wait that may be long: little does not hold a large buffer.
    fn rest(&mut self) {
        if self.filled - self.sent <= Buffer::LITTLE {
            self.buffer.truncate(self.filled);
            self.sent = self.buffer.rest(self.sent);
            self.filled = self.buffer.len();
        }
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
        self.clear();
        Pin::new(below).poll_flush(cx)
    }

    /// Bytes of memory it holds.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}
