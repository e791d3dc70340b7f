//! The protocol: answers probes, and watches every connection.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{channel::mpsc, future::join};
use parking_lot::Mutex;
use stackwire_core::{ConnectionId, ConnectionInfo, Host, Layer, Protocol, ProtocolId, Result, Stream};
use stackwire_liveness::{Places, answer, each_connection};

use crate::{
    ID, NAME,
    event::HealthEvent,
    redial::{WAITING, redial},
    standing::Standings,
    watch::Watch,
};

/// The most streams a connection may have open to us for probes.
const MAX_INBOUND: u32 = 2;

/// When a connection is probed, and when it is closed.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Between two probes of a connection; `None`: it is never probed.
    pub interval: Option<Duration>,
    /// For an answer.
    pub timeout: Duration,
    /// Failures in succession that close nothing.
    pub tolerated: u32,
    /// Whether a peer that we had dialed is dialed once more.
    pub redial: bool,
}

/// The protocol `health`.
///
/// It answers on at most two streams a connection; a third is refused with `LimitExceeded`.
pub struct Health {
    policy: Policy,
    inbound: Places<ConnectionId>,
    standings: Arc<Mutex<Standings>>,
}

impl Health {
    /// By this policy.
    pub fn new(policy: Policy) -> Self {
        // Connections are limited elsewhere.
        let inbound =
            Places::new(("inbound health streams of a connection", MAX_INBOUND), ("health streams", u32::MAX));
        Self { policy, inbound, standings: Arc::default() }
    }

    fn probed(&self, host: &Host, connection: &ConnectionInfo) {
        let was_failing = self.standings.lock().answered(connection.id);
        if was_failing {
            host.tell(NAME, Arc::new(HealthEvent::Healthy { connection: connection.id, peer: connection.peer }));
        }
    }
}

#[async_trait]
impl Protocol for Health {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID)]
    }

    fn keep_alive(&self) -> bool {
        false
    }

    async fn serve(&self, stream: Stream, host: &Host) -> Result<()> {
        let connection = stream.info().clone();
        let answering = async {
            let _inbound = self.inbound.enter(connection.id)?;
            answer(stream, || self.probed(host, &connection)).await
        };
        answering.await.map_err(|e| e.at(Layer::Protocol, NAME))
    }

    async fn run(&self, host: &Host) {
        let Some(interval) = self.policy.interval else { return };
        let (again, dropped) = mpsc::channel(WAITING);
        let (policy, standings) = (self.policy, self.standings.clone());
        let watch = move |host: Host, connection: Arc<ConnectionInfo>| {
            let watch = Watch::new(host, connection, policy, standings.clone(), again.clone());
            watch.run(interval)
        };
        join(each_connection(host, NAME, watch), redial(host, dropped)).await;
    }
}
