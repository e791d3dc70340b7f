//! QUIC version 1 with libp2p certificates: `/ip4|ip6/<address>/udp/<port>/quic-v1`.
//!
//! Brings everything along: TLS 1.3 proves both sides, and streams are QUIC's own, so that a connection is at the top
//! after one round trip. Streams do not hold each other up where packets are lost, and have datagrams beside them.
//!
//! ```
//! use stackwire_core::{Dial, Keypair, Listen, SessionExt, Stage, Transport};
//! use stackwire_transport_quic::Quic;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (us, them, env) = (Keypair::ed25519_from_seed([1; 32]), Keypair::ed25519_from_seed([2; 32]), stackwire_conformance::env());
//! let quic = Quic::default();
//! let any = "/ip4/127.0.0.1/udp/0/quic-v1".parse()?;
//! let mut listener = quic.listen(Listen::new(&any, &them, &env)).await?;
//!
//! let address = listener.addresses().remove(0);
//! let dial = Dial::new(&address, &us, &env).to(them.peer_id());
//! let accept = async { listener.accept().await?.open.await };
//! let (dialed, accepted) = futures::future::try_join(quic.dial(dial), accept).await?;
//! let (Stage::Multiplexed(a), Stage::Multiplexed(b)) = (dialed.stage, accepted.stage) else { unreachable!() };
//! assert_eq!(&b.peer, us.public());
//!
//! # env.spawn("a", async move { a.driver.await.ok(); }).detach();
//! # env.spawn("b", async move { b.driver.await.ok(); }).detach();
//! let mut stream = a.session.open().await?;
//! stream.write_all(b"hello").await?; // announces the stream, too
//! stream.shutdown().await?;
//! let mut text = String::new();
//! b.session.accept().await?.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! **Streams.** Both sides may open as many at once as the other's `max_streams` allows; further opens wait. A stream is
//! announced by its first bytes, its end or its reset. `shutdown` is FIN; `close_read` is STOP_SENDING; `reset` and a
//! drop before the shutdown are RESET_STREAM and STOP_SENDING, with the code. Priorities are strict: bytes of a stream
//! leave before those of every less urgent one.
//!
//! Streams share the window of their connection. Where those that nobody reads hold all of it and others wait, one of them
//! gives its part back and keeps its bytes beside; where that is too much, the one that keeps most is reset.
//!
//! **Datagrams.** `Pipe::datagrams` gives the flow beside a stream. On the wire each is a QUIC DATAGRAM frame (RFC 9221)
//! that begins with the id of the stream as a variable-length integer, in the manner of RFC 9297; that form is ours, and
//! peers that know nothing of it see datagrams they have no use for.
//!
//! **Closing.** `Session::close` waits until the peer has acknowledged everything that streams had accepted, 10 s at
//! most, then sends CONNECTION_CLOSE with the code. What the peer's own stack hands on afterwards is its affair; this
//! one still lets what has arrived be read.
//!
//! **Strangers.** A listener hands over only peers that have shown that they get our packets: their handshake is done, or a
//! Retry was answered. From `retry_above` handshakes of unproven addresses on, dialers get a Retry first. Handshakes are
//! bounded for each source; the oldest ends for a new one. What goes to an unproven address is at most three times what
//! came from there.
//!
//! **Sockets.** Each address listened on has one UDP socket. Dials leave from the socket of a listener where there is one
//! of the right family, else from one socket for all dials, so that NATs and peers see one address of us. A connection
//! lives on when its listener is dropped, and holds the socket; listening on the address again takes that socket up.
//!
//! **Surroundings.** QUIC itself is quinn; its time, tasks and randomness come from `Env`. The keys of the TLS handshake
//! are drawn by aws-lc-rs from the system. [`Quic::over`] puts other [`Sockets`] under it, such as those of a simulated
//! network.
//!
//! Sources: RFC 9000, 9001, 9221; libp2p specs `quic/`, `tls/tls.md`, `error-codes/`.

mod config;
mod datagrams;
mod driver;
mod endpoints;
mod errors;
mod handshakes;
mod keys;
mod listener;
mod openers;
mod party;
mod progress;
mod runtime;
mod session;
mod shared;
mod socket;
mod stream;
mod transport;
mod unproven;
mod unread;
mod watch;
#[doc(hidden)]
pub mod wire;

pub use config::{Congestion, QuicConfig};
#[doc(hidden)]
pub use datagrams::{Demultiplexer, Inbox};
pub use socket::{MachineSockets, Sockets};
pub use transport::Quic;
#[doc(hidden)]
pub use unproven::Unproven;

/// The plug-in's name in configs and errors.
const NAME: &str = "quic";

stackwire_plugin::register!(QuicConfig);
