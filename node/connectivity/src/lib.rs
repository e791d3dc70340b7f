//! Whom a node wants to be connected with. Pure: it is told facts and answers with actions; it has no clock, no sockets, no
//! tasks and no randomness of its own, so that thousands of scenarios run in no time and each can be run again.
//!
//! ```text
//!  hear(said), ended(attempt), lost(peer) ──▶ Connectivity ──▶ decide(facts, wanted) -> actions
//!                                                         └──▶ wakes_at(): when to ask again
//! ```
//!
//! Sources (discoveries, the application, the list of must-haves) vouch for peers at addresses; a claim is its source's own
//! (`offers.rs`). Each of those peers has a line in a table, which knows when it may be dialed next (`line.rs`, `backoff.rs`).
//! A look over the table (`look.rs`) gives up what is no longer wanted, puts in order who is dialed next (`order.rs`), and
//! closes what is too much (`trim.rs`). As many are dialed as there are places for (`manager.rs`).

mod action;
mod backoff;
mod line;
mod look;
mod manager;
mod offers;
mod order;
mod table;
mod trim;
mod wanted;
mod whom;

pub use action::{Action, Facts, Outcome, Said};
pub use backoff::Backoff;
pub use manager::{Connectivity, MAX_DIALS};
pub use offers::MAX_OFFERS;
pub use order::latency_weight;
pub use wanted::{Outbound, Wanted, Water};
pub use whom::{Source, Whom};
