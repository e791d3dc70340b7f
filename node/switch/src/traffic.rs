//! What a connection has moved, whether anything moves, and how fast it may.

use std::{sync::Arc, time::Duration};

use stackwire_core::{BoxPipe, Env, Multiaddr, Stage, Traffic};
use stackwire_wrap::{Meter, Throttle, metered_and_write_timed, throttled};

use crate::{admission::Host, rates::Paces};

/// What watches a connection.
pub(crate) struct Watched {
    pub(crate) meter: Arc<Meter>,
    /// How fast its bytes may pass, where the configuration says.
    pub(crate) throttle: Option<Throttle>,
}

impl Watched {
    /// A stream that a transport brings along, at the pace of its connection: nobody sees the bytes below it.
    pub(crate) fn paced(&self, stream: BoxPipe, is_brought: bool, env: &Env) -> BoxPipe {
        match &self.throttle {
            Some(throttle) if is_brought => throttled(stream, throttle.clone(), env),
            _ => stream,
        }
    }
}

/// `stage` with its bytes counted, and ended when its peer takes nothing of what is written for `limit`. A transport that
/// brings its own streams counts nothing, and keeps its own time.
pub(crate) fn watch(paces: &Paces, stage: Stage, remote: &Multiaddr, limit: Duration, env: &Env) -> (Stage, Watched) {
    let meter = Arc::<Meter>::default();
    let pace = || Throttle::new(paces.bytes_of_host(Host::of(remote)));
    let throttle = paces.of_bytes().then(pace);
    let watched = |pipe| {
        let pipe = match &throttle {
            Some(throttle) => throttled(pipe, throttle.clone(), env),
            None => pipe,
        };
        metered_and_write_timed(pipe, meter.clone(), limit, env)
    };
    let stage = match stage {
        Stage::Raw(pipe) => Stage::Raw(watched(pipe)),
        Stage::Secured(mut secured) => {
            secured.pipe = watched(secured.pipe);
            Stage::Secured(secured)
        }
        Stage::Multiplexed(top) => Stage::Multiplexed(top),
    };
    (stage, Watched { meter, throttle })
}

/// What `meter` has counted.
pub(crate) fn of(meter: &Meter) -> Traffic {
    Traffic { received: meter.bytes_read(), sent: meter.bytes_written() }
}
