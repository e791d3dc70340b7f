//! ECIES: a forward-secret channel over secp256k1, and messages that only their recipient reads.
//!
//! [`SPEC.md`](https://github.com/stackwire/stackwire/blob/main/security/ecies/SPEC.md) beside this crate writes the
//! construction down: messages, key schedule, records, limits, what it gives and what it does not, test vectors.
//!
//! # The channel: plug-in `ecies`, `/stackwire/ecies/1.0.0`
//!
//! Both sides bring a secp256k1 key that lives for one handshake, and sign the transcript with their identity keys, of
//! whichever type. Identities travel encrypted. The handshake takes three messages, so that each side waits once; it
//! agrees on the muxer, and on the cipher: AES-256-GCM where both CPUs have instructions for it, else
//! ChaCha20-Poly1305. It also carries both sides' offers of the negotiation before it: somebody in between who
//! strips the better ones is found out, and the handshake fails with `AuthenticationFailed`.
//!
//! ```
//! use stackwire_plugin::Plugin;
//! use stackwire_security_ecies::EciesConfig;
//!
//! let ecies = EciesConfig::default().build().unwrap().securities.remove(0);
//! assert_eq!(ecies.id().as_str(), "/stackwire/ecies/1.0.0");
//! ```
//!
//! # Sealed messages
//!
//! [`sealed::seal`] signs a message and encrypts it to its recipient's identity key, so that whoever relays it can
//! neither read nor alter nor readdress it; [`sealed::open`] takes it, once.
//!
//! The primitives are `k256`'s (the curve) and aws-lc's (everything else); randomness comes from the environment, so
//! that a simulation repeats.

mod aead;
mod config;
mod ephemeral;
mod handshake;
mod introduction;
mod records;
mod schedule;
pub mod sealed;
mod suite;
mod terms;
#[cfg(test)]
mod tests;

pub use config::{Cipher, EciesConfig};
pub use handshake::Ecies;

stackwire_plugin::register!(EciesConfig);

/// The parts of the protocol by themselves, for those who test it against peers that break it. No stable API.
#[doc(hidden)]
pub mod raw {
    use stackwire_core::BoxPipe;
    use stackwire_records::Channel;

    pub use crate::{
        ephemeral::Ephemeral,
        introduction::{encode_claims, encode_introduction},
        records::Sealer,
        schedule::{Schedule, Secret},
        suite::Suite,
        terms::Terms,
    };

    /// A channel without a handshake, before its first record.
    pub fn channel(below: BoxPipe, suite: Suite, receiving: Secret, sending: Secret) -> BoxPipe {
        Box::new(Channel::new(below, crate::records::Records::new(suite, receiving, sending, 1 << 30)))
    }
}
