//! Streams with priorities and flow control per stream and per connection: our own protocol, `/stackwire/mux/1.0.0`.
//!
//! The wire format, its vectors and what each side must do are in `SPEC.md` beside this crate. What it has over yamux:
//!
//! * **Priorities.** Urgent data goes ahead of everything else but the frame being sent and what the pipe below has
//!   taken; high, normal and low share the rest by weight. The peer learns a stream's priority for its direction.
//! * **A bound for the connection.** The peer can make us keep at most `receive_window` bytes, however many streams
//!   it opens; the windows of single streams grow with the round trip within that.
//! * **Rate caps** for streams, **datagrams** that carry the latest value, codes on resets and closes, and a limit on
//!   streams that the peer keeps exactly, because it is told.
//!
//! A stream that its application neither reads, `close_read`s nor drops keeps its part of the connection's window;
//! when such streams keep all of it, no data arrives on others. Read every stream or give it up.
//!
//! ```
//! use stackwire_muxer_priority::PriorityConfig;
//! use stackwire_plugin::Plugin;
//!
//! let config = PriorityConfig { receive_window: 4 << 20, ..Default::default() };
//! let muxer = config.build().unwrap().muxers.remove(0);
//! assert_eq!(muxer.id().as_str(), "/stackwire/mux/1.0.0");
//! ```
//!
//! ```text
//!  stream.write ─▶ chunks of the stream ─▶ schedule ─▶ frames in place ─▶ vectored write   one copy, no allocation
//!  pipe ─▶ driver parses in the pipe's buffer ─▶ chunks of the stream ─▶ reader            one copy, shared chunks
//! ```

mod config;
mod connection;
mod datagrams;
mod driver;
mod entry;
mod handles;
mod liveness;
mod memory;
mod outgoing;
mod plugin;
mod rate;
mod receive;
mod schedule;
mod send;
mod session;
pub mod settings;
mod stream;
mod window;
pub mod wire;

pub use config::{PriorityConfig, Weights};

/// The name that configs use.
const NAME: &str = "priority";
/// The id that it is negotiated by.
const ID: &str = "/stackwire/mux/1.0.0";

stackwire_plugin::register!(PriorityConfig);
