//! Binding sockets, the addresses they are reachable at, and their connections as pipes.
//!
//! Every transport over IP asks the operating system for the same things and answers the same questions about them.
//! The rules are here, once:
//!
//! * **A socket on an IPv6 wildcard is IPv6's alone** unless it is told to be dual-stack, so that `/ip4/0.0.0.0/tcp/P`
//!   and `/ip6/::/tcp/P` can be listened on side by side, on every operating system alike.
//! * **A wildcard is no address.** What a listener reports is what others can dial: the addresses of the machine's
//!   interfaces, of the families that the socket takes, the machine's own loopback last. Link-local IPv6 addresses are
//!   left out, since they mean nothing without the interface they belong to. [`Bound::addresses`] lists them now,
//!   [`Bound::watch`] whenever they change.
//! * **IPv4 is shown as IPv4**, also where a dual-stack socket sees it in the clothes of IPv6 ([`canonical`]).
//! * **A link-local address has its interface with it** (`/ip6zone/eth0/ip6/fe80::1/…`, [`Zoned`]).
//! * **A dial leaves from a listener's socket** only where its answers find the way back ([`leaves_from`]).
//! * **Who asks for a connection has proven nothing** until it answers what was sent to the address that it named. Until
//!   then it is an entry of a table that is bounded for each source ([`HalfOpen`]).
//! * **A machine that is out of files or memory** ends no listener: [`Acceptor`], or [`Pause`] for other sockets than those
//!   of TCP, waits a little and goes on.
//! * **A connection is a pipe** ([`SocketPipe`]).
//!
//! Sockets belong to the tokio runtime within whose context they are made.
//!
//! ```
//! use stackwire_socket::{Bound, UdpOptions, bind_udp};
//!
//! # fn main() -> std::io::Result<()> {
//! let socket = bind_udp("0.0.0.0:0".parse().unwrap(), UdpOptions::default())?;
//! let bound = Bound::new(socket.local_addr()?, false);
//! assert!(bound.addresses().iter().all(|address| !address.ip().is_unspecified() && address.port() != 0));
//! # Ok(())
//! # }
//! ```

mod acceptor;
mod bind;
mod bound;
mod errors;
mod half_open;
mod interfaces;
mod pause;
mod pipe;
mod route;
mod zone;

pub use acceptor::{Accepted, Acceptor};
pub use bind::{TcpOptions, UdpOptions, bind_tcp, bind_udp, connect_tcp};
pub use bound::{Bound, canonical, to_ipv6};
pub use errors::{dial_error, listen_error};
pub use half_open::{HalfOpen, Source};
pub use interfaces::{Interfaces, Machine};
pub use pause::Pause;
pub use pipe::{SocketKind, SocketPipe};
pub use route::{leaves_from, source_towards};
pub use zone::{Zoned, beside, tcp_address, udp_address};
