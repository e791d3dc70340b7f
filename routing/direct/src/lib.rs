//! The address book as a router: a peer is reached at the addresses that were learnt of it, or that the config names.
//!
//! It asks nobody and remembers nothing across restarts. The numbers of peers and of each one's addresses are bounded, and
//! the bytes of all. Who was learnt of longest ago is forgotten first, and before all others those of whom only peers have
//! told. Keys and services it knows nothing about.
//!
//! ```
//! use stackwire_core::{Keypair, Router, address::Origin};
//! use stackwire_routing_direct::Direct;
//!
//! let book = Direct::new(Vec::new(), 1000, 8);
//! let peer = Keypair::ed25519_from_seed([1; 32]).peer_id();
//! book.add_addresses(peer, &["/ip4/192.0.2.1/tcp/4001".parse().unwrap()], Origin::Operator);
//! assert_eq!(book.addresses(&peer).len(), 1);
//! ```

mod book;
mod config;
mod direct;

pub use config::DirectConfig;
pub use direct::Direct;

stackwire_plugin::register!(DirectConfig);
