//! Bytes out of frames: reads large, and opens every frame where it lies.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use stackwire_core::{BoxPipe, Error, Kind};
use tokio_util::io::poll_read_buf;

use crate::{
    channel::named,
    crypto::{FrameCipher, TAG},
    wire::HEADER,
};

/// The size of the read buffer. Several times the longest frame, so that a read beside an unfinished frame is large
/// all the same and the pipe below serves it without a buffer of its own.
const CAPACITY: usize = 256 * 1024;

/// The receiving half. Its buffer exists only while it holds bytes that were not taken yet.
pub(crate) struct Reader {
    cipher: FrameCipher,
    plugin: &'static str,
    /// What was read and not yet dropped: an opened frame, then unopened ones.
    buffer: Vec<u8>,
    /// The part of the buffer that was opened and not yet taken.
    plain: Range<usize>,
    /// Where the unopened part of the buffer begins.
    sealed: usize,
    end: Option<End>,
}

/// How reading ended, for good.
enum End {
    Clean,
    Failed(io::ErrorKind, Error),
}

impl Reader {
    /// A reader before the first frame.
    pub fn new(cipher: FrameCipher, plugin: &'static str) -> Self {
        Self { cipher, plugin, buffer: Vec::new(), plain: 0..0, sealed: 0, end: None }
    }

    /// What is opened and not yet taken; opens or reads more where there is nothing. Empty at a clean end.
    /// Errors stay: after one, every later call fails with the same.
    pub fn poll_fill(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.plain.is_empty() {
            match &self.end {
                Some(End::Clean) => return Poll::Ready(Ok(&[])),
                Some(End::Failed(kind, error)) => return Poll::Ready(Err(io::Error::new(*kind, error.clone()))),
                None => {}
            }
            match self.open_next() {
                Ok(true) => {}
                Ok(false) => ready!(self.poll_read(below, cx))?,
                Err(error) => {
                    self.finish(End::Failed(io::ErrorKind::InvalidData, named(error, self.plugin)));
                }
            }
        }
        Poll::Ready(Ok(&self.buffer[self.plain.clone()]))
    }

