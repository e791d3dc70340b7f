//! The laws of the muxer layer, on mplex.

use stackwire_conformance::{muxer::Subject, muxer_laws};
use stackwire_muxer_mplex::MplexConfig;

/// A message of nothing for a stream that is over.
const LATE: &[u8] = b"\x99\x06\0";

fn subject() -> Subject {
    let limited = MplexConfig { max_streams: 16, ..Default::default() };
    Subject::of(MplexConfig::default()).limited_to(limited, 16).talking(b"", LATE)
}

muxer_laws!(subject);
