//! The frame header: `version = 0 | type u8 | flags u16 | stream id u32 | length u32`, big-endian. The bytes of a data
//! frame follow it.
//!
//! Source: hashicorp/yamux, `spec.md`, "Framing".

use stackwire_core::{Error, Result};

/// Bytes of a header.
pub const HEADER: usize = 12;

/// Flag: opens a stream; asks for an answer to a ping.
pub const SYN: u16 = 1;
/// Flag: acknowledges a stream; answers a ping.
pub const ACK: u16 = 2;
/// Flag: the sender sends no more.
pub const FIN: u16 = 4;
/// Flag: the stream ends at once, in both directions.
pub const RST: u16 = 8;

/// The code of a reset: the limit on streams, or on what they hold, was met (libp2p's error codes).
pub const RESOURCE_LIMIT: u32 = 0x1002;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a stream; as many as `length` says follow the header.
    Data = 0,
    /// Credit for a stream, `length` bytes of it. With [`RST`], `length` is an error code (an extension of go and js).
    WindowUpdate = 1,
    /// A question with the value `length` ([`SYN`]), or its answer with the same value ([`ACK`]).
    Ping = 2,
    /// No new streams; the connection ends. `length` says why, 0 being a normal end.
    GoAway = 3,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Any of [`SYN`], [`ACK`], [`FIN`] and [`RST`]. Others are kept and mean nothing.
    pub flags: u16,
    /// The stream: odd if the dialer opened it, even if the listener did; 0 for the connection.
    pub stream: u32,
    /// Its meaning depends on the kind.
    pub length: u32,
}

impl Header {
    /// The frame that resets `stream`: plain where there is no code to tell, for peers without the extension.
    pub fn reset(stream: u32, code: u32) -> Self {
        let kind = if code == 0 { Kind::Data } else { Kind::WindowUpdate };
        Self { kind, flags: RST, stream, length: code }
    }

    /// A frame about the connection as a whole.
    pub fn session(kind: Kind, flags: u16, length: u32) -> Self {
        Self { kind, flags, stream: 0, length }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Bytes that follow this header.
    pub fn body(&self) -> u32 {
        if self.kind == Kind::Data { self.length } else { 0 }
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER] {
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [0, self.kind as u8, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// Reads a header. `PeerMisbehaved` for another version than 0, an unknown type, a frame of a stream that names
    /// stream 0, and a ping that is not either a question or an answer.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Self> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        if version != 0 {
            return Err(Error::misbehaved(format!("a frame of yamux version {version}; there is only 0")));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            _ => return Err(Error::misbehaved(format!("a frame of the unknown type {kind}"))),
        };
        let header = Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        };
        match kind {
            Kind::Data | Kind::WindowUpdate if header.stream == 0 => {
                Err(Error::misbehaved("a frame of a stream with the connection's id, 0"))
            }
            Kind::Ping if header.has(SYN) == header.has(ACK) => {
                Err(Error::misbehaved("a ping that is neither a question nor an answer"))
            }
            _ => Ok(header),
        }
    }
}

/// Reads headers that may arrive in any number of pieces. Allocates nothing.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: [u8; HEADER],
    filled: usize,
}

impl Decoder {
    /// No byte of a header has been taken.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Takes bytes up to the end of the header: how many it took, and the header if that was its end, after which the
    /// decoder is ready for the next. Fails as [`Header::decode`] does.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Header>)> {
        let part = &input[..input.len().min(HEADER - self.filled)];
        self.bytes[self.filled..][..part.len()].copy_from_slice(part);
        self.filled += part.len();
        if self.filled < HEADER {
            return Ok((part.len(), None));
        }
        self.filled = 0;
        Ok((part.len(), Some(Header::decode(&self.bytes)?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_core::Kind as ErrorKind;

    use stackwire_core::Violation;

    use super::*;

    #[test]
    fn known_frames() {
        // Computed by hand from the specification.
        for (bytes, kind, flags, stream, length) in [
            ([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5], Kind::Data, SYN, 1, 5),
            ([0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0], Kind::Data, FIN, 2, 0),
            ([0, 1, 0, 2, 0, 0, 1, 1, 0, 4, 0, 0], Kind::WindowUpdate, ACK, 257, 256 << 10),
            ([0, 1, 0, 8, 0, 0, 0, 3, 0, 0, 0, 42], Kind::WindowUpdate, RST, 3, 42),
            ([0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7], Kind::Ping, SYN, 0, 7),
            ([0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 5], Kind::GoAway, 0, 0, 0x1005),
            ([0, 0, 0x80, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Kind::Data, 0x8004, u32::MAX, u32::MAX),
        ] {
            let header = Header { kind, flags, stream, length };
            assert_eq!(Header::decode(&bytes).unwrap(), header);
            assert_eq!(header.encode(), bytes);
        }
    }

    #[test]
    fn malformed_headers_are_the_peers_fault() {
        for bytes in [
            [1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0], // version 1
            [0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], // type 4
            [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], // data of stream 0
            [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // credit for stream 0
            [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // a ping without a flag
            [0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0], // a ping with both
        ] {
            assert_eq!(
                Header::decode(&bytes).expect_err("malformed").kind(),
                &ErrorKind::PeerMisbehaved(Violation::Malformed),
                "{bytes:?}"
            );
        }
    }

    fn header() -> impl Strategy<Value = Header> {
        let kind = prop_oneof![Just(Kind::Data), Just(Kind::WindowUpdate), Just(Kind::Ping), Just(Kind::GoAway)];
        (kind, any::<u16>(), 1..=u32::MAX, any::<u32>()).prop_map(|(kind, flags, stream, length)| {
            let flags = if kind == Kind::Ping { SYN } else { flags };
            Header { kind, flags, stream, length }
        })
    }

    proptest! {
        #[test]
        fn headers_come_back(headers in prop::collection::vec(header(), 1..5), cut in 1..20usize) {
            let bytes: Vec<u8> = headers.iter().flat_map(Header::encode).collect();
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
                prop_assert_eq!(Header::decode(&header.encode()).unwrap(), header);
                rest = &rest[n..];
            }
        }
    }
}
