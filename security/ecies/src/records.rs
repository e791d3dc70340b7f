//! Records: what the channel's bytes travel in (SPEC.md, section 1.6).
//!
//! A record is a length of two bytes, and that many bytes of ciphertext: of the content, one byte that says what the
//! content is, and the tag.

use std::ops::Range;

use stackwire_core::{Error, Kind, Result, Violation};
pub(crate) use stackwire_records::framing::LENGTH as HEADER;
use stackwire_records::{
    Codec, KeyChanges, Opened,
    framing::{Parts, parts, record_length},
};

use crate::{
    Ecies,
    aead::{AeadKey, TAG},
    schedule::Secret,
    suite::Suite,
};

/// Bytes behind the content: what it is, and the tag.
const TRAILER: usize = 1 + TAG;
/// The longest record.
const MAX_RECORD: usize = HEADER + u16::MAX as usize;
/// A sender takes its next key after so many records at the latest …
const REKEY_RECORDS: u64 = 1 << 20;
/// … and a receiver takes no more than this under one key.
const MAX_RECORDS: u64 = 1 << 24;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Data, at least one byte.
    Data = 0,
    /// Data, at least one byte; the sender's next record is under its next key.
    LastUnderKey = 1,
    /// Nothing: the sender's data ends here.
    End = 2,
}

/// Records of both directions.
pub(crate) struct Records {
    opener: Opener,
    sealer: Sealer,
    /// The peer's.
    changes: KeyChanges,
}

impl Records {
    /// Before the first record: what the peer sends begins under `receiving`, what we send under `sending`, whose key
    /// changes once it has carried `rekey_bytes` of content.
    pub fn new(suite: Suite, receiving: Secret, sending: Secret, rekey_bytes: u64) -> Self {
        let (opener, sealer) = (Opener(Direction::new(suite, receiving)), Sealer::new(suite, sending, rekey_bytes));
        Self { opener, sealer, changes: KeyChanges::default() }
    }
}

impl Codec for Records {
    const HEADER: usize = HEADER;
    const TRAILER: usize = TRAILER;
    const MAX_CONTENT: usize = MAX_RECORD - HEADER - TRAILER;
    const MAX_RECORD: usize = MAX_RECORD;

    fn name(&self) -> &'static str {
        Ecies::NAME
    }

    fn seal(&mut self, record: &mut [u8]) -> Result<()> {
        self.sealer.seal_in_place(record)
    }

    fn seal_end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + HEADER + TRAILER, 0);
        self.sealer.finish(&mut out[start..], Content::End as u8)
    }

    fn length(&self, header: &[u8]) -> Result<usize> {
        record_length(header, TAG)
    }

    fn open(&mut self, record: &mut [u8]) -> Result<Opened> {
        let (content, length) = self.opener.open(record)?;
        self.changes.carried(length);
        if content == Content::LastUnderKey {
            self.changes.spend()?;
        }
        Ok(match content {
            Content::Data | Content::LastUnderKey => Opened::Content(Range { start: HEADER, end: HEADER + length }),
            Content::End => Opened::End,
        })
    }

    /// Only a sealed end is one.
    fn end_of_pipe(&self) -> Result<()> {
        Err(Error::closed("the peer closed the pipe without a sealed end; bytes may be missing"))
    }
}

/// One direction's secret, the key that follows from it, and how often the key was used.
struct Direction {
    suite: Suite,
    secret: Secret,
    key: AeadKey,
    records: u64,
}

impl Direction {
    fn new(suite: Suite, secret: Secret) -> Self {
        let key = secret.key(suite);
        Self { suite, secret, key, records: 0 }
    }

    /// Takes the next key. The one before is wiped.
    fn advance(&mut self) {
        *self = Self::new(self.suite, self.secret.next());
    }
}

/// Seals one direction's records, in their order.
pub struct Sealer {
    direction: Direction,
    rekey_bytes: u64,
    /// Content under this key so far.
    bytes: u64,
}

