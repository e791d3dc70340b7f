//! When a connection is pinged, and when its silence is its end.

use std::time::Duration;

use stackwire_core::{ConnectionId, Error, Host, Kind, Layer, PeerId, ProtocolId};
use stackwire_liveness::{is_alive, is_in_use, jittered};

use crate::{ID, client::Pinger};

/// Pings in a row that a connection may leave unanswered while it moves nothing else.
const MAX_UNANSWERED: u32 = 2;

/// How often, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two pings of a connection that is in use.
    pub(crate) interval: Duration,
    /// What the interval grows to on one that is not: it doubles with every ping.
    pub(crate) quiet: Duration,
    /// For an answer.
    pub(crate) timeout: Duration,
}

/// Ends when the connection is gone. A failure or an end costs nothing that grows with the number of connections.
pub(crate) async fn keep_pinging(host: &Host, connection: ConnectionId, peer: PeerId, pace: Pace) {
    let env = host.env();
    let mut pinger = Pinger::new(host.clone(), connection);
    let (mut unanswered, mut interval) = (0, pace.interval);
    let mut last = host.traffic(connection);
    loop {
        let before = host.traffic(connection);
        match env.timeout(pace.timeout, "waiting for the answer to a ping", pinger.ping()).await {
            Ok(round_trip) => {
                unanswered = 0;
                host.measured(peer, round_trip);
            }
            // A refusal is an answer, too: somebody is there.
            Err(error) if matches!(error.kind(), Kind::NoCommonProtocol { .. }) => unanswered = 0,
            Err(error) => {
                if host.connection(connection).is_none() {
                    return;
                }
                let silent = matches!(error.kind(), Kind::Timeout { .. });
                // A stream that ends properly, as all do when a connection is being closed, is no failure.
                if *error.kind() != Kind::Closed && !error.is_end_of_connection() {
                    host.stream_failed(connection, ProtocolId::new(ID), error.at(Layer::Protocol, "ping"));
                }
                // What is not counted is not judged: transports without counts notice by themselves.
                if silent && is_alive(before, host.traffic(connection), 0) == Some(false) {
                    unanswered += 1;
                    if unanswered >= MAX_UNANSWERED {
                        let limit = pace.timeout * MAX_UNANSWERED;
                        let gone = Error::new(Kind::Timeout { limit }, "waiting for any sign of the peer");
                        return host.give_up(connection, gone.at(Layer::Protocol, "ping"));
                    }
                    // At once: either the answer was lost with its stream, or nobody is there.
                    continue;
                }
                unanswered = 0;
            }
        }
        let now = host.traffic(connection);
        interval = match is_in_use(last, now) {
            true => pace.interval,
            false => interval.min(pace.quiet),
        };
        last = now;
        let pause = jittered(interval, env);
        match interval > pace.interval {
            // Thousands of quiet connections are pinged in batches.
            true => env.sleep_loosely(pause).await,
            false => env.sleep(pause).await,
        }
        interval = interval.saturating_mul(2);
    }
}
