//! Libra's negotiation (2019): protocol-interactive, which is answered, and protocol-select, which is not.
//!
//! Every message is a frame, `u16 length, big-endian ‖ bytes`. A dialer begins with a header frame, which says which of
//! the two follows:
//!
//! ```text
//! /libra/protocol-interactive/1.0.0            /libra/protocol-select/1.0.0
//!
//! dialer    header, /a             ──▶         dialer    header, /a, first data  ──▶
//!           ◀── header, not supported          listener  (closes what it does not know)
//!           /b                     ──▶
//!           ◀── /b
//! ```
//!
//! A dialer with one offer that need not wait for the answer ([`stackwire_core::Wait::Lazy`]) uses select: zero round
//! trips, and the proposal travels with the first bytes written. All else is interactive: a round trip per attempt, the
//! first of which rides with the header.
//!
//! **The limit of select**: the protocol has no refusal. A listener that does not know the proposal closes the pipe, and
//! the dialer sees just that: an end of stream or a reset at its first read, not `NoCommonProtocol`.
//!
//! ```toml
//! [[negotiator]]
//! use = "libra"
//! ```
//!
//! Frames are bounded at 1024 bytes, where the protocol itself would allow 65535: no name of a protocol is that long.

mod config;
mod libra;
mod wire;

pub use config::LibraConfig;
pub use libra::Libra;

stackwire_plugin::register!(LibraConfig);
