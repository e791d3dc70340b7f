//! Yamux streams, `/yamux/1.0.0`: flow control by windows that grow with the bandwidth and delay of the connection.
//!
//! ```
//! use stackwire_core::Muxer;
//! use stackwire_muxer_yamux::{Yamux, YamuxConfig};
//!
//! let yamux = Yamux::new(YamuxConfig { max_streams: 128, ..Default::default() }).unwrap();
//! assert_eq!(yamux.id().as_ref(), "/yamux/1.0.0");
//! ```
//!
//! ```text
//!  stream.write ─▶ chunks of the stream ─▶ driver: headers between chunks, many frames in a write ─▶ pipe   one copy
//!  pipe ─▶ driver parses in the pipe's buffer ─▶ chunks of the stream ─▶ lent to the reader                 one copy
//! ```
//!
//! One driver owns the pipe. It and the streams share one table under one short lock; a stream wakes the driver once
//! for everything that happens until it runs. Chunks are shared by all connections ([`stackwire_core::buffer`]) and held
//! only while there is something in them, so that an idle connection holds none.
//!
//! * **Opening** costs no bytes of its own: a stream is announced by its first frame, and acknowledged by the answer.
//!   One that is only read or flushed is announced by an empty window update then.
//!   Until the peer has acknowledged one, no more than 8 are opened.
//! * **Sending** is fair: streams take turns, a frame each, and what governs the connection goes before data. Bytes
//!   are accepted only within the peer's window, so that whatever was accepted can be sent.
//! * **Receiving** is bounded by windows: 256 KiB for each stream at first, doubled while a stream is held up by its
//!   window, within `max_stream_window` and what all streams together may have, `receive_window`.
//! * **Peers** that break the rules are told so by a go-away and the connection ends with `PeerMisbehaved`. That is
//!   also how floods end: streams that are opened and reset without waiting, refusals that pile up unread. What other
//!   implementations tolerate (frames of streams that are over, unknown flags) is tolerated.
//!
//! Sources: hashicorp/yamux `spec.md`; libp2p's yamux specification (acknowledgement backlog); the error codes that go
//! and js put into the length of a reset.

mod charge;
mod chunks;
mod config;
mod connection;
mod driver;
mod ending;
mod entry;
mod errors;
mod flood;
mod ids;
mod memory;
mod muxer;
mod phase;
mod pulse;
mod receive;
mod send;
mod session;
mod stream;
mod streams;
mod through;
mod window;
pub mod wire;

pub use config::YamuxConfig;
#[doc(hidden)]
pub use muxer::Held;
pub use muxer::Yamux;

/// The name that configs use.
pub(crate) const NAME: &str = "yamux";

stackwire_plugin::register!(YamuxConfig);
