//! Choosing among offers: multistream-select 1.0 (libp2p specs, `connections/README.md`).
//!
//! The messages are `uvarint(length) ‖ text ‖ newline`. A dialer sends the header and its first proposal in one
//! write; the listener answers with the header and its answer in one write. With one offer a dialer need not wait at
//! all: see [`stackwire_core::Wait::Lazy`].
//!
//! It is what every libp2p node speaks, and what a config that lists no negotiator means. To list it beside others, the
//! most wanted first:
//!
//! ```toml
//! [[negotiator]]
//! use = "multistream"
//! ```
//!
//! In code it needs no registry:
//!
//! ```
//! # use stackwire_core::{SelectContext, BoxPipe, Negotiator, ProtocolId, Result, Role, Wait};
//! # use stackwire_negotiator_multistream::Multistream;
//! /// The channel of whichever security protocol the listener has, asked for in this order.
//! async fn choose(pipe: BoxPipe) -> Result<(usize, BoxPipe)> {
//!     let offers = ["/tls/1.0.0", "/noise"].map(ProtocolId::new);
//!     let chosen = Multistream.select(pipe, SelectContext::new(Role::Dialer, &offers)).await?;
//!     Ok((chosen.index, chosen.pipe))
//! }
//! ```
//!
//! It is written here rather than taken from the crate `multistream-select` because a Stackwire pipe is buffered:
//! exactly our own bytes are taken from it, in large reads, the pipe itself is handed back untouched (no wrapper
//! stays on the byte path of an agreed negotiation), and messages are bounded at 1024 bytes instead of 16 KiB.

mod config;
mod lazy;
mod meeting;
mod message;
mod multistream;

pub use config::MultistreamConfig;
pub use multistream::Multistream;

stackwire_plugin::register!(MultistreamConfig);
