//! The primitives, by aws-lc: what `snow` asks for during a handshake, and the keys of the frames after it.

use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree},
    digest,
};
use snow::{
    Error as SnowError,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use stackwire_core::Env;
use zeroize::Zeroizing;

/// Bytes of a frame's authentication tag.
pub(crate) const TAG: usize = 16;
/// Bytes of an X25519 key, private or public.
pub(crate) const KEY: usize = 32;

/// The cipher of a suite; keys are agreed on by X25519 and hashed by SHA-256 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// ChaCha20-Poly1305: libp2p.
    ChaChaPoly,
    /// AES-256-GCM: Libra, Diem and Aptos.
    AesGcm,
}

/// Hands `snow` the primitives of these suites.
pub(crate) struct Primitives {
    pub env: Env,
    /// Our static key, which need not be worked out again.
    pub known: KeyPair,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(EnvRandom(self.env.clone())))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        let agreement = || Agreement { known: self.known.clone(), current: KeyPair::default() };
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(agreement()) as _)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha256::default()) as _)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        let suite = match choice {
            CipherChoice::ChaChaPoly => Suite::ChaChaPoly,
            CipherChoice::AESGCM => Suite::AesGcm,
            #[allow(unreachable_patterns, reason = "other features of snow have more ciphers")]
            _ => return None,
        };
        Some(Box::new(MessageCipher(FrameKey::new(suite, &[0; KEY]))))
    }
}

struct EnvRandom(Env);

impl Random for EnvRandom {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), SnowError> {
        self.0.fill_random(bytes);
        Ok(())
    }
}

/// An X25519 key.
#[derive(Clone, Default)]
pub(crate) struct KeyPair {
    private: Zeroizing<[u8; KEY]>,
    public: [u8; KEY],
    key: Option<Arc<PrivateKey>>,
}

impl KeyPair {
    /// Works out the public half.
    pub fn of(private: &[u8; KEY]) -> Self {
        let key = PrivateKey::from_private_key(&X25519, private).ok();
        let public = key.as_ref().and_then(|key| key.compute_public_key().ok());
        Self {
            private: Zeroizing::new(*private),
            public: public.and_then(|public| public.as_ref().try_into().ok()).unwrap_or_default(),
            key: key.map(Arc::new),
        }
    }

    pub fn private(&self) -> &[u8; KEY] {
        &self.private
    }

    pub fn public(&self) -> &[u8; KEY] {
        &self.public
    }
}

/// X25519 agreements with a key that `snow` sets.
struct Agreement {
    known: KeyPair,
    current: KeyPair,
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        KEY
    }
    fn priv_len(&self) -> usize {
        KEY
    }
    fn set(&mut self, private: &[u8]) {
        let mut bytes = Zeroizing::new([0; KEY]);
        bytes.copy_from_slice(private);
        self.current = if *bytes == *self.known.private { self.known.clone() } else { KeyPair::of(&bytes) };
    }
    fn generate(&mut self, random: &mut dyn Random) -> Result<(), SnowError> {
        let mut private = Zeroizing::new([0; KEY]);
        random.try_fill_bytes(&mut *private)?;
        self.set(&*private);
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.current.public
    }
    fn privkey(&self) -> &[u8] {
        &*self.current.private
    }
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), SnowError> {
        // `snow` keeps public keys of other curves in the same place: ours is the first part.
        let public = UnparsedPublicKey::new(&X25519, public.get(..KEY).ok_or(SnowError::Dh)?);
        let key = self.current.key.as_ref().ok_or(SnowError::Dh)?;
        agree(key, public, SnowError::Dh, |secret| {
            out.get_mut(..KEY).ok_or(SnowError::Dh)?.copy_from_slice(secret);
            Ok(())
        })
    }
}

/// The public half of an X25519 key.
pub(crate) fn public_of(private: &[u8; KEY]) -> [u8; KEY] {
    KeyPair::of(private).public
}

struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }
    fn block_len(&self) -> usize {
        64
    }
    fn hash_len(&self) -> usize {
        32
    }
    fn reset(&mut self) {
        *self = Self::default();
    }
    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(self.0.clone().finish().as_ref());
    }
}

/// The cipher of handshake messages.
struct MessageCipher(FrameKey);

