//! The laws of the muxer layer, on mplex.

use stackwire_conformance::{muxer::Subject, muxer_laws};
use stackwire_muxer_mplex::MplexConfig;

fn subject() -> Subject {
    let limited = MplexConfig { max_streams: 16, ..Default::default() };
    Subject::of(MplexConfig::default()).limited_to(limited, 16)
}

muxer_laws!(subject);
