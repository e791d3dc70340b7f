//! The laws of muxers, for yamux-ref.

use stackwire_conformance::{muxer::Subject, muxer_laws};
use stackwire_muxer_yamux_ref::YamuxConfig;

fn subject() -> Subject {
    Subject::of(YamuxConfig { max_streams: 1024, ..Default::default() })
        .limited_to(YamuxConfig { max_streams: 16, ..Default::default() }, 16)
}

muxer_laws!(subject);
