//! Echo, `/echo/1.0.0`: sends back all that comes.
//!
//! The peer's bytes go back to it in order until it ends its side, then so does ours. There is no framing. A reader
//! that is slow holds up only its own sender: no more is taken in than was sent back.
//!
//! A node that lists `echo` serves it; see [`EchoConfig`]. The other side, which checks every byte:
//!
//! ```
//! # use stackwire_core::{Env, Host, PeerId, Result};
//! # async fn example(host: Host, peer: PeerId) -> Result<()> {
//! let stream = host.open_stream(peer, &[stackwire_protocol_echo::ID.into()]).await?;
//! let took = stackwire_protocol_echo::echo(stream, 1 << 20, true, host.env()).await?;
//! println!("1 MiB there and back in {took:?}");
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod echo;

pub use client::echo;
pub use config::EchoConfig;
pub use echo::Echo;

/// The protocol's id on the wire, unless the config says otherwise.
pub const ID: &str = "/echo/1.0.0";

stackwire_plugin::register!(EchoConfig);
