//! uTP, the transport that yields: `/ip4/<address>/udp/<port>/utp` and `/ip6/<address>/udp/<port>/utp`.
//!
//! A byte channel over UDP, as by TCP, for traffic that should be in nobody's way: where a link is shared, it slows down
//! as soon as its packets wait in a queue, long before TCP would notice, and takes what others leave. It is what
//! BitTorrent clients speak (BEP 29), by the congestion control of RFC 6817 (LEDBAT). Like TCP it reaches the first
//! rung, bytes with an unknown peer. Names are not for this transport: whoever dials has resolved them.
//!
//! * Every listener has one UDP socket, and dials of the same family leave from it, so that NATs and peers see one
//!   address of us. Without a listener each dial has a socket of its own.
//! * A connection to a listener on a wildcard has the address that was dialed, and all its packets leave from there.
//! * One task of the node drives each socket. What an application wrote before it dropped a pipe is delivered by that
//!   task, so a program that ends at once may cut it off; a shutdown waits until the peer has everything.
//! * A listener hands over only peers that have shown that they get our packets. Until then a SYN is answered with one
//!   packet of its own length, and is an entry of a table that is bounded for each source.
//! * A reset is believed only with both numbers right, that of its own and that of ours. So one who can't see our packets
//!   ends no connection. Some implementations reset connections that they do not know with a random number; there the
//!   connection ends by `timeout_secs`.
//! * A UDP port can't be shared with QUIC.
//!
//! ```
//! use stackwire_core::{Dial, Keypair, Listen, Stage, Transport};
//! use stackwire_transport_utp::Utp;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), stackwire_conformance::env());
//! let utp = Utp::default();
//! let any = "/ip4/127.0.0.1/udp/0/utp".parse()?;
//! let mut listener = utp.listen(Listen::new(&any, &identity, &env)).await?;
//!
//! let address = listener.addresses().remove(0);
//! let dialed = utp.dial(Dial::new(&address, &identity, &env)).await?;
//! let accepted = listener.accept().await?.open.await?;
//!
//! let (Stage::Raw(mut a), Stage::Raw(mut b)) = (dialed.stage, accepted.stage) else { unreachable!() };
//! a.write_all(b"hello").await?;
//! a.shutdown().await?;
//! let mut text = String::new();
//! b.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```

mod asked;
mod config;
#[doc(hidden)]
pub mod connection;
mod driver;
mod ledbat;
mod link;
mod listener;
mod pipe;
mod port;
mod receiver;
mod rtt;
mod sender;
mod transport;
mod udp;
#[doc(hidden)]
pub mod wire;

pub use config::UtpConfig;
pub use transport::Utp;

/// The name that configs use.
pub(crate) const NAME: &str = "utp";

stackwire_plugin::register!(UtpConfig);