impl Sealer {
    /// Before the first record. The key changes once it has carried `rekey_bytes` of content.
    pub fn new(suite: Suite, secret: Secret, rekey_bytes: u64) -> Self {
        Self { direction: Direction::new(suite, secret), rekey_bytes, bytes: 0 }
    }

    /// Makes a record of data where it lies, between room for the header and room for the trailer.
    fn seal_in_place(&mut self, record: &mut [u8]) -> Result<()> {
        self.bytes += record.len().saturating_sub(HEADER + TRAILER) as u64;
        let last = self.bytes >= self.rekey_bytes || self.direction.records + 1 >= REKEY_RECORDS;
        self.finish(record, if last { Content::LastUnderKey } else { Content::Data } as u8)?;
        if last {
            self.direction.advance();
            self.bytes = 0;
        }
        Ok(())
    }

    /// Writes header and trailer of a record under the key there is, and encrypts it.
    fn finish(&mut self, record: &mut [u8], kind: u8) -> Result<()> {
        let Parts { header, text, tag } = parts(record, TAG)?;
        let end = text.len() - 1;
        text[end] = kind;
        tag.copy_from_slice(&self.direction.key.seal(self.direction.records, header, text));
        self.direction.records += 1;
        Ok(())
    }
}

/// Peers that tests and fuzzers speak to a channel as. Content is at most as long as a record's.
impl Sealer {
    /// Makes a record of data at the end of `buffer`: from `start` on it has room for a header, then the content.
    pub fn seal_data(&mut self, buffer: &mut Vec<u8>, start: usize) {
        buffer.resize(buffer.len() + TRAILER, 0);
        self.seal_in_place(&mut buffer[start..]).expect("the caller's content fits into a record");
    }

    /// Adds the record that ends the data.
    pub fn seal_end(&mut self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&[0; HEADER]);
        self.seal(buffer, buffer.len() - HEADER, Content::End as u8);
    }

    /// Makes a record like [`Sealer::seal_data`], but of any kind, also one that there is not, and under the key there
    /// is.
    pub fn seal(&mut self, buffer: &mut Vec<u8>, start: usize, kind: u8) {
        buffer.resize(buffer.len() + TRAILER, 0);
        self.finish(&mut buffer[start..], kind).expect("the caller's content fits into a record");
    }
}

/// Opens one direction's records, in their order.
struct Opener(Direction);

impl Opener {
    /// Decrypts the next record where it lies: what it is, and the length of its content. Fails with
    /// `AuthenticationFailed` where it was altered, with `PeerMisbehaved` where it is none, or one under a key that
    /// should have been changed.
    fn open(&mut self, record: &mut [u8]) -> Result<(Content, usize)> {
        if self.0.records >= MAX_RECORDS {
            return Err(Error::violated(Violation::Flood, format!("more than {MAX_RECORDS} records under one key")));
        }
        let altered = || Error::new(Kind::AuthenticationFailed, "opening a record that was altered on the way");
        let (header, sealed) = record.split_at_mut(HEADER);
        let length = self.0.key.open(self.0.records, header, sealed).ok_or_else(altered)?;
        self.0.records += 1;
        let Some((kind, content)) = sealed[..length].split_last() else {
            return Err(Error::misbehaved("a record that does not say what it holds"));
        };
        match (kind, content.len()) {
            (0 | 1, 0) => Err(Error::misbehaved("a record of data without any")),
            (0, length) => Ok((Content::Data, length)),
            (1, length) => {
                self.0.advance();
                Ok((Content::LastUnderKey, length))
            }
            (2, 0) => Ok((Content::End, 0)),
            (2, _) => Err(Error::misbehaved("an end with data")),
            (other, _) => Err(Error::misbehaved(format!("a record of the unknown kind {other}"))),
        }
    }
}

#[cfg(test)]
mod tests;
