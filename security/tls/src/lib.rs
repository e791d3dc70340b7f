//! libp2p `/tls/1.0.0`: TLS 1.3 with mutual authentication by identity keys.
//!
//! Each side shows one self-signed certificate of a throw-away key. An extension of the certificate carries the identity
//! key and its signature over the throw-away key, so whoever proves the one in the TLS handshake proves the other.
//! The muxer is agreed on inside the handshake, by ALPN. One round trip on either side.
//!
//! ```
//! use stackwire_core::Layer;
//! use stackwire_plugin::Catalogue;
//! use stackwire_security_tls as _; // linking the crate registers it
//!
//! let tls = Catalogue::linked().unwrap().get(Layer::Security, "tls").unwrap();
//! assert_eq!(tls.summary.ids, ["/tls/1.0.0"]);
//! assert!(tls.build_from("").is_ok());
//! ```
//!
//! The TLS itself is rustls over aws-lc-rs, whose provider is built here and never taken from or put into the process
//! default. Ephemeral keys and TLS randoms are drawn by aws-lc-rs from the system, not from `Env`: a simulation repeats
//! what happens, not the bytes on the wire. Time (for the validity of certificates) comes from `Env`.
//!
//! Sources: libp2p specs `tls/tls.md`, `connections/inlined-muxer-negotiation.md`; RFC 8446.

mod alpn;
mod certificate;
mod config;
mod errors;
mod handshake;
mod peer;
mod pipe;
mod provider;
mod tls;
mod verifier;
mod wire;

#[cfg(test)]
mod tests;

pub use config::TlsConfig;
pub use tls::Tls;

/// The plug-in's name in configs and errors.
const NAME: &str = "tls";
/// The id it is negotiated by.
const ID: &str = "/tls/1.0.0";

stackwire_plugin::register!(TlsConfig);
