//! Records: what the channel's bytes travel in (SPEC.md, section 1.6).
//!
//! A record is a length of two bytes, and that many bytes of ciphertext: of the content, one byte that says what the
//! content is, and the tag.

use stackwire_core::{Error, Kind, Result};

use crate::{
    aead::{AeadKey, TAG},
    schedule::Secret,
    suite::Suite,
};

/// Bytes of the length before every record.
pub(crate) const HEADER: usize = 2;
/// The longest ciphertext of a record.
pub(crate) const MAX_RECORD: usize = u16::MAX as usize;
/// Bytes of a record beside its content.
pub(crate) const OVERHEAD: usize = HEADER + 1 + TAG;
/// The most content of one record.
pub(crate) const MAX_CONTENT: usize = HEADER + MAX_RECORD - OVERHEAD;
/// A sender takes its next key after so many records at the latest …
const REKEY_RECORDS: u64 = 1 << 20;
/// … and a receiver takes no more than this under one key.
const MAX_RECORDS: u64 = 1 << 24;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Data, at least one byte.
    Data = 0,
    /// Data, at least one byte; the sender's next record is under its next key.
    LastUnderKey = 1,
    /// Nothing: the sender's data ends here.
    End = 2,
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

    /// Makes a record of data where it lies: from `start` on `buffer` has room for a header, then the content.
    pub fn seal_data(&mut self, buffer: &mut Vec<u8>, start: usize) {
        self.bytes += (buffer.len() - start - HEADER) as u64;
        let last = self.bytes >= self.rekey_bytes || self.direction.records + 1 >= REKEY_RECORDS;
        self.seal(buffer, start, if last { Content::LastUnderKey } else { Content::Data } as u8);
        if last {
            self.direction.advance();
            self.bytes = 0;
        }
    }

    /// Adds the record that ends the data.
    pub fn seal_end(&mut self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER]);
        self.seal(buffer, start, Content::End as u8);
    }

    /// Makes a record of any content, also of a kind there is not, under the key there is.
    #[doc(hidden)]
    pub fn seal(&mut self, buffer: &mut Vec<u8>, start: usize, kind: u8) {
        buffer.push(kind);
        let (header, text) = buffer[start..].split_at_mut(HEADER);
        let length = u16::try_from(text.len() + TAG).expect("a writer ends a record before it is too long");
        header.copy_from_slice(&length.to_be_bytes());
        let tag = self.direction.key.seal(self.direction.records, header, text);
        self.direction.records += 1;
        buffer.extend_from_slice(&tag);
    }

    /// Takes the next key.
    #[doc(hidden)]
    pub fn advance(&mut self) {
        self.direction.advance();
    }
}

/// Opens one direction's records, in their order.
pub struct Opener(Direction);

impl Opener {
    /// Before the first record.
    pub fn new(suite: Suite, secret: Secret) -> Self {
        Self(Direction::new(suite, secret))
    }

