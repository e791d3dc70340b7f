//! The transport that CONTRIBUTING.md leads to keeps every law: what is written there is enough.

use stackwire_conformance::{transport::Subject, transport_laws};

#[path = "scaffold/loopback.rs"]
mod loopback;

transport_laws!(Subject::of_plugin::<loopback::LoopConfig>);
