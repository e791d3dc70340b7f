//! Perf, `/perf/1.0.0`: measures how fast bytes go up and down.
//!
//! The client sends how many bytes it wants as eight bytes, most significant first, then its upload, and ends its
//! side. Only then does the server send that many bytes and end, too. What the bytes are does not matter. Source:
//! libp2p specs, `perf/perf.md`. (Some published perf programs use a header of sixteen bytes under the same id; they
//! do not work together with this one, nor with the specification.)
//!
//! A node that lists `perf` serves it; see [`PerfConfig`]. The measuring side:
//!
//! ```
//! # use stackwire_core::{Host, PeerId, Result};
//! # async fn example(host: Host, peer: PeerId) -> Result<()> {
//! let stream = host.open_stream(peer, &[stackwire_protocol_perf::ID.into()]).await?;
//! let report = stackwire_protocol_perf::perf(stream, 10 << 20, 10 << 20, |_| {}, host.env()).await?;
//! println!("up {:?}, down {:?}", report.upload_time, report.download_time);
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod serve;

pub use client::{Progress, Report, perf};
pub use config::PerfConfig;
pub use serve::Perf;

/// The protocol's id on the wire.
pub const ID: &str = "/perf/1.0.0";

/// What is sent: large enough that a layer below can fill several frames from one write.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

stackwire_plugin::register!(PerfConfig);
