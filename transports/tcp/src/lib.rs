//! TCP over IPv4 and IPv6: `/ip4/<address>/tcp/<port>` and `/ip6/<address>/tcp/<port>`.
//!
//! The plainest way between two machines. It reaches the first rung, bytes with an unknown peer; who that is and how
//! streams are made of it is for the layers above. Names are not for this transport: whoever dials has resolved them.
//!
//! Listeners on a wildcard report the machine's addresses, and tell when they change. Behind a load balancer that
//! speaks the PROXY protocol, version 2, the option `proxy_protocol = "require"` has the true source of every
//! connection.
//!
//! ```
//! use stackwire_core::{Dial, Keypair, Listen, Stage, Transport};
//! use stackwire_transport_tcp::Tcp;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), stackwire_conformance::env());
//! let tcp = Tcp::default();
//! let any = "/ip4/127.0.0.1/tcp/0".parse()?;
//! let mut listener = tcp.listen(Listen::new(&any, &identity, &env)).await?;
//!
//! let address = listener.addresses().remove(0);
//! let dialed = tcp.dial(Dial::new(&address, &identity, &env)).await?;
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

mod config;
mod listener;
mod patience;
mod pipe;
mod ports;
#[doc(hidden)]
pub mod proxy;
mod socket;
mod stream;
mod transport;

pub use config::{ProxyProtocol, TcpConfig};
pub use transport::Tcp;

/// The name that configs use.
pub(crate) const NAME: &str = "tcp";

stackwire_plugin::register!(TcpConfig);
