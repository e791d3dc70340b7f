//! Monitor, `/stackwire/monitor/1.0.0`: how far peers are, what they say of themselves, and how their clocks go.
//!
//! Each connected peer that speaks the protocol is asked three things, each at its own pace:
//!
//! | asked | every | told |
//! | --- | --- | --- |
//! | a ping | 20 s | its number, which gives the latency: the average over the last 10 |
//! | the network | 60 s | how many peers it has, and its distance from the nearest validator |
//! | the node | 15 s | agent, uptime, the time of its clock, and what its application has to tell (64 KiB at most) |
//!
//! Each question is put off by up to a second by chance. Three pings in succession without an answer close the connection where
//! the config says `disconnect = true`; where `health` watches connections, that is its work. An answer over 100 KiB is a
//! failure. A node serves 1000 questions at once, 8 of one peer. Source: the peer monitoring service of Aptos
//! (`peer-monitoring-service/**`), whose bytes on the wire are others; the logic here knows nothing of the wire.
//!
//! **Distance** is 0 for a node whose config says `root = true`, else one more than the smallest that a peer tells, at most
//! 100. A peer that tells 0 is believed if [`HostApi::trust`](stackwire_core::HostApi::trust) has it as a validator.
//!
//! **Clocks.** What a peer's clock said is compared with ours at the middle of the round trip. A difference that is certainly
//! over `max_skew_ms` is told once for each peer, as a [`MonitorEvent`]. [`Monitor::clock_skew`] is the median over peers.
//!
//! The rest of the program finds all that by the trait: `host.service::<dyn Monitor>()`.

mod ask;
mod config;
mod event;
mod latency;
mod model;
mod monitor;
mod service;
mod table;
mod watch;
mod wire;

/// The messages.
mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.monitor.rs"));
}

pub use config::MonitorConfig;
pub use event::MonitorEvent;
pub use model::{Answer, MAX_DISTANCE, MAX_STATUS, NetworkInfo, NodeInfo, Question};
pub use service::{Monitor, PeerReport};
pub use wire::{ask, read_question, write_answer};

/// The protocol's id on the wire.
pub const ID: &str = "/stackwire/monitor/1.0.0";

/// The plug-in's name in configs, events and errors.
pub const NAME: &str = "monitor";

stackwire_plugin::register!(MonitorConfig);
