//! The frame header: `version = 0 | type u8 | flags u16 | stream id u32 | length u32`, big-endian
//! (hashicorp/yamux, `spec.md`).

/// Bytes of a header.
pub(crate) const HEADER: usize = 12;

/// Opens a stream.
pub(crate) const SYN: u16 = 1;
/// Ends the sender's half.
pub(crate) const FIN: u16 = 4;
/// Ends both halves at once.
pub(crate) const RST: u16 = 8;

/// Bytes of a stream; `length` of them follow the header.
pub(crate) const DATA: u8 = 0;
/// Credit for a stream; with RST, `length` is an error code (an extension of go and js).
pub(crate) const WINDOW_UPDATE: u8 = 1;
/// Ends the session; `length` is why.
pub(crate) const GO_AWAY: u8 = 3;

/// A frame's header. The version is not looked at: the state machine refuses wrong ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    pub(crate) stream: u32,
    pub(crate) length: u32,
}

impl Header {
    /// The frame that resets `stream`: plain where there is no code to tell, for peers without the extension.
    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        let kind = if code == 0 { DATA } else { WINDOW_UPDATE };
        Self { kind, flags: RST, stream, length: code }
    }

    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Self {
        let [_, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        }
    }

    pub(crate) fn encode(self) -> [u8; HEADER] {
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [0, self.kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// Bytes that follow this header.
    pub(crate) fn body(self) -> usize {
        if self.kind == DATA { self.length as usize } else { 0 }
    }
}

/// Finds the headers in a stream of frames that passes by in pieces.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    filled: usize,
    body: usize,
}

impl Frames {
    /// Whether the next byte begins a frame.
    pub(crate) fn at_boundary(&self) -> bool {
        self.filled == 0
    }

    /// Bytes that are left of the body under way; `None` within a header.
    pub(crate) fn left(&self) -> Option<usize> {
        (self.filled == HEADER).then_some(self.body)
    }

    /// Looks at the next bytes; calls `whole` with the header of every frame whose last byte has passed.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], mut whole: impl FnMut(Header)) {
        while !bytes.is_empty() {
            if self.filled < HEADER {
                let n = bytes.len().min(HEADER - self.filled);
                self.header[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
                self.filled += n;
                bytes = &bytes[n..];
                if self.filled < HEADER {
                    return;
                }
                self.body = Header::decode(&self.header).body();
            } else {
                let n = bytes.len().min(self.body);
                self.body -= n;
                bytes = &bytes[n..];
            }
            if self.body == 0 {
                self.filled = 0;
                whole(Header::decode(&self.header));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> impl Strategy<Value = Header> {
        (any::<u8>(), any::<u16>(), any::<u32>(), 0..2000u32).prop_map(|(kind, flags, stream, length)| Header {
            kind: kind % 4,
            flags,
            stream,
            length,
        })
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(header in header()) {
            prop_assert_eq!(Header::decode(&header.encode()), header);
        }

        #[test]
        fn frames_are_found_however_they_are_cut(headers in prop::collection::vec(header(), 0..8), cut in 1..50usize) {
            let mut bytes = Vec::new();
            for header in &headers {
                bytes.extend(header.encode());
                bytes.resize(bytes.len() + header.body(), 0xff);
            }
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                frames.pass(piece, |header| found.push(header));
            }
            prop_assert_eq!(found, headers);
            prop_assert!(frames.at_boundary());
        }

        #[test]
        fn arbitrary_bytes_never_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let mut frames = Frames::default();
            for piece in pieces {
                frames.pass(&piece, |_| {});
            }
        }
    }
}
