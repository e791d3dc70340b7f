//! Records behind their length: two bytes, big-endian, and as much ciphertext, at whose end its tag lies.

use stackwire_core::{Error, Kind, Result};

/// Bytes of the length.
pub const LENGTH: usize = 2;

/// A record that is being sealed.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The length, written.
    pub header: &'a mut [u8],
    /// What is encrypted.
    pub text: &'a mut [u8],
    /// Where the tag of so many bytes belongs.
    pub tag: &'a mut [u8],
}

/// Writes the length of `record`, which ends with a tag of `tag` bytes. Fails with `Internal` where it is too long for
/// two bytes.
pub fn parts(record: &mut [u8], tag: usize) -> Result<Parts<'_>> {
    let (header, sealed) = record.split_at_mut(LENGTH);
    let length = u16::try_from(sealed.len());
    let length = length.map_err(|e| Error::new(Kind::Internal, "sealing a record that is too long").caused_by(e))?;
    header.copy_from_slice(&length.to_be_bytes());
    let (text, tag) = sealed.split_at_mut(sealed.len() - tag);
    Ok(Parts { header, text, tag })
}

/// How long the record is that begins with `header`, length included. Fails with `PeerMisbehaved` where it is shorter than
/// its tag of `tag` bytes.
pub fn record_length(header: &[u8], tag: usize) -> Result<usize> {
    let length = header.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length < tag {
        return Err(Error::misbehaved(format!("a record of {length} bytes, shorter than its tag")));
    }
    Ok(LENGTH + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_length_that_was_written() {
        let mut record = [7; LENGTH + 300 + 16];
        let Parts { header, text, tag } = parts(&mut record, 16).unwrap();
        assert_eq!((&*header, text.len(), tag.len()), (&[1, 60][..], 300, 16));
        assert_eq!(record_length(header, 16).unwrap(), record.len());
    }

    #[test]
    fn what_is_too_long_or_too_short_is_an_error() {
        assert_eq!(parts(&mut vec![0; LENGTH + 65536], 16).unwrap_err().kind(), &Kind::Internal);
        assert_eq!(
            record_length(&[0, 15], 16).unwrap_err().kind(),
            &Kind::PeerMisbehaved(stackwire_core::Violation::Malformed)
        );
        assert_eq!(record_length(&[0, 16], 16).unwrap(), 18);
    }
}
