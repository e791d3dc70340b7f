//! BCS (Binary Canonical Serialization), as Diem and Aptos write it: integers are little-endian; lengths, counts and variants
//! are ULEB128 in the shortest form. Source: the specification in `diem/bcs`, README.md.
//!
//! Reading never allocates by a length from the wire: what it returns lies in the input.
//!
//! ```
//! use stackwire_bcs::{Reader, put_bytes, put_count};
//!
//! let mut out = Vec::new();
//! put_count(&mut out, 300);
//! put_bytes(&mut out, b"abc");
//! assert_eq!(out, [0xac, 2, 3, b'a', b'b', b'c']);
//!
//! let mut reader = Reader::new(&out);
//! assert_eq!(reader.count(1000).unwrap(), 300);
//! assert_eq!(reader.string(10).unwrap(), "abc");
//! reader.finish().unwrap();
//! ```

use stackwire_core::{Error, Result, Violation};

/// The most that a length or a count may be, by the specification.
const MAX_LENGTH: u32 = (1 << 31) - 1;

/// Reads values off the front of bytes. Every error is `PeerMisbehaved`.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count or a variant, at most `max`.
    pub fn count(&mut self, max: u32) -> Result<u32> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let byte = self.u8()?;
            let bits = u32::from(byte & 0x7f);
            // The fifth byte has room for four bits.
            if shift == 28 && bits > 0xf {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Error::misbehaved("an integer that is longer than it needs to be"));
                }
                if value > max.min(MAX_LENGTH) {
                    return Err(Error::violated(Violation::TooLarge, format!("a count of {value}, over {max}")));
                }
                return Ok(value);
            }
        }
        Err(Error::violated(Violation::TooLarge, "a count of more than 32 bits"))
    }

    /// A byte string of at most `max` bytes.
    pub fn bytes(&mut self, max: u32) -> Result<&'a [u8]> {
        let length = self.count(max)? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A text of at most `max` bytes.
    pub fn string(&mut self, max: u32) -> Result<&'a str> {
        let bytes = self.bytes(max)?;
        std::str::from_utf8(bytes).map_err(|e| Error::misbehaved("a text that is not UTF-8").caused_by(e))
    }

    /// Fails where something is left.
    pub fn finish(self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Error::misbehaved(format!("{left} bytes behind the end of a value"))),
        }
    }
}

fn too_short() -> Error {
    Error::misbehaved("a value that ends too early")
}

/// Appends a count or a variant.
pub fn put_count(out: &mut Vec<u8>, count: usize) {
    let mut rest = count;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a byte string, or a text.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(bytes: &[u8]) -> Result<u32> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(u32::MAX)?;
        reader.finish()?;
        Ok(count)
    }

    #[test]
    fn counts_have_one_form() {
        for (bytes, value) in
            [(&[0][..], 0), (&[0x7f], 127), (&[0x80, 1], 128), (&[0xff, 0xff, 0xff, 0xff, 7], MAX_LENGTH)]
        {
            assert_eq!(count(bytes).unwrap(), value);
            let mut out = Vec::new();
            put_count(&mut out, value as usize);
            assert_eq!(out, bytes);
        }
        for wrong in
            [&[][..], &[0x80], &[0x80, 0], &[0xff, 0xff, 0xff, 0xff, 8], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80; 6]]
        {
            assert!(count(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn integers_are_little_endian() {
        let mut reader = Reader::new(&[1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!((reader.u8().unwrap(), reader.u16().unwrap(), reader.u32().unwrap()), (1, 2, 3));
        assert_eq!(reader.clone().u64().unwrap(), (0x80 << 56) + 4);
        assert_eq!(reader.array().unwrap(), [4, 0, 0, 0, 0, 0, 0, 0x80]);
        assert!(reader.u8().is_err());
    }

    #[test]
    fn a_length_costs_nothing_and_has_a_bound() {
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0x7f, 1]).bytes(u32::MAX).is_err());
        assert!(Reader::new(&[3, 1, 2, 3]).bytes(2).is_err());
        assert!(Reader::new(&[2, 0xc3, 0x28]).string(9).is_err());
        assert!(Reader::new(&[1]).finish().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text: String, bytes: Vec<u8>, number in 0..=MAX_LENGTH) {
            let mut out = Vec::new();
            put_bytes(&mut out, text.as_bytes());
            put_count(&mut out, number as usize);
            put_bytes(&mut out, &bytes);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.string(u32::MAX).unwrap(), text);
            prop_assert_eq!(reader.count(u32::MAX).unwrap(), number);
            prop_assert_eq!(reader.bytes(u32::MAX).unwrap(), bytes);
            reader.finish().unwrap();
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            let _answer = (reader.count(u32::MAX).ok(), reader.u16().ok(), reader.string(1000).ok(), reader.u64().ok());
        }
    }
}
