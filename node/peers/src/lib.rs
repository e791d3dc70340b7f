//! Whom a node knows: a book that is told facts and gives snapshots. No clock, no sockets, no tasks; it knows core alone.
//!
//! [`PeerBook`] is the one place where a node keeps what it knows of peers, connected or not: connections, addresses, signed
//! records, tags, protection, scores, strikes, bans, latency, what they told about themselves, what the application notes. The
//! switch tells it what happens. Everybody else reads a snapshot ([`Peers`](stackwire_core::Peers)) that never changes, and may
//! wait for a newer one. Snapshots share what has not changed between them, so a change costs O(log n), and a reader nothing.
//!
//! * **It is bounded** ([`Bounds`]): in peers, bytes, addresses, bans, and in what peers of one reach may tell. Who was learnt of
//!   longest ago of those that only peers told of goes first; those that are tagged, protected, trusted or banned last. A peer
//!   takes [`MAX_PEER`] bytes at most.
//! * **Time is told**: [`PeerBook::tick`] does what is due, [`PeerBook::wakes_at`] says when.
//! * **It survives restarts**: [`PeerBook::save`] writes what has changed into a [`Store`](stackwire_core::Store), and
//!   [`PeerBook::open`] reads it. What is read is not trusted.

mod addresses;
mod book;
mod bounds;
mod conduct;
mod draft;
pub mod external;
mod notes;
mod order;
mod pages;
mod record;
mod saving;
mod size;
mod stored;
#[cfg(test)]
mod tests;

/// The messages.
mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.peers.rs"));
}

pub use book::PeerBook;
pub use bounds::{Bounds, MAX_PEER};
pub use draft::Fact;
pub use external::Externals;
pub use saving::{NAMESPACE, Skipped, read};
