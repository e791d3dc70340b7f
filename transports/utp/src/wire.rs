//! Packets as they are on the wire: BEP 29, “header format”.
//!
//! ```text
//! 0       4       8               16              24              32
//! +-------+-------+---------------+---------------+---------------+
//! | type  | ver 1 | extension     | connection id                 |
//! +-------+-------+---------------+---------------+---------------+
//! | timestamp in microseconds                                     |
//! | how long the last packet of the other side was under way      |
//! | receive window in bytes                                       |
//! | sequence number               | acknowledged up to            |
//! +-------------------------------+-------------------------------+
//! | extensions: next, length, data ... | payload                  |
//! ```
//!
//! All numbers are big-endian.

use std::fmt;

/// Bytes of a packet before its extensions and payload.
pub const HEADER: usize = 20;

/// The version of the protocol that everyone speaks.
const VERSION: u8 = 1;

/// The extension that names packets beyond the first missing one.
const SELECTIVE_ACK: u8 = 1;

/// The most bytes a selective acknowledgement has: its length is one byte, and a multiple of 4.
pub const MAX_SELECTIVE_ACK: usize = 252;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Carries payload.
    Data = 0,
    /// The last packet that has a sequence number.
    Fin = 1,
    /// Acknowledges, and nothing more.
    State = 2,
    /// Ends the connection at once.
    Reset = 3,
    /// Asks for a connection.
    Syn = 4,
}

/// What every packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Type,
    /// Which connection, by the receiver's number for it.
    pub connection: u16,
    /// When it was sent, by the sender's clock, in microseconds.
    pub timestamp: u32,
    /// The sender's clock less the timestamp of the last packet it received; 0 where it received none.
    pub delay: u32,
    /// How many bytes the sender of this packet has room for.
    pub window: u32,
    pub seq: u16,
    /// The last packet up to which the sender of this one has all.
    pub ack: u16,
}

/// A packet that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub header: Header,
    /// Bit `i` (of byte `i / 8`, least significant first) is packet `ack + 2 + i`; empty where nothing was said.
    pub selective_ack: &'a [u8],
    pub payload: &'a [u8],
}

/// Why a datagram is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends within its header or its extensions.
    TooShort,
    /// It is of another version, or of another protocol.
    Version,
    /// There is no such type.
    Type,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::TooShort => "the packet is cut short",
            Malformed::Version => "not a packet of version 1",
            Malformed::Type => "an unknown type of packet",
        })
    }
}

impl Header {
    /// Writes the header over the first [`HEADER`] bytes of `packet`; no extension follows.
    pub fn write(&self, packet: &mut [u8]) {
        packet[0] = (self.kind as u8) << 4 | VERSION;
        packet[1] = 0;
        packet[2..4].copy_from_slice(&self.connection.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.delay.to_be_bytes());
        packet[12..16].copy_from_slice(&self.window.to_be_bytes());
        packet[16..18].copy_from_slice(&self.seq.to_be_bytes());
        packet[18..20].copy_from_slice(&self.ack.to_be_bytes());
    }

    /// A packet without payload, with the selective acknowledgement if that is not empty.
    ///
    /// Its length must be a multiple of 4, and at most [`MAX_SELECTIVE_ACK`].
    pub fn packet(&self, selective_ack: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER];
        self.write(&mut packet);
        if !selective_ack.is_empty() {
            debug_assert!(selective_ack.len().is_multiple_of(4) && selective_ack.len() <= MAX_SELECTIVE_ACK);
            packet[1] = SELECTIVE_ACK;
            packet.extend([0, selective_ack.len() as u8]);
            packet.extend_from_slice(selective_ack);
        }
        packet
    }
}

