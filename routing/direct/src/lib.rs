//! The peer book as a router: a peer is reached at the addresses that the node knows of it, or that the config names.
//!
//! It asks nobody and keeps nothing: what the node knows, within which bounds and for how long is the book's
//! ([`HostApi::peers`](stackwire_core::HostApi::peers), `[node.book]`). Keys and services it knows nothing about.
//!
//! ```
//! use stackwire_core::{Keypair, Router};
//! use stackwire_routing_direct::Direct;
//!
//! let peer = Keypair::ed25519_from_seed([1; 32]).peer_id();
//! let router = Direct::new([(peer, "/ip4/192.0.2.1/tcp/4001".parse().unwrap())]);
//! assert_eq!(router.name(), "direct");
//! ```

mod config;
mod direct;

pub use config::DirectConfig;
pub use direct::Direct;

stackwire_plugin::register!(DirectConfig);
