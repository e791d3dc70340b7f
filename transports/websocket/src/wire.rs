//! Frame headers and masks (RFC 6455, section 5).

use std::io::Cursor;

use stackwire_core::{Error, Layer, Result, Role, Violation};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::NAME;

/// The longest payload of a control frame (section 5.5).
pub(crate) const MAX_CONTROL: usize = 125;

/// The longest header: two bytes, a 64-bit length, a mask.
pub(crate) const MAX_HEADER: usize = 14;

/// Status codes of close frames (section 7.4.1).
pub(crate) mod status {
    /// All is said.
    pub(crate) const NORMAL: u16 = 1000;
    /// The peer broke the protocol.
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The first or only part of a message.
    Start,
    /// A further part of a message.
    Continue,
    Ping,
    Pong,
    Close,
}

/// A parsed and checked frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub frame: Frame,
    /// The last part of its message.
    pub last: bool,
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub payload: u64,
    /// Bytes of the header itself.
    pub size: usize,
}

impl Header {
    /// Reads the header at the front of `bytes`; `None` while it is incomplete. `role` is ours: who accepted the
    /// connection demands masked frames, who dialed demands unmasked ones (section 5.1).
    pub fn parse(bytes: &[u8], role: Role) -> Result<Option<Self>> {
        let mut cursor = Cursor::new(bytes);
        let (raw, payload) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            Err(e) => return Err(misbehaved("a frame header that means nothing").caused_by(e)),
        };
        if raw.rsv1 || raw.rsv2 || raw.rsv3 {
            return Err(misbehaved("a frame of an extension that was not agreed on"));
        }
        match (role, raw.mask) {
            (Role::Listener, None) => return Err(misbehaved("a frame without a mask from the dialing side")),
            (Role::Dialer, Some(_)) => return Err(misbehaved("a masked frame from the listening side")),
            _ => {}
        }
        let frame = match raw.opcode {
            // Text is taken as bytes too: go and rust peers do not look at the type either.
            OpCode::Data(Data::Binary | Data::Text) => Frame::Start,
            OpCode::Data(Data::Continue) => Frame::Continue,
            OpCode::Control(Control::Ping) => Frame::Ping,
            OpCode::Control(Control::Pong) => Frame::Pong,
            OpCode::Control(Control::Close) => Frame::Close,
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                return Err(misbehaved("a frame of an unknown type"));
            }
        };
        if matches!(raw.opcode, OpCode::Control(_)) && (!raw.is_final || payload > MAX_CONTROL as u64) {
            return Err(violated(Violation::TooLarge, "a control frame that is fragmented or longer than 125 bytes"));
        }
        Ok(Some(Self { frame, last: raw.is_final, mask: raw.mask, payload, size: cursor.position() as usize }))
    }
}

/// The header of an unfragmented frame, and how many bytes of the array it takes.
pub(crate) fn header(opcode: OpCode, mask: Option<[u8; 4]>, payload: usize) -> ([u8; MAX_HEADER], usize) {
    let mut bytes = [0; MAX_HEADER];
    let mut rest = &mut bytes[..];
    let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
    header.format(payload as u64, &mut rest).expect("no header is longer than 14 bytes");
    let size = MAX_HEADER - rest.len();
    (bytes, size)
}

/// Masks or unmasks `bytes` and returns the key for the bytes that follow (section 5.3).
pub(crate) fn apply_mask(bytes: &mut [u8], mut key: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    key.rotate_left(tail.len() % 4);
    key
}

/// The peer broke the protocol.
pub(crate) fn misbehaved(during: &'static str) -> Error {
    violated(Violation::Malformed, during)
}

/// The peer broke the protocol by `violation`.
pub(crate) fn violated(violation: Violation, during: &'static str) -> Error {
    Error::violated(violation, during).at(Layer::Transport, NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BINARY: OpCode = OpCode::Data(Data::Binary);

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 5.7: "Hello" unmasked and masked, as text.
        let plain = Header::parse(&[0x81, 0x05, 0x48], Role::Dialer).unwrap().unwrap();
        assert_eq!((plain.frame, plain.last, plain.payload, plain.size), (Frame::Start, true, 5, 2));
        let mut masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let header = Header::parse(&masked, Role::Listener).unwrap().unwrap();
        assert_eq!(header.size, 6);
        apply_mask(&mut masked[6..], header.mask.unwrap());
        assert_eq!(&masked[6..], b"Hello");
    }

    #[test]
    fn what_the_rfc_forbids_is_refused() {
        for (bytes, role) in [
            (&[0x82, 0x00][..], Role::Listener),           // no mask
            (&[0x82, 0x80, 0, 0, 0, 0][..], Role::Dialer), // a mask
            (&[0xc2, 0x00][..], Role::Dialer),             // RSV1
            (&[0x83, 0x00][..], Role::Dialer),             // reserved data
            (&[0x8b, 0x00][..], Role::Dialer),             // reserved control
            (&[0x09, 0x00][..], Role::Dialer),             // fragmented ping
            (&[0x89, 0x7e, 0x00, 0x7e][..], Role::Dialer), // ping of 126 bytes
        ] {
            assert!(Header::parse(bytes, role).is_err(), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            for role in [Role::Dialer, Role::Listener] {
                if let Ok(Some(header)) = Header::parse(&bytes, role) {
                    prop_assert!(header.size <= bytes.len() && header.size <= MAX_HEADER);
                }
            }
        }

        #[test]
        fn headers_round_trip(payload in 0usize..200_000, mask in any::<Option<[u8; 4]>>()) {
            let role = if mask.is_some() { Role::Listener } else { Role::Dialer };
            let (bytes, size) = header(BINARY, mask, payload);
            let bytes = &bytes[..size];
            for cut in 0..bytes.len() {
                prop_assert_eq!(Header::parse(&bytes[..cut], role).unwrap(), None);
            }
            let header = Header { frame: Frame::Start, last: true, mask, payload: payload as u64, size };
            prop_assert_eq!(Header::parse(bytes, role).unwrap(), Some(header));
        }

        #[test]
        fn masking_in_parts_is_masking_at_once(bytes: Vec<u8>, key: [u8; 4], cut: prop::sample::Index) {
            let mut whole = bytes.clone();
            apply_mask(&mut whole, key);
            let mut parts = bytes.clone();
            let (a, b) = parts.split_at_mut(cut.index(bytes.len() + 1));
            let next = apply_mask(a, key);
            apply_mask(b, next);
            prop_assert_eq!(&whole, &parts);
            apply_mask(&mut whole, key);
            prop_assert_eq!(whole, bytes);
        }
    }
}