impl<'a> Packet<'a> {
    /// Reads a datagram. Extensions we do not know are skipped.
    pub fn read(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (header, mut rest) = datagram.split_first_chunk::<HEADER>().ok_or(Malformed::TooShort)?;
        if header[0] & 0x0f != VERSION {
            return Err(Malformed::Version);
        }
        let kind = match header[0] >> 4 {
            0 => Type::Data,
            1 => Type::Fin,
            2 => Type::State,
            3 => Type::Reset,
            4 => Type::Syn,
            _ => return Err(Malformed::Type),
        };
        let u16_at = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let mut selective_ack: &[u8] = &[];
        let mut extension = header[1];
        while extension != 0 {
            let (&[next, len], more) = rest.split_first_chunk::<2>().ok_or(Malformed::TooShort)?;
            let (data, more) = more.split_at_checked(len.into()).ok_or(Malformed::TooShort)?;
            if extension == SELECTIVE_ACK {
                // BEP 29 wants multiples of 4 bytes; libtorrent sends as many as it needs.
                selective_ack = data;
            }
            (extension, rest) = (next, more);
        }
        let header = Header {
            kind,
            connection: u16_at(2),
            timestamp: u32_at(4),
            delay: u32_at(8),
            window: u32_at(12),
            seq: u16_at(16),
            ack: u16_at(18),
        };
        Ok(Self { header, selective_ack, payload: rest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(numbers: [u16; 3], words: [u32; 3], kind: u8) -> Header {
        let kind = [Type::Data, Type::Fin, Type::State, Type::Reset, Type::Syn][usize::from(kind % 5)];
        let ([connection, seq, ack], [timestamp, delay, window]) = (numbers, words);
        Header { kind, connection, timestamp, delay, window, seq, ack }
    }

    #[test]
    fn a_packet_is_laid_out_as_bep_29_says() {
        let header = Header {
            kind: Type::State,
            connection: 0x0102,
            timestamp: 0x03040506,
            delay: 0x0708090a,
            window: 0x0b0c0d0e,
            seq: 0x0f10,
            ack: 0x1112,
        };
        let bytes: Vec<u8> = [&[0x21, 1][..], &(1..=18).collect::<Vec<u8>>(), &[0, 4, 1, 0, 0, 0x80]].concat();
        assert_eq!(header.packet(&[1, 0, 0, 0x80]), bytes);
        assert_eq!(Packet::read(&bytes), Ok(Packet { header, selective_ack: &[1, 0, 0, 0x80], payload: &[] }));
    }

    #[test]
    fn what_is_no_packet_is_named() {
        let good = header([1; 3], [1; 3], 2).packet(&[0; 4]);
        for (change, wrong) in [
            ((0, 0x22), Malformed::Version),
            ((0, 0x51), Malformed::Type),
            ((21, 5), Malformed::TooShort),
            ((20, 1), Malformed::TooShort),
        ] {
            let mut bytes = good.clone();
            bytes[change.0] = change.1;
            assert_eq!(Packet::read(&bytes), Err(wrong), "{change:?}");
        }
        assert_eq!(Packet::read(&good[..19]), Err(Malformed::TooShort));
    }

    #[test]
    fn unknown_extensions_are_skipped() {
        let mut bytes = header([1; 3], [1; 3], 4).packet(&[]);
        bytes[1] = 2;
        bytes.extend([3, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0]);
        bytes.extend(b"payload");
        let packet = Packet::read(&bytes).unwrap();
        assert_eq!((packet.selective_ack, packet.payload), (&[][..], &b"payload"[..]));
    }

    #[test]
    fn a_selective_acknowledgement_may_have_any_length() {
        for len in [0, 1, 9, 255] {
            let mut bytes = header([1; 3], [1; 3], 2).packet(&[]);
            bytes[1] = SELECTIVE_ACK;
            bytes.extend([0, len]);
            bytes.extend(vec![7; len.into()]);
            assert_eq!(Packet::read(&bytes).unwrap().selective_ack, vec![7; len.into()]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Packet::read(&bytes);
            let _ = Packet::read(&[&[0x01, 1], &bytes[..]].concat());
        }

        #[test]
        fn what_is_written_is_read(numbers: [u16; 3], words: [u32; 3], kind: u8, acks in 0..=MAX_SELECTIVE_ACK / 4, payload: Vec<u8>) {
            let header = header(numbers, words, kind);
            let acks = vec![0xa5; acks * 4];
            let bytes = [header.packet(&acks), payload.clone()].concat();
            prop_assert_eq!(Packet::read(&bytes), Ok(Packet { header, selective_ack: &acks, payload: &payload }));
        }
    }
}
