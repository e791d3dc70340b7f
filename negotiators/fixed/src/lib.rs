//! Nothing on the wire: the config already says it.
//!
//! Where both sides list the same security protocol first and the same muxer first, there is nothing to choose, and a
//! connection needs no negotiation at all. Whoever uses this gives up two things: a mismatch is no polite refusal but
//! garbage in the next handshake, and nothing can choose among the protocols of a stream. A stack therefore lists
//! another negotiator too, which streams use:
//!
//! ```toml
//! [[negotiator]]
//! use = "fixed"         # a dialer uses the first: nothing is negotiated on its connections
//! [[negotiator]]
//! use = "multistream"   # chooses the protocol of every stream
//! ```
//!
//! A listener tells the negotiators of its dialers apart by their first bytes, and asks in the order of its config.
//! This one takes whatever comes, so a listener lists it last: then it takes what no other recognizes.

mod config;
mod fixed;

pub use config::FixedConfig;
pub use fixed::Fixed;

stackwire_plugin::register!(FixedConfig);
