//! Whom a node knows: a book that is told facts and gives snapshots. No clock, no sockets, no tasks.
//!
//! The switch tells it who connects, who leaves and what peers say about themselves. Everybody else reads a snapshot
//! ([`Peers`](stackwire_core::Peers)) that never changes, and may wait for a newer one. A snapshot is made when it is asked for
//! after a change, so that changes that nobody looks at cost nothing.

mod book;

pub use book::PeerBook;
