//! Nodes of ours and nodes of others over loopback: in one process, or as a process each.
//!
//! [`Ours`] and [`Theirs`] are both a [`Peer`], and [`meet`] takes any two of them through everything that a
//! connection is for. So that nobody has to trust the test, it also runs between two nodes of theirs.
//!
//! `tests/libp2p.rs` does so for every transport × security × muxer that the published crate `libp2p` has,
//! `tests/identities.rs` for every type of key, `tests/perf.rs` with the published perf client and server, `tests/pnet.rs`
//! in a private network. `tests/program.rs` does it with the program `stackwire` and their node as processes; so does
//! `strangers.py` with js-libp2p and py-libp2p. `tests/yamux_pairings.rs` tells the muxer laws to our yamux and the crate's, in every pairing;
//! `tests/libtorrent.rs` speaks uTP with libtorrent, where Python has it.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod meet;
mod ours;
mod peer;
mod stack;
mod theirs;

pub use meet::{in_time, meet};
pub use ours::Ours;
pub use peer::{Ending, Peer, RESETS, Told, WATCHES};
pub use stack::{Muxer, Security, Stack, Transport};
pub use theirs::Theirs;
