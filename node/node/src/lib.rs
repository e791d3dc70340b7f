//! A node: its networks, their configuration, their end.
//!
//! A [`Node`] is made of a text config ([`Node::from_config`]) or in code ([`Node::builder`]); both give the same
//! thing. Cloning it is cheap, and dropping the last clone stops it at once; [`Node::shutdown`] stops it gracefully.
//!
//! ```text
//!  Node ──▶ Network ──▶ Switch        dials, listens, serves: the mechanism
//!              │   └──▶ Connectivity  whom it wants: decides, and the network does it
//!              └──────▶ plug-ins      what they do on their own, as long as the configuration has them
//! ```

mod all_events;
mod all_networks;
mod builder;
mod connector;
mod follower;
mod known;
mod network;
mod node;
mod tasks;
mod trust_sources;

pub use builder::Builder;
pub use follower::{CONNECTIVITY, ConnectivityChange};
pub use known::known_peers;
pub use network::Network;
pub use node::Node;
pub use stackwire_config::{
    Authentication, Book, Catalogue, DEFAULT_NETWORK, Limits, Parts, Settings, Timeouts, TrustSettings,
};
pub use stackwire_connectivity::Whom;
pub use stackwire_core::*;
pub use stackwire_files::{create_key_file, load_key_file, load_or_create_key_file};
pub use stackwire_peers::Skipped;
pub use stackwire_switch::{Amount, Changes, GOODBYE, Holding, RENEW, Refused, TokioRuntime};
