//! Runs a stack: listeners, dialer, connections, streams, events.
//!
//! A [`Node`] is made of a text config ([`Node::from_config`]) or in code ([`Node::builder`]); both give the same
//! thing. Cloning it is cheap, and dropping the last clone stops it at once; [`Node::shutdown`] stops it gracefully.
//!
//! ```text
//!  connect / open_stream ──▶ dial ──▶ Transport ─┐                      ┌─▶ Session ──▶ Stream ──▶ application
//!                             ▲ routes, names     ├─▶ Upgrader::upgrade ─┤
//!  listen ──▶ Listener::accept ──────────────────┘                      └─▶ Driver (a task of its own)
//! ```

#![allow(clippy::disallowed_methods, reason = "the node is what implements `Env`")]

mod active_config;
mod admission;
mod advertised;
mod arriving;
mod builder;
mod capacity;
mod configure;
mod connection;
mod dial;
mod discovery;
mod env;
mod events;
mod host;
mod listen;
mod lookup;
mod memory;
mod node;
mod offers;
mod pending;
mod race;
mod renew;
mod resolve;
mod serving;
mod shared;
mod streams;
mod tasks;
mod traffic;

pub use builder::Builder;
pub use configure::Changes;
pub use env::TokioRuntime;
pub use lookup::Lookup;
pub use node::Node;
pub use renew::ID as RENEW;
pub use stackwire_config::{Catalogue, Limits, Parts, Settings, Timeouts};
pub use stackwire_core::*;
pub use stackwire_files::{create_key_file, load_key_file, load_or_create_key_file};
