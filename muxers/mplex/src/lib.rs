//! Mplex streams: simple framing without flow control, `/mplex/6.7.0`.
//!
//! Mplex is deprecated in favour of yamux; it is here because many nodes still speak it, and because its small frames
//! cost less where every stream is read promptly. What it lacks, and what follows:
//!
//! * **No flow control.** A stream that nobody reads fills its receive buffer; then, by the option `overflow`, either
//!   the whole connection waits until it is read or dropped (`block`, the default, as in rust-libp2p: no data is ever
//!   lost), or that stream is reset (`reset`, as in js-libp2p: other streams never wait, but a transfer that is faster
//!   than its reader fails). Read every stream, or `close_read` it, or drop it.
//! * **No reset codes** (the peer sees 0), **no acknowledgements**, **no go-away**: closing a connection is ending its
//!   pipe, and an end of the pipe between two frames counts as the peer's close.
//!
//! Source: the mplex specification of libp2p.
//!
//! ```
//! use stackwire_muxer_mplex::MplexConfig;
//! use stackwire_plugin::Plugin;
//!
//! let config = MplexConfig { max_streams: 128, ..Default::default() };
//! let mplex = config.build().unwrap().muxers.remove(0);
//! assert_eq!(mplex.name(), "mplex");
//! ```
//!
//! ```text
//!  stream.write ─▶ frames ─▶ out buffer of the connection ─▶ driver ─▶ pipe      one copy, large writes
//!  pipe ─▶ driver parses in the pipe's buffer ─▶ buffer of the stream ─▶ reader  one copy, swapped buffers
//! ```

mod config;
mod connection;
mod driver;
mod memory;
mod muxer;
mod plugin;
mod receive;
mod session;
mod stream;
pub mod wire;

pub use config::{MplexConfig, Overflow};

/// The id that it is negotiated by.
const ID: &str = "/mplex/6.7.0";
/// The name that configs use.
pub(crate) const NAME: &str = "mplex";

stackwire_plugin::register!(MplexConfig);
