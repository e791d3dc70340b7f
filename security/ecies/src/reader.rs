//! Bytes out of records: reads large, and opens every record where it lies.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use stackwire_core::{BoxPipe, Error, Result};
use tokio::io::ReadBuf;
use tokio_util::io::poll_read_buf;

use crate::{
    aead::TAG,
    channel::named,
    records::{Content, HEADER, Opener},
};

/// The size of the read buffer: several of the longest records, so that a read beside an unfinished one is large all
/// the same, and the pipe below serves it without a buffer of its own.
const CAPACITY: usize = 256 * 1024;

/// The receiving half. Its buffer exists only while it holds bytes that were not taken yet.
pub(crate) struct Reader {
    opener: Opener,
    /// What was read and not yet dropped: an opened record, then sealed ones.
    buffer: Vec<u8>,
    /// The part of the buffer that was opened and not yet taken.
    plain: Range<usize>,
    /// Where the sealed part of the buffer begins.
    sealed: usize,
    end: Option<End>,
}

/// How reading ended, for good.
enum End {
    /// The peer sealed an end, or we read no more.
    Clean,
    Failed(io::ErrorKind, Error),
}

impl Reader {
    /// A reader before the first record.
    pub fn new(opener: Opener) -> Self {
        Self { opener, buffer: Vec::new(), plain: 0..0, sealed: 0, end: None }
    }

    /// What is opened and not yet taken; opens or reads more where there is nothing. Empty at the sealed end. An end of
    /// the pipe below without one is an error. Errors stay: after one, every later call fails with the same.
    pub fn poll_fill(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while !self.open_some() {
            match &self.end {
                Some(End::Clean) => return Poll::Ready(Ok(&[])),
                Some(End::Failed(kind, error)) => return Poll::Ready(Err(io::Error::new(*kind, error.clone()))),
                None => ready!(self.poll_more(below, cx))?,
            }
        }
        Poll::Ready(Ok(&self.buffer[self.plain.clone()]))
    }

