//! What a connection has moved.

use std::sync::Arc;

use serde::Serialize;
use stackwire_core::Stage;
use stackwire_wrap::{Meter, metered};

/// Bytes that a connection has moved, handshakes and framing of security and muxer included, those of the transport
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// From the peer.
    pub received: u64,
    /// To the peer.
    pub sent: u64,
}

/// `stage` with its bytes counted. A transport that brings its own streams counts nothing.
pub(crate) fn count(stage: Stage) -> (Stage, Arc<Meter>) {
    let meter = Arc::<Meter>::default();
    let stage = match stage {
        Stage::Raw(pipe) => Stage::Raw(metered(pipe, meter.clone())),
        Stage::Secured(mut secured) => {
            secured.pipe = metered(secured.pipe, meter.clone());
            Stage::Secured(secured)
        }
        Stage::Multiplexed(top) => Stage::Multiplexed(top),
    };
    (stage, meter)
}

impl Traffic {
    pub(crate) fn of(meter: &Meter) -> Self {
        Self { received: meter.bytes_read(), sent: meter.bytes_written() }
    }
}
