//! The frame header: `uvarint(stream number << 3 | flag) ‖ uvarint(length)`, followed by `length` bytes.
//!
//! Source: mplex specification, "Message format".

use stackwire_core::{Error, Result, Violation};

/// The most data a frame may carry, in bytes.
pub const MAX_LENGTH: usize = 1 << 20;

/// The highest stream number: with the flag it fills a uvarint of 9 bytes, the longest allowed.
pub const MAX_NUMBER: u64 = (1 << 60) - 1;

/// What a frame is. “Initiator” and “receiver” name the role, towards the stream, of the side that sends the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Opens a stream; the data is a name without meaning.
    NewStream = 0,
    /// Data from the side that did not open the stream.
    MessageReceiver = 1,
    /// Data from the side that opened the stream.
    MessageInitiator = 2,
    /// The side that did not open the stream sends no more.
    CloseReceiver = 3,
    /// The side that opened the stream sends no more.
    CloseInitiator = 4,
    /// The side that did not open the stream ends it at once.
    ResetReceiver = 5,
    /// The side that opened the stream ends it at once.
    ResetInitiator = 6,
}

impl Flag {
    fn from_bits(bits: u64) -> Option<Self> {
        Some(match bits {
            0 => Flag::NewStream,
            1 => Flag::MessageReceiver,
            2 => Flag::MessageInitiator,
            3 => Flag::CloseReceiver,
            4 => Flag::CloseInitiator,
            5 => Flag::ResetReceiver,
            6 => Flag::ResetInitiator,
            _ => return None,
        })
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The stream's number, counted by the side that opened it. At most [`MAX_NUMBER`].
    pub number: u64,
    /// What the frame is.
    pub flag: Flag,
    /// How many bytes of data follow. At most [`MAX_LENGTH`].
    pub length: usize,
}

/// Appends `header` to `out`.
pub fn encode(header: &Header, out: &mut Vec<u8>) {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    let id = header.number << 3 | header.flag as u64;
    out.extend_from_slice(unsigned_varint::encode::u64(id, &mut buffer));
    out.extend_from_slice(unsigned_varint::encode::u64(header.length as u64, &mut buffer));
}

/// Reads headers that may arrive in any number of pieces. Keeps a few bytes and allocates nothing.
#[derive(Debug, Default)]
pub struct Decoder {
    id: Option<u64>,
    value: u64,
    bytes: u32,
}

impl Decoder {
    /// No byte of a header has been taken.
    pub fn is_empty(&self) -> bool {
        self.id.is_none() && self.bytes == 0
    }

    /// Takes bytes up to the end of the header: how many it took, and the header if that was its end, after which
    /// the decoder is ready for the next. `PeerMisbehaved` for a number that is too long or not in its shortest form,
    /// an unknown flag, and a length above [`MAX_LENGTH`].
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Header>)> {
        for (i, byte) in input.iter().enumerate() {
            let Some(value) = self.uvarint(*byte)? else { continue };
            let Some(id) = self.id.take() else {
                self.id = Some(value);
                continue;
            };
            let flag = Flag::from_bits(id & 7)
                .ok_or_else(|| Error::misbehaved(format!("a frame with the unknown flag {}", id & 7)))?;
            let length = usize::try_from(value).ok().filter(|length| *length <= MAX_LENGTH).ok_or_else(|| {
                let error = Error::violated(Violation::TooLarge, "a frame that is too long");
                error.with("stream", id >> 3).with("bytes", value).with("limit", MAX_LENGTH)
            })?;
            return Ok((i + 1, Some(Header { number: id >> 3, flag, length })));
        }
        Ok((input.len(), None))
    }

    fn uvarint(&mut self, byte: u8) -> Result<Option<u64>> {
        self.value |= u64::from(byte & 0x7f) << (7 * self.bytes);
        self.bytes += 1;
        if byte & 0x80 != 0 {
            if self.bytes == 9 {
                return Err(Error::misbehaved("a number of more than 9 bytes in a frame header"));
            }
            return Ok(None);
        }
        if byte == 0 && self.bytes > 1 {
            return Err(Error::misbehaved("a number that is not in its shortest form in a frame header"));
        }
        self.bytes = 0;
        Ok(Some(std::mem::take(&mut self.value)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<(usize, Option<Header>)> {
        Decoder::default().push(bytes)
    }

    #[test]
    fn known_frames() {
        // Computed by hand from the specification.
        for (bytes, number, flag, length) in [
            (&[0x00, 0x00][..], 0, Flag::NewStream, 0),
            (&[0x88, 0x01, 0x02], 17, Flag::NewStream, 2),
            (&[0x8a, 0x01, 0x05], 17, Flag::MessageInitiator, 5),
            (&[0x89, 0x01, 0x80, 0x80, 0x40], 17, Flag::MessageReceiver, 1 << 20),
            (&[0x0b, 0x00], 1, Flag::CloseReceiver, 0),
            (&[0x0c, 0x00], 1, Flag::CloseInitiator, 0),
            (&[0x0d, 0x00], 1, Flag::ResetReceiver, 0),
            (&[0x0e, 0x00], 1, Flag::ResetInitiator, 0),
        ] {
            let header = Header { number, flag, length };
            assert_eq!(decode(bytes).unwrap(), (bytes.len(), Some(header)));
            let mut out = Vec::new();
            encode(&header, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn malformed_headers_are_the_peers_fault() {
        for bytes in [
            &[0x07, 0x00][..],                                       // flag 7
            &[0x01, 0x81, 0x80, 0x40],                               // 1 MiB + 1
            &[0x80, 0x00],                                           // 0, not in its shortest form
            &[0x01, 0x80, 0x00],                                     // the same, as a length
            &[0xff; 9],                                              // a tenth byte would follow
            &[0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], // a length of 2^56 - 1
        ] {
            let violation = decode(bytes).expect_err("malformed").violation();
            assert!(matches!(violation, Some(Violation::Malformed | Violation::TooLarge)), "{bytes:x?}: {violation:?}");
        }
    }

    fn header() -> impl Strategy<Value = Header> {
        (0..=MAX_NUMBER, 0..7u64, 0..=MAX_LENGTH).prop_map(|(number, flag, length)| Header {
            number,
            flag: Flag::from_bits(flag).expect("seven flags"),
            length,
        })
    }

    proptest! {
        #[test]
        fn headers_come_back(headers in prop::collection::vec(header(), 1..5), cut in 1..20usize) {
            let mut bytes = Vec::new();
            for header in &headers {
                encode(header, &mut bytes);
            }
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for mut piece in bytes.chunks(cut) {
                while !piece.is_empty() {
                    let (n, header) = decoder.push(piece).unwrap();
                    prop_assert!(n > 0);
                    piece = &piece[n..];
                    got.extend(header);
                }
            }
            prop_assert_eq!(got, headers);
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = Decoder::default();
            let mut rest = &bytes[..];
            while let Ok((n, Some(header))) = decoder.push(rest) {
                prop_assert!(header.length <= MAX_LENGTH && header.number <= MAX_NUMBER);
                rest = &rest[n..];
            }
        }
    }
}
