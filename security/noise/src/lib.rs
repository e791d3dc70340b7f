//! libp2p `/noise`: `Noise_XX_25519_ChaChaPoly_SHA256` with identities signed over static keys (libp2p specs,
//! `noise/README.md`).
//!
//! The handshake takes three messages, so that each side waits once; both sides' identities are encrypted. The muxer
//! is agreed on inside the handshake where both sides offer any. Afterwards frames of up to 64 KiB carry the data.
//!
//! ```
//! use stackwire_plugin::{Built, Plugin};
//! use stackwire_security_noise::NoiseConfig;
//!
//! let Built::Security(noise) = NoiseConfig::default().build().unwrap() else { unreachable!() };
//! assert_eq!(noise.id().as_str(), "/noise");
//! ```
//!
//! The framework's state machine is `snow`'s. The primitives are aws-lc's, which agrees on a key in less than half
//! the time of the pure-Rust ones and is already here for the identities; randomness comes from the environment, so
//! that a simulation repeats. After the handshake the two keys leave `snow` and frames are sealed and opened in place.

mod channel;
mod config;
mod crypto;
mod handshake;
mod reader;
mod static_key;
mod wire;
mod writer;

pub use config::NoiseConfig;
pub use handshake::Noise;

stackwire_plugin::register!(NoiseConfig);
