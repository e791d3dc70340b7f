//! What a connection has moved, and whether anything moves.

use std::{sync::Arc, time::Duration};

use stackwire_core::{Env, Stage, Traffic};
use stackwire_wrap::{Meter, metered_and_write_timed};

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

/// What `meter` has counted.
pub(crate) fn of(meter: &Meter) -> Traffic {
    Traffic { received: meter.bytes_read(), sent: meter.bytes_written() }
}
