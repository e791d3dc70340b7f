//! The read side: a buffer of frames whose payload is unmasked in place and handed on piece by piece.

use stackwire_core::{Result, Role, Violation};

use crate::wire::{Frame, Header, MAX_CONTROL, apply_mask, misbehaved, violated};

/// How much is read from below at once: our own largest frame with its header.
pub(crate) const READ_BYTES: usize = 64 * 1024 + 16;
/// How many data frames without payload may follow each other: each is work, and none is progress. Control frames are not
/// counted: they keep a connection alive on which nothing happens.
const MAX_EMPTY: u32 = 32;

/// What the buffered bytes turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// There is payload in [`Reader::ready`].
    Data,
    /// The peer wants this back.
    Ping(Vec<u8>),
    /// The peer sends nothing more.
    Close,
    /// More bytes must be read into [`Reader::space`].
    Hungry,
}

/// Turns received bytes into payload. No I/O.
#[derive(Debug)]
pub(crate) struct Reader {
    role: Role,
    max_message: u64,
    buffer: Vec<u8>,
    /// Everything before it was consumed.
    start: usize,
    /// This much from `start` is unmasked payload.
    ready: usize,
    /// Payload of the current data frame that has not become ready.
    remaining: u64,
    /// The key of the next byte of payload and those after it.
    mask: Option<[u8; 4]>,
    /// A message has begun whose last frame has not.
    fragmented: bool,
    /// Payload of the current message, as announced so far.
    message: u64,
    /// Data frames without payload since the last with some.
    empty: u32,
}

impl Reader {
    /// A reader whose first bytes have arrived already, in `received`.
    pub fn new(role: Role, max_message: u64, received: Vec<u8>) -> Self {
        Self {
            role,
            max_message,
            buffer: received,
            start: 0,
            ready: 0,
            remaining: 0,
            mask: None,
            fragmented: false,
            message: 0,
            empty: 0,
        }
    }

