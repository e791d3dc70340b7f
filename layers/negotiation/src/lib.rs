//! Choosing among offers: multistream-select 1.0 (libp2p specs, `connections/README.md`).
//!
//! The messages are `uvarint(length) ‖ text ‖ newline`. A dialer sends the header and its first proposal in one
//! write; the listener answers with the header and its answer in one write. With one offer a dialer need not wait at
//! all: see [`stackwire_core::Wait::Lazy`].
//!
//! It is written here rather than taken from the crate `multistream-select` because a Stackwire pipe is buffered:
//! exactly our own bytes are taken from it, in large reads, the pipe itself is handed back untouched (no wrapper
//! stays on the byte path of an agreed negotiation), and messages are bounded at 1024 bytes instead of 16 KiB.

mod lazy;
mod message;
mod multistream;

pub use multistream::Multistream;
