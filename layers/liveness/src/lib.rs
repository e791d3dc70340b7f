//! Watching connections: what the protocols that watch them share.
//!
//! | | |
//! | --- | --- |
//! | [`Watchers`], [`each_connection`] | one task for each live connection |
//! | [`Prober`], [`answer`] | random bytes that the peer sends back, over a stream that lasts |
//! | [`jittered`], [`is_in_use`], [`is_alive`] | when to probe, and when silence is no death |
//! | [`Spoken`] | whether a peer speaks a protocol, and pauses until it does |
//! | [`close`] | ending a connection whose peer may not be there |
//! | [`Places`] | how many streams of a kind are served at once |
//!
//! Nothing here decides that a connection is to be closed: that is the policy of each protocol.

mod farewell;
mod places;
mod probe;
mod signs;
mod spoken;
mod watchers;

pub use farewell::close;
pub use places::{Place, Places};
pub use probe::{Prober, SIZE, answer, ends, probe};
pub use signs::{IN_USE, is_alive, is_in_use, jittered};
pub use spoken::Spoken;
pub use watchers::{Watchers, each_connection};
