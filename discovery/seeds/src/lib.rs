//! Seeds: candidates from a list in the config and from a file that is watched.
//!
//! The file has one address a line, such as `/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…`; the `/p2p/…` may be missing, and
//! `#` begins a comment. A line that does not parse is skipped with a warning. A file that does not exist yet is
//! waited for. Its later changes are noticed, and seeds whose lines are gone are withdrawn.
//!
//! Every candidate is volunteered again and again, so that whoever keeps a node connected can try a seed that was
//! unreachable, or was lost, another time. Nothing here connects.
//!
//! ```toml
//! [[discovery]]
//! use = "seeds"
//! peers = ["/dns4/seed.example/tcp/4001/p2p/12D3Koo…"]
//! file = "seeds.txt"
//! ```

mod config;
mod file;
mod list;
mod seeds;

pub use config::SeedsConfig;
pub use seeds::Seeds;

stackwire_plugin::register!(SeedsConfig);
