//! The switch of a network: it dials, listens, upgrades, and gives and takes streams. Mechanism without policy.
//!
//! Whom to connect with is decided elsewhere; what is refused is asked of a [`Gate`](stackwire_core::Gate). What happens is told
//! as events and in the book of peers. To plug-ins the switch is their [`Host`](stackwire_core::Host).
//!
//! ```text
//!  connect / open_stream ──▶ dial ──▶ Transport ─┐                      ┌─▶ Session ──▶ Stream ──▶ application
//!                             ▲ routes, names     ├─▶ Upgrader::upgrade ─┤
//!  listen ──▶ Listener::accept ──────────────────┘                      └─▶ Driver (a task of its own)
//! ```

#![allow(clippy::disallowed_methods, reason = "the switch has the runtime that implements `Env`")]

mod active_config;
mod admission;
mod advertised;
mod arriving;
mod bind;
mod bookkeeper;
mod capacity;
mod connection;
mod dial;
mod dial_places;
mod events;
mod excess;
mod external;
mod gates;
mod goodbye;
mod handle;
mod holdings;
mod host;
mod known;
mod life;
mod listen;
mod listener;
mod lookup;
mod machine;
mod numbers;
mod open;
mod own;
mod pending;
mod race;
mod rates;
mod refusals;
mod register;
mod reload;
mod renew;
mod resolve;
mod rings;
mod runtime;
mod scopes;
mod serve;
mod serving;
mod shared;
mod spares;
mod stores;
mod stream_count;
mod switch;
mod system_lookup;
mod traffic;
mod trust_watch;
mod trusted;

pub use holdings::{Amount, Holding, Refused};
pub use own::{GOODBYE, RENEW};
pub use reload::Changes;
pub use runtime::TokioRuntime;
pub use stores::Stores;
pub use switch::{Settings, Switch, node_allowance};
