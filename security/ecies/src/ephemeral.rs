//! secp256k1 keys that live for one handshake or one message.

use k256::{PublicKey, SecretKey, elliptic_curve::sec1::ToSec1Point};
use stackwire_core::Env;
use zeroize::Zeroizing;

/// Bytes of a public key: SEC1, compressed.
pub(crate) const POINT: usize = 33;
/// Bytes of an agreed secret.
pub(crate) const SHARED: usize = 32;

/// A key pair for one use. Wiped when dropped.
pub struct Ephemeral(SecretKey);

impl Ephemeral {
    /// Makes a key.
    pub fn generate(env: &Env) -> Self {
        // A random scalar is out of range once in 2^128 draws; draw again.
        loop {
            if let Some(key) = Self::of_scalar(&Zeroizing::new(env.random())) {
                return key;
            }
        }
    }

    /// The key of a scalar, in big-endian order; `None` where it is 0 or not below the order of the group.
    pub fn of_scalar(scalar: &[u8; 32]) -> Option<Self> {
        SecretKey::from_slice(scalar).ok().map(Self)
    }

    /// The public half.
    pub fn public(&self) -> [u8; POINT] {
        self.0.public_key().to_sec1_point(true).as_bytes().try_into().expect("a compressed point has 33 bytes")
    }

    /// What this key and another agree on: the x-coordinate of their common point (SEC 1, section 3.3.1). The group's
    /// order is prime and the point at infinity no key, so there is no weak one to look for. `None` where `public`
    /// is not a point of the curve in compressed form.
    pub fn agree(&self, public: &[u8; POINT]) -> Option<Zeroizing<[u8; SHARED]>> {
        let public = PublicKey::from_sec1_bytes(public).ok()?;
        Some(self.agree_with(&public))
    }

    /// What this key and one that was read already agree on.
    pub(crate) fn agree_with(&self, public: &PublicKey) -> Zeroizing<[u8; SHARED]> {
        agree(&self.0, public)
    }
}

/// What two keys agree on.
pub(crate) fn agree(secret: &SecretKey, public: &PublicKey) -> Zeroizing<[u8; SHARED]> {
    let mut shared = Zeroizing::new([0; SHARED]);
    shared.copy_from_slice(secret.diffie_hellman(public).raw_secret_bytes());
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree_and_no_third() {
        let env = stackwire_conformance::env();
        let [a, b, c] = [(); 3].map(|()| Ephemeral::generate(&env));
        assert_eq!(a.agree(&b.public()), b.agree(&a.public()));
        assert_ne!(a.agree(&b.public()), c.agree(&b.public()));
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let key = Ephemeral::of_scalar(&[1; 32]).unwrap();
        let mut off_curve = [0; POINT];
        off_curve[0] = 2;
        off_curve[POINT - 1] = 5;
        for public in [[0; POINT], [0xff; POINT], off_curve] {
            assert!(key.agree(&public).is_none(), "{public:?}");
        }
        assert!(Ephemeral::of_scalar(&[0; 32]).is_none() && Ephemeral::of_scalar(&[0xff; 32]).is_none());
    }
}