    /// Decrypts the next record where it lies: what it is, and the length of its content, which begins where the record
    /// does. Fails with `AuthenticationFailed` where it was altered, with `PeerMisbehaved` where it is none, or one
    /// under a key that should have been changed.
    pub fn open(&mut self, header: [u8; HEADER], record: &mut [u8]) -> Result<(Content, usize)> {
        if self.0.records >= MAX_RECORDS {
            return Err(Error::misbehaved(format!("more than {MAX_RECORDS} records under one key")));
        }
        let altered = || Error::new(Kind::AuthenticationFailed, "opening a record that was altered on the way");
        let length = self.0.key.open(self.0.records, &header, record).ok_or_else(altered)?;
        self.0.records += 1;
        let Some((kind, content)) = record[..length].split_last() else {
            return Err(Error::misbehaved("a record that does not say what it holds"));
        };
        let content_length = content.len();
        match kind {
            0 if content_length > 0 => Ok((Content::Data, content_length)),
            1 if content_length > 0 => {
                self.0.advance();
                Ok((Content::LastUnderKey, content_length))
            }
            2 if content_length == 0 => Ok((Content::End, 0)),
            0 | 1 => Err(Error::misbehaved("a record of data without any")),
            2 => Err(Error::misbehaved("an end with data")),
            other => Err(Error::misbehaved(format!("a record of the unknown kind {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{schedule::Schedule, tests::secret};

    /// A record of `content`, split as an opener wants it.
    fn sealed(sealer: &mut Sealer, content: &[u8], kind: Option<u8>) -> ([u8; HEADER], Vec<u8>) {
        let mut buffer = [&[0; HEADER], content].concat();
        match kind {
            None => sealer.seal_data(&mut buffer, 0),
            Some(kind) => sealer.seal(&mut buffer, 0, kind),
        }
        ([buffer[0], buffer[1]], buffer.split_off(HEADER))
    }

    fn pair(rekey_bytes: u64) -> (Sealer, Opener) {
        let suite = Suite::Aes256Gcm;
        (Sealer::new(suite, secret(5), rekey_bytes), Opener::new(suite, secret(5)))
    }

    #[test]
    fn the_key_changes_after_its_bytes_and_both_sides_follow() {
        let (mut sealer, mut opener) = pair(10);
        let kinds = [4, 4, 4, 4, 20, 9, 1].map(|length| {
            let (header, mut record) = sealed(&mut sealer, &vec![7; length], None);
            let (kind, n) = opener.open(header, &mut record).unwrap();
            assert_eq!(record[..n], vec![7; length]);
            kind
        });
        use Content::{Data, LastUnderKey};
        assert_eq!(kinds, [Data, Data, LastUnderKey, Data, LastUnderKey, Data, LastUnderKey]);
    }

    #[test]
    fn keys_never_repeat_and_an_old_one_opens_nothing_new() {
        let (mut sealer, mut opener) = pair(1);
        let first = sealed(&mut sealer, b"same", None);
        let second = sealed(&mut sealer, b"same", None);
        assert_ne!(first, second);
        let (header, mut record) = second.clone();
        assert!(pair(1).1.open(header, &mut record).is_err(), "the second is not under the first's key");
        for (header, mut record) in [first, second] {
            assert_eq!(opener.open(header, &mut record).unwrap(), (Content::LastUnderKey, 4));
        }
    }

    #[test]
    fn records_swapped_repeated_or_left_out_are_noticed() {
        let (mut sealer, _) = pair(100);
        let records = [b"a", b"b", b"c"].map(|content| sealed(&mut sealer, content, None));
        for order in [[0, 0], [1, 0], [0, 2]] {
            let (_, mut opener) = pair(100);
            let opened = order.map(|i: usize| {
                let (header, mut record) = records[i].clone();
                opener.open(header, &mut record).is_ok()
            });
            assert_ne!(opened, [true, true], "{order:?}");
        }
    }

    #[test]
    fn what_is_sealed_but_no_record_is_the_peers_fault() {
        for (content, kind) in [(&b""[..], 0), (b"", 1), (b"x", 2), (b"x", 3), (b"", 255)] {
            let (mut sealer, mut opener) = pair(100);
            let (header, mut record) = sealed(&mut sealer, content, Some(kind));
            let error = opener.open(header, &mut record).unwrap_err();
            assert_eq!(error.kind(), &Kind::PeerMisbehaved, "{content:?} of kind {kind}");
        }
        // A tag alone, over nothing.
        let (_, mut opener) = pair(100);
        let header = (TAG as u16).to_be_bytes();
        let mut record = secret(5).key(Suite::Aes256Gcm).seal(0, &header, &mut []);
        assert_eq!(opener.open(header, &mut record).unwrap_err().kind(), &Kind::PeerMisbehaved);
    }

    #[test]
    fn a_key_that_was_used_too_often_is_refused_and_ours_never_is() {
        let (mut sealer, mut opener) = pair(u64::MAX);
        sealer.direction.records = REKEY_RECORDS - 1;
        opener.0.records = REKEY_RECORDS - 1;
        let (header, mut record) = sealed(&mut sealer, b"x", None);
        assert_eq!(opener.open(header, &mut record).unwrap().0, Content::LastUnderKey);
        assert_eq!((sealer.direction.records, opener.0.records), (0, 0));

        (sealer.direction.records, opener.0.records) = (MAX_RECORDS, MAX_RECORDS);
        let (header, mut record) = sealed(&mut sealer, b"x", Some(0));
        assert_eq!(opener.open(header, &mut record).unwrap_err().kind(), &Kind::PeerMisbehaved);
    }

    #[test]
    fn both_ciphers_work_and_are_not_the_same() {
        let schedule = |suite| Schedule::new(suite, &[1], &[2], &[3; 32]);
        let role = stackwire_core::Role::Dialer;
        let records = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305].map(|suite| {
            let mut sealer = Sealer::new(suite, schedule(suite).traffic(role), 100);
            let (header, record) = sealed(&mut sealer, b"hello", None);
            let mut opener = Opener::new(suite, schedule(suite).traffic(role));
            assert_eq!(opener.open(header, &mut record.clone()).unwrap(), (Content::Data, 5));
            record
        });
        assert_ne!(records[0], records[1]);
    }
}
