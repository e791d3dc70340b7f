//! The laws of muxers, for yamux.

use stackwire_conformance::{muxer::Subject, muxer_laws};
use stackwire_muxer_yamux::YamuxConfig;

/// A window update of nothing for a stream that is over.
const LATE: &[u8] = b"\0\x01\0\0\0\0\0\x63\0\0\0\0";

fn subject() -> Subject {
    Subject::of(YamuxConfig { max_streams: 1024, ..Default::default() })
        .limited_to(YamuxConfig { max_streams: 16, ..Default::default() }, 16)
        .talking(b"", LATE)
}

muxer_laws!(subject);
