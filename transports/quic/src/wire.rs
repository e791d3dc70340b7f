//! The form of a datagram that belongs to a stream.
//!
//! ```text
//! stream id (variable-length integer, RFC 9000, section 16) ‖ payload
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The first number that a variable-length integer cannot hold.
const LIMIT: u64 = 1 << 62;

/// How many bytes an id takes. Ids are below 2^62.
pub fn id_len(id: u64) -> usize {
    match id {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Writes a datagram of the stream `id`.
pub fn encode(id: u64, payload: &[u8]) -> Bytes {
    debug_assert!(id < LIMIT, "QUIC counts its streams below that");
    let len = id_len(id);
    let mut out = BytesMut::with_capacity(len + payload.len());
    match len {
        1 => out.put_uint(id, 1),
        2 => out.put_uint(id | 0b01 << 14, 2),
        4 => out.put_uint(id | 0b10 << 30, 4),
        _ => out.put_uint(id | 0b11 << 62, 8),
    }
    out.put_slice(payload);
    out.freeze()
}

/// Reads a datagram: the id of its stream, and the payload. `None` where it has no whole id. Ids may be written in more
/// bytes than they need, as everywhere in QUIC.
pub fn decode(mut datagram: Bytes) -> Option<(u64, Bytes)> {
    let len = 1_usize << (*datagram.first()? >> 6);
    if datagram.len() < len {
        return None;
    }
    // The two highest bits of the first byte are the length.
    let id = datagram.get_uint(len) & ((1 << (8 * len - 2)) - 1);
    Some((id, datagram))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Some((id, payload)) = decode(bytes.clone().into()) {
                prop_assert!(id < LIMIT);
                prop_assert!(bytes.ends_with(&payload) && payload.len() < bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(id in 0..LIMIT, bits in 0..62_u32, payload: Vec<u8>) {
            let id = id >> bits;
            let datagram = encode(id, &payload);
            prop_assert_eq!(datagram.len(), id_len(id) + payload.len());
            prop_assert_eq!(decode(datagram.clone()), Some((id, payload.clone().into())));
            for cut in 0..id_len(id) {
                prop_assert_eq!(decode(datagram.slice(..cut)), None);
            }
        }
    }

    #[test]
    fn ids_are_written_as_the_specification_shows() {
        // RFC 9000, appendix A.1.
        for (bytes, id) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(encode(id, b""), bytes);
            assert_eq!(decode(Bytes::copy_from_slice(bytes)), Some((id, Bytes::new())));
        }
        assert_eq!(decode(Bytes::from_static(&[0x40, 0x25])), Some((37, Bytes::new())), "longer than needed");
    }
}