    /// The error of a frame that was altered or is none, once there was one.
    pub fn forged(&self) -> Option<io::Error> {
        match &self.end {
            Some(End::Failed(kind @ io::ErrorKind::InvalidData, error)) => Some(io::Error::new(*kind, error.clone())),
            _ => None,
        }
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

    /// Opens the next frame if the buffer holds all of it.
    fn open_next(&mut self) -> Result<bool, Error> {
        let Some((header, rest)) = self.buffer[self.sealed..].split_first_chunk_mut::<HEADER>() else {
            return Ok(false);
        };
        let length = usize::from(u16::from_be_bytes(*header));
        if length < TAG {
            return Err(Error::misbehaved(format!("a frame of {length} bytes, shorter than its tag")));
        }
        let Some(frame) = rest.get_mut(..length) else {
            return Ok(false);
        };
        let Some(plain) = self.cipher.open(frame) else {
            return Err(Error::new(Kind::AuthenticationFailed, "opening a frame that was altered on the way"));
        };
        let start = self.sealed + HEADER;
        // A frame without data leaves the range empty, and the caller goes on.
        self.plain = start..start + plain;
        self.sealed = start + length;
        Ok(true)
    }

    /// Reads more behind an unfinished frame, or nothing. Only called while nothing is opened.
    fn poll_read(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sealed > 0 {
            // At most one unfinished frame moves, once in a large read.
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
        match ready!(result) {
            Ok(0) if had == 0 => self.finish(End::Clean),
            Ok(0) => {
                let error = named(Error::closed("reading a frame that the pipe ended in"), self.plugin);
                self.finish(End::Failed(io::ErrorKind::UnexpectedEof, error));
            }
            Ok(_) => {}
            Err(e) => return Poll::Ready(Err(e)),
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, end: End) {
        self.clear();
        self.end = Some(end);
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;
    use stackwire_core::Buffered;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{channel::Channel, crypto::Suite, wire::MAX_PLAINTEXT};

    fn cipher(key: u8) -> FrameCipher {
        FrameCipher::new(Suite::ChaChaPoly, &[key; 32])
    }

    /// The frames of `messages`, each in one.
    fn frames(messages: &[&[u8]]) -> Vec<u8> {
        let mut cipher = cipher(5);
        let mut out = Vec::new();
        for message in messages {
            let mut text = message.to_vec();
            let tag = cipher.seal(&mut text).unwrap();
            out.extend_from_slice(&((text.len() + TAG) as u16).to_be_bytes());
            out.extend_from_slice(&text);
            out.extend_from_slice(&tag);
        }
        out
    }

    /// A channel that receives just these bytes.
    fn receiver(bytes: Vec<u8>) -> Channel {
        let below = Buffered::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink()));
        Channel::new(Box::new(below), cipher(5), cipher(6), "noise")
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, io::Result<usize>) {
        let mut data = Vec::new();
        let end = block_on(receiver(bytes).read_to_end(&mut data));
        (data, end)
    }

    #[test]
    fn frames_without_data_are_tolerated() {
        let (data, end) = read(frames(&[b"", b"one", b"", b"", b"two", b""]));
        assert_eq!((data.as_slice(), end.unwrap()), (b"onetwo".as_slice(), 6));
    }

    #[test]
    fn the_longest_frame_is_taken() {
        let message = vec![3; MAX_PLAINTEXT];
        let (data, end) = read(frames(&[&message, &message]));
        assert!(end.is_ok() && data == [message.clone(), message].concat());
    }

    #[test]
    fn a_frame_shorter_than_its_tag_is_the_peers_fault() {
        for length in [0, 1, 15] {
            let bytes = [&[0, length], [9; 40].as_slice()].concat();
            let error = Error::io("reading", read(bytes).1.unwrap_err());
            assert_eq!((error.kind(), error.plugin()), (&Kind::PeerMisbehaved, Some("noise")));
        }
    }

    #[test]
    fn an_end_inside_a_frame_is_told_from_one_between_frames() {
        let bytes = frames(&[b"whole"]);
        for cut in 1..bytes.len() {
            let (data, end) = read(bytes[..cut].to_vec());
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "cut after {cut}");
            assert!(data.is_empty());
        }
        assert!(read(Vec::new()).1.is_ok());
    }

    #[test]
    fn an_altered_frame_fails_now_and_later() {
        let mut bytes = frames(&[b"good", b"bad", b"good"]);
        let at = HEADER + 4 + TAG + HEADER;
        bytes[at] ^= 1;
        let mut channel = receiver(bytes);
        let mut data = Vec::new();
        assert!(block_on(channel.read_to_end(&mut data)).is_err());
        assert_eq!(data, b"good");
        for _ in 0..2 {
            let error = Error::io("reading", block_on(channel.fill_buf()).unwrap_err());
            assert_eq!(error.kind(), &Kind::AuthenticationFailed);
            let error = Error::io("writing", block_on(channel.write_all(b"more")).unwrap_err());
            assert_eq!(error.kind(), &Kind::AuthenticationFailed, "and so does writing");
        }
    }

    #[test]
    fn an_idle_reader_keeps_no_buffer() {
        let (mut theirs, ours) = tokio::io::duplex(1024);
        let mut below: BoxPipe = Box::new(Buffered::new(ours));
        let mut reader = Reader::new(cipher(5), "noise");
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(reader.poll_fill(&mut below, cx).is_pending());
        assert_eq!(reader.buffer.capacity(), 0);
        block_on(theirs.write_all(&frames(&[b"data"]))).unwrap();
        assert!(matches!(reader.poll_fill(&mut below, cx), Poll::Ready(Ok(b"data"))));
        reader.consume(4);
        assert!(reader.poll_fill(&mut below, cx).is_pending());
        assert_eq!(reader.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_are_never_data(bytes: Vec<u8>) {
            let empty = bytes.is_empty();
            let (data, end) = read(bytes);
            prop_assert!(data.is_empty());
            prop_assert_eq!(end.is_ok(), empty);
        }

        #[test]
        fn every_way_of_framing_gives_the_same_bytes(messages: Vec<Vec<u8>>) {
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let (data, end) = read(frames(&messages));
            prop_assert!(end.is_ok());
            prop_assert_eq!(data, messages.concat());
        }
    }
}