impl Cipher for MessageCipher {
    fn name(&self) -> &'static str {
        match self.0.suite {
            Suite::ChaChaPoly => "ChaChaPoly",
            Suite::AesGcm => "AESGCM",
        }
    }
    fn set(&mut self, key: &[u8; KEY]) {
        self.0 = FrameKey::new(self.0.suite, key);
    }
    fn encrypt(&self, nonce: u64, associated: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (text, tag) = out[..plaintext.len() + TAG].split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        tag.copy_from_slice(&self.0.seal(nonce, associated, text));
        plaintext.len() + TAG
    }
    fn decrypt(&self, nonce: u64, associated: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, SnowError> {
        let mut text = ciphertext.to_vec();
        let length = self.0.open(nonce, associated, &mut text).ok_or(SnowError::Decrypt)?;
        out.get_mut(..length).ok_or(SnowError::Input)?.copy_from_slice(&text[..length]);
        Ok(length)
    }
}

/// A key with the Noise form of nonces: four zero bytes and a counter, whose byte order is the cipher's.
struct FrameKey {
    key: LessSafeKey,
    suite: Suite,
}

impl FrameKey {
    fn new(suite: Suite, key: &[u8; KEY]) -> Self {
        let algorithm = match suite {
            Suite::ChaChaPoly => &CHACHA20_POLY1305,
            Suite::AesGcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).expect("the key has the length that either cipher asks for");
        Self { key: LessSafeKey::new(key), suite }
    }

    fn nonce(&self, counter: u64) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&match self.suite {
            Suite::ChaChaPoly => counter.to_le_bytes(),
            Suite::AesGcm => counter.to_be_bytes(),
        });
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts `text` where it lies and returns its tag.
    fn seal(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(counter), Aad::from(associated), text)
            .expect("a message of at most 64 KiB is far below the cipher's limit");
        tag.as_ref().try_into().expect("a tag of either cipher is 16 bytes")
    }

    /// Encrypts `plain` into `text`, which is as long, and `tag`.
    fn seal_copy(&self, counter: u64, plain: &[u8], text: &mut [u8], tag: &mut [u8]) {
        self.key
            .seal_out_of_place_scatter(self.nonce(counter), Aad::empty(), plain, text, &[], tag)
            .expect("a message of at most 64 KiB is far below the cipher's limit, and its ciphertext as long");
    }

    /// Decrypts `text`, which ends with its tag, where it lies, and returns the length of the plaintext.
    fn open(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> Option<usize> {
        self.key.open_in_place(self.nonce(counter), Aad::from(associated), text).ok().map(|plain| plain.len())
    }

    /// Decrypts `sealed`, which ends with its tag, into the first bytes of `plain`. Returns how many.
    fn open_copy(&self, counter: u64, sealed: &[u8], plain: &mut [u8]) -> Option<usize> {
        let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG)?)?;
        let plain = plain.get_mut(..text.len())?;
        self.key.open_separate_gather(self.nonce(counter), Aad::empty(), text, tag, plain).ok()?;
        Some(plain.len())
    }
}

/// Seals or opens the frames of one direction, in their order.
pub(crate) struct FrameCipher {
    key: FrameKey,
    counter: u64,
}

impl FrameCipher {
    /// A cipher before its first frame.
    pub fn new(suite: Suite, key: &[u8; KEY]) -> Self {
        Self { key: FrameKey::new(suite, key), counter: 0 }
    }

    /// Encrypts the next frame's plaintext where it lies and returns its tag. `None` once the counter is used up,
    /// which takes 2^64 - 1 frames.
    pub fn seal(&mut self, text: &mut [u8]) -> Option<[u8; TAG]> {
        let counter = self.counter;
        self.counter = counter.checked_add(1)?;
        Some(self.key.seal(counter, &[], text))
    }

    /// Encrypts the next frame's plaintext into `text`, which is as long, and `tag`. `None` as with [`Self::seal`].
    pub fn seal_copy(&mut self, plain: &[u8], text: &mut [u8], tag: &mut [u8]) -> Option<()> {
        let counter = self.counter;
        self.counter = counter.checked_add(1)?;
        self.key.seal_copy(counter, plain, text, tag);
        Some(())
    }

    /// Decrypts the next frame where it lies and returns the length of the plaintext; `None` where it was altered.
    pub fn open(&mut self, frame: &mut [u8]) -> Option<usize> {
        let counter = self.counter;
        self.counter = counter.checked_add(1)?;
        self.key.open(counter, &[], frame)
    }

    /// The same into the first bytes of `plain`.
    pub fn open_copy(&mut self, frame: &[u8], plain: &mut [u8]) -> Option<usize> {
        let counter = self.counter;
        self.counter = counter.checked_add(1)?;
        self.key.open_copy(counter, frame, plain)
    }
}
