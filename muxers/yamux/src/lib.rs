//! Yamux (`/yamux/1.0.0`): streams with flow control over one pipe.
//!
//! The state machine is the published crate `yamux`. This crate drives it ([`Driver`](stackwire_core::Driver)),
//! batches its small writes and flushes once per batch, and adds what that crate keeps to itself: whether a stream
//! ended by FIN or by reset, reset and go-away codes (the extension of go and js), what happens to streams whose
//! reader left, and a limit on streams that refuses the excess instead of ending the connection.
//!
//! A stream is announced to the peer with its first bytes. One that is only flushed, read or shut down is announced
//! by an empty frame then; so opening costs no bytes of its own where, as usual, the opener speaks first.
//!
//! ```
//! use stackwire_core::{Layer, Muxer};
//! use stackwire_muxer_yamux::{Yamux, YamuxConfig};
//!
//! let yamux = Yamux::new(YamuxConfig { max_streams: 128, ..Default::default() }).unwrap();
//! assert_eq!(yamux.id().as_ref(), "/yamux/1.0.0");
//! ```

mod config;
mod driver;
mod io;
mod muxer;
mod session;
mod split;
mod stream;
mod wire;

pub use config::YamuxConfig;
pub use muxer::Yamux;

stackwire_plugin::register!(YamuxConfig);
