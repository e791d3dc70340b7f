//! The keys of one direction: RFC 8446 sections 5.2 and 5.3.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::ConnectionTrafficSecrets;
use stackwire_core::{Error, Kind, Result};

/// Bytes of a record's authentication tag, in every suite.
pub(crate) const TAG: usize = 16;
/// After this many records with one AES-GCM key, a new one is due: section 5.5 allows 2^24.5 of the longest.
const AES_GCM_RECORDS: u64 = 1 << 24;
/// Whoever does not ask for a new key in time may seal this many more, which stays below 2^24.5.
const GRACE: u64 = 1 << 20;

/// What rustls hands out for a direction: the number of the next record, and the secrets.
pub(crate) type Secrets = (u64, ConnectionTrafficSecrets);

/// Seals or opens the records of one direction, in their order.
pub(crate) struct Keys {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    /// The number of the next record, which is how many were sealed or opened with this key.
    pub(crate) sequence: u64,
    /// With how many records sealed a new key is due.
    pub(crate) due: u64,
}

impl Keys {
    /// Fails with `Internal` where rustls knows a suite that we don't.
    pub(crate) fn new((sequence, secrets): Secrets) -> Result<Self> {
        let (algorithm, key, iv, due) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, AES_GCM_RECORDS),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, AES_GCM_RECORDS),
            // Its limit is the counter's.
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv, u64::MAX - GRACE),
            _ => return Err(Error::new(Kind::Internal, "an unknown cipher suite")),
        };
        let keys = Self::with(algorithm, key.as_ref(), iv.as_ref(), sequence, due);
        keys.ok_or_else(|| Error::new(Kind::Internal, "secrets of the wrong length"))
    }

    /// `None` where the key or the IV has not the length that it has to have.
    pub(crate) fn with(algorithm: &'static Algorithm, key: &[u8], iv: &[u8], sequence: u64, due: u64) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self { key, iv: iv.try_into().ok()?, sequence, due })
    }

    /// Encrypts `inner` where it lies, in a record with this header. `None`: the key is used up.
    pub(crate) fn seal(&mut self, header: &[u8], inner: &mut [u8]) -> Option<[u8; TAG]> {
        let nonce = self.next_sealing_nonce()?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), inner);
        // A record is far below the cipher's limit.
        tag.ok()?.as_ref().try_into().ok()
    }

    /// Encrypts `content` and its type into `sealed`, which is as long as both and the tag, in a record with this
    /// header. `None`: the key is used up.
    pub(crate) fn seal_copy(&mut self, header: &[u8], content: &[u8], kind: u8, sealed: &mut [u8]) -> Option<()> {
        let nonce = self.next_sealing_nonce()?;
        let (text, kind_and_tag) = sealed.split_at_mut(content.len());
        let aad = Aad::from(header);
        self.key.seal_out_of_place_scatter(nonce, aad, content, text, &[kind], kind_and_tag).ok()
    }

    /// Decrypts `sealed`, which ends with the tag, where it lies, and returns the length of what it was. `None`: it was
    /// altered.
    pub(crate) fn open(&mut self, header: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let nonce = self.next_nonce()?;
        self.key.open_in_place(nonce, Aad::from(header), sealed).ok().map(|inner| inner.len())
    }

    /// The same into the first bytes of `inner`.
    pub(crate) fn open_copy(&mut self, header: &[u8], sealed: &[u8], inner: &mut [u8]) -> Option<usize> {
        let nonce = self.next_nonce()?;
        let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG)?)?;
        let inner = inner.get_mut(..text.len())?;
        self.key.open_separate_gather(nonce, Aad::from(header), text, tag, inner).ok()?;
        Some(inner.len())
    }

    /// Whether the next record should be sealed with a new key.
    pub(crate) fn is_worn(&self) -> bool {
        self.sequence >= self.due
    }

    /// `None` once the key is used up.
    fn next_sealing_nonce(&mut self) -> Option<Nonce> {
        if self.sequence >= self.due + GRACE {
            return None;
        }
        self.next_nonce()
    }

    fn next_nonce(&mut self) -> Option<Nonce> {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        self.sequence = self.sequence.checked_add(1)?;
        Some(Nonce::assume_unique_for_key(nonce))
    }
}
