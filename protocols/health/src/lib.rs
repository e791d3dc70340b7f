//! Health, `/stackwire/health/1.0.0`: closes connections whose peers no longer answer.
//!
//! # The wire
//!
//! Whoever opens a stream sends 32 random bytes, the peer sends them back, and so on over the same stream, as in libp2p's
//! ping. Who wants no more ends the stream. Up to two streams of a connection are served.
//!
//! # The policy
//!
//! It is that of the health checkers of Diem and Aptos (`network/framework/src/protocols/health_checker`). Each connection
//! is probed every 10 seconds, and an answer may take 20. What fails is a probe without an answer, with other bytes, or
//! whose stream the peer broke. A probe of the peer's own counts as an answer. Beyond 3 failures in succession the
//! connection is closed with [`Reason::HealthCheck`](stackwire_core::Reason), which the peer is told, and a peer that we
//! had dialed is dialed once more.
//!
//! Silence alone does not close a connection that has just moved more than a kilobyte, or on which the peer takes what we
//! send. Transports with streams of their own count no bytes: there only probes count. A peer that does not speak the
//! protocol is left alone.
//!
//! Unlike [ping](https://github.com/libp2p/specs/blob/master/ping/ping.md), which notices connections that are dead, this
//! notices peers that no longer work. All numbers are options; see [`HealthConfig`]. A node's application is told of changes
//! only, by [`HealthEvent`].

mod config;
mod event;
mod health;
mod redial;
mod standing;
mod watch;

pub use config::HealthConfig;
pub use event::HealthEvent;
pub use health::{Health, Policy};

/// The protocol's id on the wire.
pub const ID: &str = "/stackwire/health/1.0.0";

/// The plug-in's name in configs, events and errors.
pub const NAME: &str = "health";

stackwire_plugin::register!(HealthConfig);