    /// Payload that is there.
    pub fn ready(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.ready]
    }

    /// `n` bytes of it were used.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.ready);
        self.start += n;
        self.ready -= n;
    }

    /// Looks at the bytes behind the ready ones, which must have been consumed.
    pub fn advance(&mut self) -> Result<Event> {
        debug_assert_eq!(self.ready, 0);
        loop {
            let rest = &mut self.buffer[self.start..];
            if self.remaining > 0 {
                if rest.is_empty() {
                    return Ok(Event::Hungry);
                }
                let n = rest.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                self.mask = self.mask.map(|key| apply_mask(&mut rest[..n], key));
                self.ready = n;
                self.remaining -= n as u64;
                return Ok(Event::Data);
            }
            let Some(header) = Header::parse(rest, self.role)? else { return Ok(Event::Hungry) };
            match header.frame {
                Frame::Start | Frame::Continue => self.begin(header)?,
                Frame::Ping | Frame::Pong | Frame::Close => {
                    // The header's parser has checked that a control frame is short.
                    let size = header.size + (header.payload as usize).min(MAX_CONTROL);
                    let Some(frame) = rest.get_mut(..size) else { return Ok(Event::Hungry) };
                    let payload = &mut frame[header.size..];
                    if let Some(key) = header.mask {
                        apply_mask(payload, key);
                    }
                    let event = match header.frame {
                        Frame::Ping => Some(Event::Ping(payload.to_vec())),
                        Frame::Close if payload.len() == 1 => {
                            return Err(misbehaved("a close frame with half a status"));
                        }
                        Frame::Close => Some(Event::Close),
                        _ => None,
                    };
                    self.start += size;
                    if let Some(event) = event {
                        return Ok(event);
                    }
                }
            }
        }
    }

    /// A data frame begins.
    fn begin(&mut self, header: Header) -> Result<()> {
        match (header.frame, self.fragmented) {
            (Frame::Start, true) => return Err(violated(Violation::OutOfOrder, "a message within a message")),
            (Frame::Continue, false) => return Err(violated(Violation::OutOfOrder, "a continuation of no message")),
            (Frame::Start, false) => self.message = 0,
            _ => {}
        }
        self.message = self.message.saturating_add(header.payload);
        if self.message > self.max_message {
            return Err(violated(Violation::TooLarge, "a message longer than `max_message_bytes`"));
        }
        self.empty = if header.payload == 0 { self.empty + 1 } else { 0 };
        if self.empty > MAX_EMPTY {
            return Err(violated(Violation::Flood, "one frame after the other without data"));
        }
        self.start += header.size;
        self.fragmented = !header.last;
        self.mask = header.mask;
        self.remaining = header.payload;
        Ok(())
    }

    /// Where to append what is read from below, when [`Event::Hungry`], and how much at most.
    pub fn space(&mut self) -> (&mut Vec<u8>, usize) {
        // At most a part of a header or control frame is left, so that moving it to the front costs nothing.
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ_BYTES.saturating_sub(self.buffer.len()));
        let room = READ_BYTES.saturating_sub(self.buffer.len()).max(1);
        (&mut self.buffer, room)
    }

    /// Nothing arrived: an idle connection keeps no buffer.
    pub fn idle(&mut self) {
        if self.buffer.len() == self.start {
            self.release();
        }
    }

    /// Forgets what was received and not consumed.
    pub fn release(&mut self) {
        (self.buffer, self.start, self.ready) = (Vec::new(), 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces and returns the payload and the pings; an error ends it.
    fn read(role: Role, max: u64, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Vec<u8>>, bool)> {
        let mut reader = Reader::new(role, max, Vec::new());
        let (mut payload, mut pings) = (Vec::new(), Vec::new());
        let mut pieces = bytes.chunks(piece);
        loop {
            match reader.advance()? {
                Event::Data => {
                    payload.extend_from_slice(reader.ready());
                    reader.consume(usize::MAX);
                }
                Event::Ping(ping) => pings.push(ping),
                Event::Close => return Ok((payload, pings, true)),
                Event::Hungry => match pieces.next() {
                    Some(piece) => reader.space().0.extend_from_slice(piece),
                    None => return Ok((payload, pings, false)),
                },
            }
        }
    }

    #[test]
    fn frames_without_data_are_skipped_but_not_for_ever() {
        let [data, pong] = [&[0x82, 0x01, b'x'][..], &[0x8a, 0x00]];
        for empty in [&[0x82, 0x00][..], &[0x02, 0x00, 0x80, 0x00]] {
            let frames = empty.len() / 2;
            let some = empty.repeat(MAX_EMPTY as usize / frames);
            let bytes = [&some[..], data, &some, data, &some].concat();
            assert_eq!(read(Role::Dialer, 100, &bytes, 7).unwrap().0, b"xx");
            // What keeps an idle connection alive does not count, and does not begin the count anew.
            let flood = [&bytes[..], &pong.repeat(1000), empty].concat();
            assert!(read(Role::Dialer, 100, &flood, 7).is_err());
        }
    }

    #[test]
    fn fragments_with_control_frames_between_them() {
        // "He" + ping "x" + "" + pong + "llo", then close 1000.
        let bytes = [
            &[0x02, 0x02, b'H', b'e', 0x89, 0x01, b'x', 0x00, 0x00][..],
            &[0x8a, 0x00, 0x80, 0x03, b'l', b'l', b'o', 0x88, 0x02, 0x03, 0xe8][..],
        ]
        .concat();
        for piece in 1..=bytes.len() {
            let (payload, pings, closed) = read(Role::Dialer, 5, &bytes, piece).unwrap();
            assert_eq!((payload.as_slice(), pings, closed), (&b"Hello"[..], vec![b"x".to_vec()], true));
        }
        assert!(read(Role::Dialer, 4, &bytes, 3).is_err(), "the bound is on the message, not on the fragment");
    }

    #[test]
    fn broken_sequences_are_refused() {
        for bytes in [
            &[0x80, 0x01, 0x00][..],                                           // continues nothing
            &[0x02, 0x00, 0x82, 0x00][..],                                     // a message within a message
            &[0x88, 0x01, 0x03][..],                                           // half a status code
            &[0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], // 2^64 - 1 bytes
        ] {
            assert!(read(Role::Dialer, 1 << 24, bytes, 64).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn an_idle_reader_keeps_no_buffer() {
        let mut reader = Reader::new(Role::Dialer, 100, Vec::new());
        reader.space().0.extend_from_slice(&[0x82]);
        reader.idle();
        assert_eq!(reader.advance().unwrap(), Event::Hungry, "half a header is kept");
        reader.space().0.extend_from_slice(&[0x01, b'x']);
        assert_eq!(reader.advance().unwrap(), Event::Data);
        reader.consume(1);
        let _nothing_came = reader.space();
        reader.idle();
        assert_eq!(reader.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_data_or_an_error(bytes: Vec<u8>, piece in 1usize..64) {
            for role in [Role::Dialer, Role::Listener] {
                if let Ok((payload, ..)) = read(role, 100, &bytes, piece) {
                    prop_assert!(payload.len() <= bytes.len());
                }
            }
        }
    }
}
