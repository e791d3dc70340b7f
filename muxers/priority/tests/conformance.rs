//! The laws of the muxer layer, on priority.

use stackwire_conformance::{muxer::Subject, muxer_laws};
use stackwire_muxer_priority::PriorityConfig;

const SETTINGS: &[u8] = &[0; 8];
/// One more byte for the connection.
const CREDIT: &[u8] = &[3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1];

fn subject() -> Subject {
    let limited = PriorityConfig { max_streams: 16, ..Default::default() };
    Subject::of(PriorityConfig::default()).limited_to(limited, 16).talking(SETTINGS, CREDIT)
}

muxer_laws!(subject);
