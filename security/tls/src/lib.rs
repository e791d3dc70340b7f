//! libp2p `/tls/1.0.0`: TLS 1.3 with mutual authentication by identity keys.
//!
//! Each side shows a certificate that carries its identity key; how those are made and verified is in
//! `stackwire-certificate`, which QUIC shares. The muxer is agreed on inside the handshake, by ALPN. One round trip on
//! either side.
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
//! The handshake is rustls's, over aws-lc-rs; the records after it are our own, so that they are sealed and opened where
//! they lie, and only the next keys come from rustls. The listener picks AES-GCM wherever its CPU has instructions for it, also
//! with dialers that list ChaCha20 first. Where the environment variable `SSLKEYLOGFILE` is set, session keys are written
//! to that file, so that captured traffic can be read.
//!
//! Sources: libp2p specs `tls/tls.md`, `connections/inlined-muxer-negotiation.md`; RFC 8446; RFC 9266 for the channel binding.

mod alpn;
mod config;
mod errors;
mod exporter;
mod handshake;
mod keys;
mod messages;
#[doc(hidden)]
pub mod raw;
mod records;
mod side;
mod tls;

#[cfg(test)]
mod tests;

pub use config::TlsConfig;
pub use tls::Tls;

/// The plug-in's name in configs and errors.
const NAME: &str = "tls";
/// The id it is negotiated by.
const ID: &str = "/tls/1.0.0";

stackwire_plugin::register!(TlsConfig);
