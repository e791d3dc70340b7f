//! Bytes out of records: reads large, and opens every record where it lies.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use stackwire_core::{BoxPipe, Buffer, Error, Result};
use tokio_util::io::poll_read_buf;

use crate::{Codec, MAX_EMPTY, Opened, channel::named};

/// The receiving half. It has a buffer only while that holds bytes that were not taken yet.
#[derive(Default)]
pub(crate) struct Reader {
    /// What was read and not yet dropped: an opened record, then sealed ones.
    buffer: Buffer,
    /// The part of the buffer that was opened and not yet taken.
    plain: Range<usize>,
    /// Where the sealed part of the buffer begins.
    sealed: usize,
    /// Records without content since the last with some.
    empty: u32,
    end: Option<End>,
}

/// How reading ended, for good.
enum End {
    /// The peer said so, or we read no more.
    Clean,
    Failed(io::ErrorKind, Error),
}

impl Reader {
    /// What is opened and not yet taken.
    pub fn opened(&self) -> &[u8] {
        &self.buffer[self.plain.clone()]
    }

    /// Takes `n` bytes of what is opened.
    pub fn consume(&mut self, n: usize) {
        self.plain.start = (self.plain.start + n).min(self.plain.end);
        if self.plain.is_empty() && self.sealed == self.buffer.len() {
            self.clear();
        }
    }

    /// Waits until something is opened or the peer's clean end; reads more where it has to. Errors other than those of the
    /// pipe below stay: after one, every later call fails with the same.
    pub fn poll_fill<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.open_some(codec) {
            match &self.end {
                Some(End::Clean) => return Poll::Ready(Ok(())),
                Some(End::Failed(kind, error)) => return Poll::Ready(Err(io::Error::new(*kind, error.clone()))),
                None => ready!(self.poll_more(codec, below, cx))?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether there is something opened, if need be after opening the next records. Where there is not, either reading
    /// has ended or more bytes are needed.
    pub fn open_some<C: Codec>(&mut self, codec: &mut C) -> bool {
        while self.plain.is_empty() && self.end.is_none() {
            match self.open_next(codec) {
                Ok(Some(Opened::Content(_))) => {}
                Ok(Some(Opened::End)) => self.finish(End::Clean),
                Ok(None) => return false,
                Err(error) => self.finish(End::Failed(io::ErrorKind::InvalidData, named(error, codec))),
            }
        }
        !self.plain.is_empty()
    }

    /// Opens the next record into a buffer of its own, if nothing is opened yet and the record has no more content than
    /// `most`, and enough to be worth it; reads more where it has to. What is taken fills at least half of its memory, so
    /// that whoever keeps it and counts bytes is not wrong by more than that.
    pub fn poll_take<C: Codec>(
        &mut self,
        codec: &mut C,
        below: &mut BoxPipe,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Buffer>>> {
        while self.plain.is_empty() && self.end.is_none() {
            let Ok(next) = self.next_record(codec) else { break };
            let Some(record) = next else {
                ready!(self.poll_more(codec, below, cx))?;
                continue;
            };
            let length = record.len().saturating_sub(C::HEADER + C::TRAILER);
            if length > most || length < Buffer::memory_for(record.len() - C::HEADER) / 2 {
                break;
            }
            let mut buffer = Buffer::holding(record.len() - C::HEADER);
            let opened = codec.open_copy(&mut self.buffer[record.clone()], &mut buffer);
            self.sealed = record.end;
            match opened.and_then(|opened| self.counted(codec, opened)) {
                Ok(Opened::Content(content)) if content.len() < buffer.capacity() / 2 => {
                    // Much of the record was padding: the memory is worth more than what lies in it.
                    let place = record.start..record.start + content.len();
                    self.buffer[place.clone()].copy_from_slice(&buffer[content]);
                    self.plain = place;
                    self.consume(0);
                }
                Ok(Opened::Content(content)) => {
                    buffer.truncate(content.end);
                    buffer.drain(..content.start);
                    self.consume(0);
                    return Poll::Ready(Ok(Some(buffer)));
                }
                Ok(Opened::End) => self.finish(End::Clean),
                Err(error) => self.finish(End::Failed(io::ErrorKind::InvalidData, named(error, codec))),
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Whether there was a record that was altered or is none.
    pub fn has_failed(&self) -> bool {
        matches!(self.end, Some(End::Failed(io::ErrorKind::InvalidData, _)))
    }

    /// The error of a record that was altered or is none, once there was one.
    pub fn failure(&self) -> Option<io::Error> {
        match &self.end {
            Some(End::Failed(kind @ io::ErrorKind::InvalidData, error)) => Some(io::Error::new(*kind, error.clone())),
            _ => None,
        }
    }

    /// Reads no more, and drops what was read.
    pub fn close(&mut self) {
        if self.end.is_none() {
            self.finish(End::Clean);
        }
    }

    /// Opens the next record if the buffer holds all of it.
    fn open_next<C: Codec>(&mut self, codec: &mut C) -> Result<Option<Opened>> {
        let Some(record) = self.next_record(codec)? else { return Ok(None) };
        let opened = codec.open(&mut self.buffer[record.clone()])?;
        let opened = self.counted(codec, opened)?;
        if let Opened::Content(content) = &opened {
            self.plain = record.start + content.start..record.start + content.end;
        }
        self.sealed = record.end;
        Ok(Some(opened))
    }

    /// Fails where it is one more record without content than may be.
    fn counted<C: Codec>(&mut self, codec: &C, opened: Opened) -> Result<Opened> {
        self.empty = match &opened {
            Opened::Content(content) if content.is_empty() => self.empty + 1,
            _ => 0,
        };
        if self.empty > MAX_EMPTY { Err(codec.too_many_empty()) } else { Ok(opened) }
    }

    /// Where the next sealed record lies, if the buffer holds all of it.
    fn next_record<C: Codec>(&self, codec: &C) -> Result<Option<Range<usize>>> {
        let rest = &self.buffer[self.sealed..];
        let Some(header) = rest.get(..C::HEADER) else { return Ok(None) };
        let length = codec.length(header)?;
        Ok((length <= rest.len()).then(|| self.sealed..self.sealed + length))
    }

    /// Reads more behind an unfinished record, or nothing. Only called while nothing is opened.
    fn poll_more<C: Codec>(&mut self, codec: &C, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // At most one unfinished record moves, once in a large read.
        self.buffer.enlarge(std::mem::take(&mut self.sealed));
        self.plain = 0..0;
        let had = self.buffer.len();
        let mut out = (&mut *self.buffer).limit(Buffer::LARGE - had);
        let result = poll_read_buf(Pin::new(below), cx, &mut out);
        if !matches!(result, Poll::Ready(Ok(1..))) {
            let _start = self.buffer.rest(0);
        }
        if ready!(result)? == 0 {
            let end = if had == 0 { codec.end_of_pipe() } else { Err(Error::closed("reading a record that was cut")) };
            self.finish(match end {
                Ok(()) => End::Clean,
                Err(error) => End::Failed(io::ErrorKind::UnexpectedEof, named(error, codec)),
            });
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, end: End) {
        self.clear();
        self.end = Some(end);
    }

    fn clear(&mut self) {
        self.buffer = Buffer::default();
        self.plain = 0..0;
        self.sealed = 0;
    }

    /// Bytes of memory it holds.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }
}
