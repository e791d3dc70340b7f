//! What keeps aws-lc's generator of random numbers from being seeded in the middle of a handshake.
//!
//! aws-lc seeds it at its first use in a process, and measures the jitter of the CPU for that: 40 ms of work, more on a busy
//! machine. A program that makes a few connections need not pay it at all, and no handshake should. So randoms and ephemeral
//! keys come from the operating system, as everywhere else in this stack; and signatures, for which aws-lc wants its own
//! randomness, are made by other code (RFC 6979, which needs none) until there were many. Then a thread seeds the generator,
//! and aws-lc signs, in a tenth of the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use aws_lc_rs::{
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree},
    rand::{SecureRandom as _, SystemRandom as AwsLcRandom},
};
use rand::{TryRng, rngs::SysRng};
use rustls::{
    Error as TlsError, NamedGroup, PeerMisbehaved, SignatureAlgorithm, SignatureScheme,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, SharedSecret, SupportedKxGroup,
    },
    ffdhe_groups::FfdheGroup,
    pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer},
    sign::{Signer, SigningKey},
};
use zeroize::Zeroizing;

use crate::key::Key;

/// The same cryptography, but for what needs randomness.
pub fn unseeded(mut provider: CryptoProvider) -> CryptoProvider {
    for group in &mut provider.kx_groups {
        if group.name() == NamedGroup::X25519 {
            *group = &SystemX25519;
        }
    }
    // The first is what a dialer makes a key for.
    provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::X25519);
    provider.secure_random = &SystemRandom;
    provider.key_provider = &Keys;
    provider
}

/// Fills `bytes` from the operating system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    SysRng.try_fill_bytes(bytes).map_err(|_| GetRandomFailed)
}

#[derive(Debug)]
struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        fill(bytes)
    }
}

/// X25519 by aws-lc, with private keys from the operating system.
#[derive(Debug)]
struct SystemX25519;

impl SupportedKxGroup for SystemX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, TlsError> {
        let mut private = Zeroizing::new([0; 32]);
        fill(&mut *private)?;
        let failed = |_| TlsError::General("making an X25519 key".into());
        let private = PrivateKey::from_private_key(&X25519, &*private).map_err(|e| TlsError::General(e.to_string()))?;
        let public = private.compute_public_key().map_err(failed)?.as_ref().to_vec();
        Ok(Box::new(Exchange { private, public }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Exchange {
    private: PrivateKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, TlsError> {
        // Also where what is agreed on would be zero.
        let refused = TlsError::from(PeerMisbehaved::InvalidKeyShare);
        agree(&self.private, UnparsedPublicKey::new(&X25519, theirs), refused, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Loads P-256 keys so that the first signatures need no randomness, and all others as aws-lc does.
#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, TlsError> {
        let fast = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)?;
        match Key::read(&der) {
            Some(key) => Ok(Arc::new(Patient { key, fast })),
            None => {
                // It signs with aws-lc's randomness, or needs none; who has such a key is a server.
                if fast.algorithm() != SignatureAlgorithm::ED25519 {
                    seed();
                }
                Ok(fast)
            }
        }
    }
}

/// A P-256 key that waits with aws-lc until that is seeded.
#[derive(Debug)]
struct Patient {
    key: Key,
    fast: Arc<dyn SigningKey>,
}

impl SigningKey for Patient {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        if is_seeded() {
            return self.fast.choose_scheme(offered);
        }
        let signer = || Box::new(Slow(self.key.clone())) as _;
        offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256).then(signer)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.fast.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

#[derive(Debug)]
struct Slow(Key);

impl Signer for Slow {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TlsError> {
        Ok(self.0.sign(message))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// So many signatures without aws-lc take half as long as seeding it.
pub(crate) const SIGNATURES: u32 = 128;

static SIGNED: AtomicU32 = AtomicU32::new(0);
static SEEDED: AtomicBool = AtomicBool::new(false);

/// Whether aws-lc may be asked for what needs randomness. After so many questions that becomes so.
fn is_seeded() -> bool {
    if SEEDED.load(Ordering::Relaxed) {
        return true;
    }
    if SIGNED.fetch_add(1, Ordering::Relaxed) == SIGNATURES {
        seed();
    }
    false
}

/// Seeds aws-lc beside whatever goes on. A thread, and no task of `Env`: it would hold up a runtime, and it belongs to the
/// process, like what it seeds. Where there is no thread to be had nothing is lost but speed.
fn seed() {
    let work = || SEEDED.store(AwsLcRandom::new().fill(&mut [0]).is_ok(), Ordering::Relaxed);
    let _thread_or_none = thread::Builder::new().name("seeding aws-lc".into()).spawn(work);
}
