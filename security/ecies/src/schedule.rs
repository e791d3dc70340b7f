//! Transcript and keys (SPEC.md, sections 1.3 to 1.5).

use aws_lc_rs::{
    aead::NONCE_LEN,
    digest,
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use stackwire_core::{Error, Kind, Result, Role};
use zeroize::Zeroizing;

use crate::{
    Ecies,
    aead::{AeadKey, KEY, TAG},
    ephemeral::SHARED,
    suite::Suite,
};

/// Before every label of a derivation and every signed text, so that none means anything elsewhere.
const PREFIX: &[u8] = b"stackwire ecies 1 ";

/// A 32-byte secret that the keys of one direction follow from. Wiped when dropped.
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The key that follows, for records and for introductions.
    pub(crate) fn key(&self, suite: Suite) -> AeadKey {
        let prk = Prk::new_less_safe(HKDF_SHA256, &*self.0);
        let key: Zeroizing<[u8; KEY]> = expand(&prk, "key", &[]);
        let iv: Zeroizing<[u8; NONCE_LEN]> = expand(&prk, "iv", &[]);
        AeadKey::new(suite, &key, *iv)
    }

    /// The secret of the next key. There is no way back.
    pub(crate) fn next(&self) -> Self {
        Self(expand(&Prk::new_less_safe(HKDF_SHA256, &*self.0), "next", &[]))
    }

    /// A secret of these bytes.
    #[cfg(test)]
    pub(crate) fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// HKDF-Expand, with the info of SPEC.md, section 1.3.
pub(crate) fn expand<const N: usize>(prk: &Prk, label: &str, context: &[u8]) -> Zeroizing<[u8; N]> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = Zeroizing::new([0; N]);
    prk.expand(&[PREFIX, label.as_bytes(), &[0], context], Length(N))
        .and_then(|okm| okm.fill(&mut *out))
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    out
}

/// SHA-256 of the parts, one behind the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("a SHA-256 hash has 32 bytes")
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Dialer => "dialer",
        Role::Listener => "listener",
    }
}

/// Where a handshake is: the hash of all that was said, and the secret that all keys come from.
pub struct Schedule {
    suite: Suite,
    prk: Prk,
    transcript: [u8; 32],
}

impl Schedule {
    /// After both hellos, with what the ephemeral keys agreed on.
    pub fn new(suite: Suite, dialers: &[u8], listeners: &[u8], shared: &[u8; SHARED]) -> Self {
        let transcript = sha256(&[Ecies::ID.as_bytes(), dialers, listeners]);
        Self { suite, prk: Salt::new(HKDF_SHA256, &transcript).extract(shared), transcript }
    }

    /// What the identity of `sender` signs now, to prove that `claims` are its.
    pub fn signed_text(&self, sender: Role, claims: &[u8]) -> Vec<u8> {
        [PREFIX, name(sender).as_bytes(), b" proof\0", &self.transcript, claims].concat()
    }

    /// Encrypts the introduction of `sender`, and adds it to the transcript.
    pub fn seal(&mut self, sender: Role, introduction: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(introduction.len() + TAG);
        text.extend_from_slice(introduction);
        let tag = self.secret("handshake ", sender).key(self.suite).seal(0, &self.transcript, &mut text);
        text.extend_from_slice(&tag);
        self.transcript = sha256(&[&self.transcript, introduction]);
        text
    }

    /// Decrypts the introduction of `sender`, has `read` judge it against the transcript as it was when `sender` signed,
    /// and adds it. Fails with `AuthenticationFailed` where it was altered.
    pub fn open<T>(
        &mut self,
        sender: Role,
        mut sealed: Vec<u8>,
        read: impl FnOnce(&Self, &[u8]) -> Result<T>,
    ) -> Result<T> {
        let key = self.secret("handshake ", sender).key(self.suite);
        let Some(length) = key.open(0, &self.transcript, &mut sealed) else {
            return Err(Error::new(Kind::AuthenticationFailed, "opening the peer's introduction"));
        };
        let plain = &sealed[..length];
        let introduced = read(self, plain)?;
        self.transcript = sha256(&[&self.transcript, plain]);
        Ok(introduced)
    }

    /// The secret that the records of `sender` begin with. Asked for after both introductions.
    pub fn traffic(&self, sender: Role) -> Secret {
        self.secret("traffic ", sender)
    }

    /// The cipher.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    fn secret(&self, what: &str, sender: Role) -> Secret {
        Secret(expand(&self.prk, &[what, name(sender)].concat(), &self.transcript))
    }

    #[cfg(test)]
    pub(crate) fn transcript(&self) -> &[u8; 32] {
        &self.transcript
    }
}
