//! Yamux (`/yamux/1.0.0`) on the state machine of the published crate `yamux`: the reference that the plug-in `yamux`,
//! which is our own, is tested against and measured by. It is on the wire what that one is; a config names one of them.
//!
//! This crate drives that state machine ([`Driver`](stackwire_core::Driver)), batches its small writes and flushes once
//! per batch, and adds what that crate keeps to itself: whether a stream ended by FIN or by reset, reset and go-away
//! codes (the extension of go and js), what happens to streams whose reader left, and a limit on streams that refuses
//! the excess instead of ending the connection.
//!
//! A stream is announced to the peer with its first bytes. One that is only flushed, read or shut down is announced
//! by an empty frame then; so opening costs no bytes of its own where, as usual, the opener speaks first.
//!
//! ```
//! use stackwire_core::Muxer;
//! use stackwire_muxer_yamux_ref::{Yamux, YamuxConfig};
//!
//! let yamux = Yamux::new(YamuxConfig { max_streams: 128, ..Default::default() }).unwrap();
//! assert_eq!(yamux.name(), "yamux-ref");
//! assert_eq!(yamux.id().as_ref(), "/yamux/1.0.0");
//! ```

mod config;
mod driver;
mod errors;
mod io;
mod muxer;
mod session;
mod split;
mod stream;
mod wire;

pub use config::YamuxConfig;
pub use muxer::Yamux;

/// The name that configs use.
pub(crate) const NAME: &str = "yamux-ref";

stackwire_plugin::register!(YamuxConfig);
