//! A node of the published crate `litep2p`, for our nodes to meet over TCP, Noise and Yamux.
//!
//! The tests are run by
//!
//! ```text
//! CARGO_TARGET_DIR=target cargo test --manifest-path tests/interop-litep2p/Cargo.toml
//! ```
//!
//! from the root; the build of `litep2p` needs a `protoc`.

mod echo;
mod node;

pub use node::{Identified, Lite};

/// The protocol that both sides serve beside identify and ping: sends back all that comes.
pub const ECHO: &str = "/echo/1.0.0";
