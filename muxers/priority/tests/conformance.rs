//! The laws of the muxer layer, on priority.

use stackwire_conformance::{muxer::Subject, muxer_laws};
use stackwire_muxer_priority::PriorityConfig;

fn subject() -> Subject {
    let limited = PriorityConfig { max_streams: 16, ..Default::default() };
    Subject::of(PriorityConfig::default()).limited_to(limited, 16)
}

muxer_laws!(subject);
