//! The protocol: answers pings, and pings every connection.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_core::{ConnectionId, ConnectionInfo, Host, Layer, Protocol, ProtocolId, Result, Stream};
use stackwire_liveness::{Places, answer, each_connection};

use crate::{
    ID,
    pace::{Pace, keep_pinging},
};

/// The most streams a connection may have open to us for pings.
const MAX_INBOUND: u32 = 2;

/// The protocol `ping`.
///
/// It answers on at most two streams a connection; a third is refused with `LimitExceeded`. By itself it pings each
/// connection, emits [`Event::Pinged`](stackwire_core::Event::Pinged) for each answer and
/// [`Event::StreamFailed`](stackwire_core::Event::StreamFailed) for each failure, after which it tries
/// again. A peer that ends the stream between two pings has not failed. A connection that leaves two pings in a row
/// unanswered, and moves nothing else meanwhile, is given up, whatever its muxer.
pub struct Ping {
    pace: Option<Pace>,
    inbound: Places<ConnectionId>,
}

impl Ping {
    /// Pings each connection `interval` after the last answer (`None`: never), waiting `timeout` for an answer.
    pub fn new(interval: Option<Duration>, timeout: Duration) -> Self {
        let pace = interval.map(|interval| Pace { interval, quiet: interval, timeout });
        // Connections are limited elsewhere.
        let inbound = Places::new(("inbound ping streams of a connection", MAX_INBOUND), ("ping streams", u32::MAX));
        Self { pace, inbound }
    }

    /// Lets the interval grow to `quiet` while a connection moves nothing but pings. No effect where it is the shorter.
    pub fn with_quiet_interval(mut self, quiet: Duration) -> Self {
        if let Some(pace) = &mut self.pace {
            pace.quiet = quiet.max(pace.interval);
        }
        self
    }
}

#[async_trait]
impl Protocol for Ping {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID)]
    }

    fn keep_alive(&self) -> bool {
        false
    }

    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        let answering = async {
            let _inbound = self.inbound.enter(stream.connection())?;
            answer(stream, || ()).await
        };
        answering.await.map_err(|e| e.at(Layer::Protocol, "ping"))
    }

    async fn run(&self, host: &Host) {
        let Some(pace) = self.pace else { return };
        let ping = |host: Host, connection: Arc<ConnectionInfo>| async move {
            keep_pinging(&host, connection.id, connection.peer, pace).await;
        };
        each_connection(host, "ping", ping).await;
    }
}
