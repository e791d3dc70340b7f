//! Ping, `/ipfs/ping/1.0.0`: measures round trips and notices dead connections.
//!
//! The dialer of a stream sends 32 random bytes, the peer sends them back, and so on over the same stream. Source:
//! libp2p specs, `ping/ping.md`.
//!
//! A node that lists `ping` answers pings and pings each connection by itself; see [`PingConfig`]. It gives up a connection
//! on which nobody answers and nothing moves. [`Pinger`] pings one connection as often as somebody asks; on a stream that is
//! already open, one round trip is
//!
//! ```
//! # use stackwire_core::{Env, Result, Stream};
//! # async fn example(stream: &mut Stream, env: &Env) -> Result<()> {
//! let round_trip = stackwire_protocol_ping::ping(stream, env).await?;
//! println!("{round_trip:?}");
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod pace;
mod ping;

pub use client::{Pinger, ping};
pub use config::PingConfig;
pub use ping::Ping;

/// The protocol's id on the wire.
pub const ID: &str = "/ipfs/ping/1.0.0";

/// The size of a ping, in bytes.
pub const SIZE: usize = stackwire_liveness::SIZE;

stackwire_plugin::register!(PingConfig);
