//! Text to plan to stack.
//!
//! [`Plan::parse`] reads a config, validates it against a [`Catalogue`] and builds its plug-ins, all without I/O;
//! [`Plan::inspect`] looks at the files that it names; [`Plan::stack`] is what a node runs. Everything that is wrong is reported at once, each with its place in the text.
//!
//! ```toml
//! [node]
//! identity = "node.key"
//! listen   = ["/ip4/0.0.0.0/tcp/4001"]
//!
//! [[transport]]
//! use = "tcp"          # which plug-in; its options stand beside it
//! nodelay = true
//!
//! [[security]]
//! use = "tls"          # order is preference
//! [[security]]
//! use = "noise"
//!
//! [[muxer]]
//! use = "yamux"
//! ```
//!
//! The sections are `[node]` (see [`Settings`]) and, for plug-ins, `[[transport]]`, `[[protector]]`, `[[negotiator]]`,
//! `[[security]]`, `[[muxer]]`, `[[routing]]`, `[[discovery]]`, `[[nat]]` and `[[protocol]]`. A stack needs at least one transport
//! and, unless its transports bring them along (QUIC), one security protocol and one muxer. Where `[[negotiator]]` is
//! left out, `multistream` is used; where `[[routing]]` is, `direct`; where `[[protocol]]` is, `identify` and `ping`, each
//! if it is linked. To have none, write `routing = []` or `protocol = []` at the top.
//!
//! A node may be in several networks at once, each with its own identity, stack and limits. Then each has all of these sections
//! below its own one, and a name:
//!
//! ```toml
//! [[network]]
//! name = "validator"
//! [network.node]
//! listen = ["/ip4/0.0.0.0/tcp/6180"]
//! [[network.transport]]
//! use = "tcp"
//! ```

mod admission;
mod book;
mod connectivity;
mod error;
mod files;
mod keys;
mod listen;
mod networks;
mod plan;
mod read;
mod settings;
mod stack;
mod trust;
mod trust_summary;
mod values;

pub use admission::{Access, Rates};
pub use book::Book;
pub use connectivity::{Connectivity, Outbound};
pub use error::{ConfigError, ConfigProblem};
pub use networks::DEFAULT_NETWORK;
pub use plan::{Plan, PlannedPlugin};
pub use read::MAX_CONFIG;
pub use settings::{Limits, Settings, Timeouts};
pub use stack::Stack;
pub use trust::{Authentication, TrustSettings};
pub use trust_summary::{FileSummary, TrustSummary};

pub use stackwire_trust::{Form, KnownBy, TrustedConfig, TrustedFile, read_list};

// What users of a config need of plug-ins, so that they need not depend on `stackwire-plugin`.
pub use stackwire_plugin::{
    Capabilities, Catalogue, Descriptor, FileOption, Finding, Fixture, MAX_PROBLEMS, Parts, Place, Plugin, Problem,
    Reach, Summary, place, register, schemars, serde, suggest,
};
