//! The libp2p TLS certificate: made, shown, and verified. What TLS over a pipe and QUIC have in common.
//!
//! Each side of a handshake shows one self-signed certificate of a throw-away key. An extension of the certificate
//! carries the identity key and its signature over the throw-away key, so whoever proves the one in the TLS handshake
//! proves the other.
//!
//! * [`Certificates`] makes and keeps our own; [`making`] is how.
//! * [`verify`] says what a certificate proves; a [`Verifier`] asks that of the peer of one handshake, and [`Proofs`]
//!   remember it.
//! * [`Settings`] puts both into rustls's configs, the same for every handshake: TLS 1.3 only, no names sent, nothing
//!   resumed, our order of cipher suites.
//! * [`explain`] turns rustls's errors into ours.
//!
//! ```
//! use stackwire_certificate::{making, provider, verify};
//! use stackwire_core::Keypair;
//!
//! let (identity, provider) = (Keypair::ed25519_from_seed([1; 32]), provider());
//! let made = making::make(&identity, &provider).unwrap();
//! let now = std::time::Duration::from_secs(1_700_000_000);
//! let proof = verify(&made.cert[0], now, &provider.signature_verification_algorithms).unwrap();
//! assert_eq!(&proof.identity, identity.public());
//! ```
//!
//! The TLS itself is rustls over aws-lc-rs, whose provider is built here and never taken from or put into the process
//! default. Ephemeral keys and TLS randoms are drawn from the system, not from `Env`: a simulation repeats what happens, not
//! the bytes on the wire. aws-lc's own generator, which takes 40 ms to seed, is not touched by the first handshakes of a
//! process, and later seeded by a thread beside them ([`unseeded`]). Time (for the validity of certificates) comes from `Env`.
//!
//! Whoever sets the environment variable `SSLKEYLOGFILE` gets the keys of every session written to that file, in the
//! format that Wireshark reads; nobody else's are.
//!
//! Sources: libp2p specs `tls/tls.md`; RFC 8446.

mod errors;
mod key;
pub mod making;
mod proof;
mod proofs;
mod provider;
mod seeding;
mod settings;
mod verifier;
mod wire;

#[cfg(test)]
mod tests;

pub use errors::explain;
pub use key::Key;
pub use making::Certificates;
pub use proof::{Proof, verify};
pub use proofs::Proofs;
pub use provider::{has_fast_aes, provider};
pub use seeding::unseeded;
pub use settings::{Clock, Settings};
pub use verifier::Verifier;
