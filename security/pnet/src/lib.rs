//! Private networks: every raw pipe under one pre-shared key (libp2p specs, `pnet/Private-Networks-PSK-V1.md`).
//!
//! Each side begins with 24 random bytes, its nonce, and XORs everything it sends after them with the XSalsa20 stream
//! of the key and that nonce. Who does not have the key sees noise from the first byte on, and what it sends is noise to
//! the members: it can't even negotiate. Nothing is waited for, so this costs no round trip: a dialer's nonce travels
//! with the first bytes it writes.
//!
//! ```toml
//! [[protector]]
//! use = "pnet"
//! key_file = "swarm.key"   # the file that go-libp2p, js-libp2p and IPFS use
//! ```
//!
//! **What it is not**: the cipher hides bytes but nothing proves that they arrive unaltered, and one key admits everyone
//! who has it. Who a peer is, and that nobody tampers, remains the business of the security protocol above. Transports
//! that bring their own security, such as QUIC, can't be put under it.

mod config;
mod key;
mod pipe;
mod pnet;

pub use config::PnetConfig;
pub use key::{Fingerprint, PreSharedKey};
pub use pnet::Pnet;

stackwire_plugin::register!(PnetConfig);
