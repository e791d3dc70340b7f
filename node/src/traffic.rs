//! What a connection has moved, and whether anything moves.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use stackwire_core::{Env, Stage};
use stackwire_wrap::{Meter, metered_and_write_timed};

/// Bytes that a connection has moved, handshakes and framing of security and muxer included, those of the transport
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// From the peer.
    pub received: u64,
    /// To the peer.
    pub sent: u64,
}

/// `stage` with its bytes counted, and ended when its peer takes nothing of what is written for `limit`. A transport that
/// brings its own streams counts nothing, and keeps its own time.
pub(crate) fn watch(stage: Stage, limit: Duration, env: &Env) -> (Stage, Arc<Meter>) {
    let meter = Arc::<Meter>::default();
    let watched = |pipe| metered_and_write_timed(pipe, meter.clone(), limit, env);
    let stage = match stage {
        Stage::Raw(pipe) => Stage::Raw(watched(pipe)),
        Stage::Secured(mut secured) => {
            secured.pipe = watched(secured.pipe);
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
