//! Identify, `/ipfs/id/1.0.0` and `/ipfs/id/push/1.0.0`: peers tell each other who they are.
//!
//! Whoever is asked sends its key, software, protocols, addresses, a peer record it signed, and the address it sees
//! the asking side at. A change is pushed to the peers that take pushes. Source: libp2p specs,
//! `identify/README.md`.
//!
//! A node that lists `identify` answers, asks every peer it is connected with, keeps what it says
//! ([`HostApi::remote`](stackwire_core::HostApi::remote)), and puts its addresses and the record that it signed into the peer
//! book, where they last as long as the peer is connected and a while longer; see
//! [`IdentifyConfig`]. On a stream that is already open:
//!
//! ```
//! # use stackwire_core::{Result, Stream};
//! # async fn example(stream: &mut Stream) -> Result<()> {
//! let info = stackwire_protocol_identify::identify(stream).await?;
//! println!("{} serves {:?}", info.agent, info.protocols);
//! # Ok(())
//! # }
//! ```
//!
//! What a peer says is its claim: only the addresses of a record it signed are vouched for, and even those may lead
//! nowhere. Everything is bounded: ten messages of 8 KiB, 128 addresses, 256 protocols, 512 bytes a text.

mod client;
mod config;
mod follow;
mod identify;
mod reach;
#[cfg(test)]
mod tests;
mod update;
mod wire;

/// The messages.
mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.identify.rs"));
}

pub use client::identify;
pub use config::IdentifyConfig;
pub use identify::Identify;

/// The id of asking.
pub const ID: &str = "/ipfs/id/1.0.0";

/// The id of telling unasked.
pub const PUSH_ID: &str = "/ipfs/id/push/1.0.0";

const NAME: &str = "identify";

stackwire_plugin::register!(IdentifyConfig);