    /// Copies to `out` what [`poll_fill`](Self::poll_fill) shows, and what is in the records behind it that are here.
    pub fn poll_read(
        &mut self,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_fill(below, cx))?;
        while out.remaining() > 0 && self.open_some() {
            let n = self.plain.len().min(out.remaining());
            out.put_slice(&self.buffer[self.plain.start..self.plain.start + n]);
            self.consume(n);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `n` bytes of what [`poll_fill`](Self::poll_fill) showed.
    pub fn consume(&mut self, n: usize) {
        self.plain.start = (self.plain.start + n).min(self.plain.end);
    }

    /// Drops the buffer.
    pub fn clear(&mut self) {
        self.buffer = Vec::new();
        self.plain = 0..0;
        self.sealed = 0;
    }

    /// Reads no more.
    pub fn end(&mut self) {
        self.finish(End::Clean);
    }

    /// Whether there is something opened, if need be after opening the next record. Where there is not, either reading
    /// has ended or more bytes are needed.
    fn open_some(&mut self) -> bool {
        if !self.plain.is_empty() {
            return true;
        }
        if self.end.is_some() {
            return false;
        }
        match self.open_next() {
            Ok(None) => false,
            Ok(Some(Content::Data | Content::LastUnderKey)) => true,
            Ok(Some(Content::End)) => {
                self.finish(End::Clean);
                false
            }
            Err(error) => {
                self.finish(End::Failed(io::ErrorKind::InvalidData, named(error)));
                false
            }
        }
    }

    /// Opens the next record if the buffer holds all of it.
    fn open_next(&mut self) -> Result<Option<Content>> {
        let Some((header, rest)) = self.buffer[self.sealed..].split_first_chunk_mut::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*header));
        if length < TAG {
            return Err(Error::misbehaved(format!("a record of {length} bytes, shorter than its tag")));
        }
        let Some(record) = rest.get_mut(..length) else {
            return Ok(None);
        };
        let (kind, content) = self.opener.open(*header, record)?;
        let start = self.sealed + HEADER;
        self.plain = start..start + content;
        self.sealed = start + length;
        Ok(Some(kind))
    }

    /// Reads more behind an unfinished record, or nothing. Only called while nothing is opened.
    fn poll_more(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sealed > 0 {
            // At most one unfinished record moves, once in a large read.
            self.buffer.drain(..self.sealed);
            self.sealed = 0;
            self.plain = 0..0;
        }
        let had = self.buffer.len();
        self.buffer.reserve_exact(CAPACITY - had);
        let mut out = (&mut self.buffer).limit(CAPACITY - had);
        let result = poll_read_buf(Pin::new(below), cx, &mut out);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        if ready!(result)? == 0 {
            let cut = "the peer closed the pipe without a sealed end; bytes may be missing";
            self.finish(End::Failed(io::ErrorKind::UnexpectedEof, named(Error::closed(cut))));
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, end: End) {
        self.clear();
        self.end.get_or_insert(end);
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;
    use stackwire_core::{Buffered, Kind};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{
        channel::Channel,
        records::{MAX_CONTENT, Sealer},
        suite::Suite,
        tests::secret,
    };

    const SUITE: Suite = Suite::ChaCha20Poly1305;

    /// The records of `messages`, each in one, with a key that changes all the time; without an end.
    fn records(messages: &[&[u8]]) -> (Vec<u8>, Sealer) {
        let mut sealer = Sealer::new(SUITE, secret(5), 7);
        let mut out = Vec::new();
        for message in messages {
            let start = out.len();
            out.extend_from_slice(&[0; HEADER]);
            out.extend_from_slice(message);
            sealer.seal_data(&mut out, start);
        }
        (out, sealer)
    }

    fn ended(messages: &[&[u8]]) -> Vec<u8> {
        let (mut out, mut sealer) = records(messages);
        sealer.seal_end(&mut out);
        out
    }

    /// A channel that receives just these bytes.
    fn receiver(bytes: Vec<u8>) -> Channel {
        let below = Buffered::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink()));
        Channel::new(Box::new(below), Opener::new(SUITE, secret(5)), Sealer::new(SUITE, secret(6), 100))
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, io::Result<usize>) {
        let mut data = Vec::new();
        let end = block_on(receiver(bytes).read_to_end(&mut data));
        (data, end)
    }

    #[test]
    fn the_longest_record_is_taken() {
        let message = vec![3; MAX_CONTENT];
        let (data, end) = read(ended(&[&message, &message]));
        assert!(end.is_ok() && data == [message.clone(), message].concat());
    }

    #[test]
    fn only_a_sealed_end_is_an_end() {
        let bytes = ended(&[b"one", b"two"]);
        for cut in 0..bytes.len() {
            let (data, end) = read(bytes[..cut].to_vec());
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "cut after {cut}");
            assert!(b"onetwo".starts_with(&data[..]));
        }
        let (data, end) = read([bytes.as_slice(), b"whatever follows"].concat());
        assert_eq!((data.as_slice(), end.unwrap()), (&b"onetwo"[..], 6));
    }

    #[test]
    fn a_cut_is_named() {
        let error = Error::io("reading", read(records(&[b"whole"]).0).1.unwrap_err());
        assert_eq!((error.kind(), error.plugin()), (&Kind::Closed, Some("ecies")));
    }

    #[test]
    fn a_record_shorter_than_its_tag_is_the_peers_fault() {
        for length in [0, 1, 15] {
            let bytes = [&[0, length], [9; 40].as_slice()].concat();
            let error = Error::io("reading", read(bytes).1.unwrap_err());
            assert_eq!((error.kind(), error.plugin()), (&Kind::PeerMisbehaved, Some("ecies")));
        }
    }

    #[test]
    fn an_altered_record_fails_now_and_later() {
        let mut bytes = ended(&[b"good", b"bad", b"good"]);
        let at = HEADER + 4 + 1 + TAG + HEADER;
        bytes[at] ^= 1;
        let mut channel = receiver(bytes);
        let mut data = Vec::new();
        assert!(block_on(channel.read_to_end(&mut data)).is_err());
        assert_eq!(data, b"good");
        for _ in 0..2 {
            let error = Error::io("reading", block_on(channel.fill_buf()).unwrap_err());
            assert_eq!(error.kind(), &Kind::AuthenticationFailed);
        }
    }

    #[test]
    fn one_read_takes_all_records_that_are_here() {
        let mut channel = receiver(ended(&[b"one", b"two", b"three"]));
        let mut data = [0; 100];
        assert_eq!(block_on(channel.read(&mut data)).unwrap(), 11);
        assert_eq!(&data[..11], b"onetwothree");
        assert_eq!(block_on(channel.read(&mut data)).unwrap(), 0);
    }

    #[test]
    fn who_reads_no_more_sees_an_end() {
        use stackwire_core::Pipe;
        let mut channel = receiver(ended(&[b"one", b"two"]));
        assert_eq!(block_on(channel.fill_buf()).unwrap(), b"one");
        channel.close_read();
        assert!(block_on(channel.fill_buf()).unwrap().is_empty());
    }

    #[test]
    fn an_idle_reader_keeps_no_buffer() {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        let mut below: BoxPipe = Box::new(Buffered::new(ours));
        let mut reader = Reader::new(Opener::new(SUITE, secret(5)));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(reader.poll_fill(&mut below, cx).is_pending());
        assert_eq!(reader.buffer.capacity(), 0);
        block_on(theirs.write_all(&records(&[b"data"]).0)).unwrap();
        assert!(matches!(reader.poll_fill(&mut below, cx), Poll::Ready(Ok(b"data"))));
        reader.consume(4);
        assert!(reader.poll_fill(&mut below, cx).is_pending());
        assert_eq!(reader.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_are_never_data(bytes: Vec<u8>) {
            let (data, end) = read(bytes);
            prop_assert!(data.is_empty() && end.is_err());
        }

        #[test]
        fn every_way_of_cutting_into_records_gives_the_same_bytes(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 0..20),
        ) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let (data, end) = read(ended(&messages));
            prop_assert!(end.is_ok());
            prop_assert_eq!(data, messages.concat());
        }
    }
}
