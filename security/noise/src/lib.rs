//! The Noise Protocol Framework, three times.
//!
//! | plug-in | who | protocol | chosen by |
//! |---|---|---|---|
//! | `noise` | libp2p (libp2p specs, `noise/README.md`) | `Noise_XX_25519_ChaChaPoly_SHA256` | negotiation of `/noise` |
//! | `noise-ix` | Libra, 2019 | `Noise_IX_25519_AESGCM_SHA256` | negotiation of `/noise_ix_25519_aesgcm_sha256/1.0.0` |
//! | `noise-ik` | Diem and Aptos | `Noise_IK_25519_AESGCM_SHA256` | an address, `…/noise-ik/0x<key>/handshake/0` |
//!
//! XX takes three messages, so that each side waits once; both sides' identities are encrypted, and the muxer is agreed
//! on inside the handshake where both sides offer any. IX and IK take two, and prove static X25519 keys that last: a peer
//! is known by its key, or by the libp2p identity that the key belongs to. Whom a node trusts is a set that can be
//! replaced while it runs ([`Trust`](stackwire_core::Trust)). Afterwards frames of up to 64 KiB carry the data.
//!
//! ```
//! use stackwire_plugin::Plugin;
//! use stackwire_security_noise::NoiseConfig;
//!
//! let noise = NoiseConfig::default().build().unwrap().securities.remove(0);
//! assert_eq!(noise.id().as_str(), "/noise");
//! ```
//!
//! A node of Diem's or Aptos's networks, whose trusted set code replaces as the chain changes:
//!
//! ```
//! use stackwire_core::trust::{PeerRole, TrustedPeer};
//! use stackwire_security_noise::{Authentication, NoiseIk, NoiseIkConfig, SecretKey};
//!
//! let config = NoiseIkConfig {
//!     key: Some(SecretKey::new([7; 32])),
//!     authentication: Authentication::Mutual,
//!     ..NoiseIkConfig::default()
//! };
//! let noise = NoiseIk::new(config).unwrap();
//! let validator = TrustedPeer { keys: [[9; 32]].into(), role: PeerRole::Validator, ..TrustedPeer::default() };
//! noise.trusted().replace("chain", [validator]).unwrap();
//! assert_eq!(noise.trusted().current().len(), 1);
//! ```
//!
//! The framework's state machine is `snow`'s. The primitives are aws-lc's, which agrees on a key in less than half
//! the time of the pure-Rust ones and is already here for the identities; randomness comes from the environment, so
//! that a simulation repeats. After the handshake the two keys leave `snow` and frames are sealed and opened in place.

mod config;
mod crypto;
pub mod diem_handshake;
mod exchange;
mod frames;
mod ik;
mod ix;
mod key_text;
pub mod network_address;
mod network_key;
mod proven;
#[doc(hidden)]
pub mod raw;
mod replay;
mod static_key;
mod trust;
mod wire;
mod xx;

pub use config::{Dialect, HandshakeConfig, NetworkConfig, NoiseConfig, NoiseIkConfig, NoiseIxConfig};
pub use ik::NoiseIk;
pub use ix::NoiseIx;
pub use network_key::SecretKey;
pub use trust::{Authentication, TrustedConfig};
pub use xx::Noise;

stackwire_plugin::register!(NoiseConfig);
stackwire_plugin::register!(NoiseIxConfig);
stackwire_plugin::register!(NoiseIkConfig);
