//! Watching one connection.

use std::{sync::Arc, time::Duration};

use futures::channel::mpsc;
use parking_lot::Mutex;
use stackwire_core::{Conduct, ConnectionInfo, Error, Host, Kind, Layer, PeerId, ProtocolId, Reason, Role, Traffic};
use stackwire_liveness::{IN_USE, Prober, Spoken, close, is_alive};

use crate::{
    ID, NAME,
    event::HealthEvent,
    health::Policy,
    standing::{Standings, Verdict},
};

/// Watches one connection until it is dropped, or the connection is gone.
pub(crate) struct Watch {
    host: Host,
    connection: Arc<ConnectionInfo>,
    policy: Policy,
    standings: Arc<Mutex<Standings>>,
    again: mpsc::Sender<PeerId>,
    prober: Prober,
    spoken: Spoken,
}

impl Watch {
    pub(crate) fn new(
        host: Host,
        connection: Arc<ConnectionInfo>,
        policy: Policy,
        standings: Arc<Mutex<Standings>>,
        again: mpsc::Sender<PeerId>,
    ) -> Self {
        let prober = Prober::new(host.clone(), connection.id, ProtocolId::new(ID));
        let spoken = Spoken::new(host.clone(), connection.peer, ID);
        standings.lock().begin(connection.id);
        Self { host, connection, policy, standings, again, prober, spoken }
    }

    pub(crate) async fn run(mut self, interval: Duration) {
        let mut pause = interval;
        loop {
            self.spoken.pause(pause).await;
            pause = interval;
            let before = self.host.traffic(self.connection.id);
            let probing = self.prober.probe();
            let probed =
                self.host.env().timeout(self.policy.timeout, "waiting for the answer to a probe", probing).await;
            match probed {
                Ok(_) => self.answered(),
                Err(error) if matches!(error.kind(), Kind::NoCommonProtocol { .. }) => {
                    self.spoken.refuse();
                    self.answered();
                }
                Err(_) if self.host.connection(self.connection.id).is_none() => return,
                Err(error) if error.is_end_of_connection() => {}
                Err(error) => {
                    if matches!(error.kind(), Kind::Timeout { .. }) {
                        // At once: either the answer was lost with its stream, or nobody is there.
                        pause = Duration::ZERO;
                    }
                    if self.failed(error, before).await {
                        return;
                    }
                }
            }
        }
    }

    fn answered(&self) {
        let was_failing = self.standings.lock().answered(self.connection.id);
        if was_failing {
            self.tell(HealthEvent::Healthy { connection: self.connection.id, peer: self.connection.peer });
        }
    }

    /// Whether that was the end of the connection.
    async fn failed(&mut self, error: Error, before: Option<Traffic>) -> bool {
        let ConnectionInfo { id: connection, peer, .. } = *self.connection;
        if let Some(violation) = error.violation() {
            self.host.report(&peer, Conduct::Broke(violation));
        }
        let verdict = self.standings.lock().failed(connection, self.policy.tolerated);
        match verdict {
            Verdict::Tolerated => return false,
            Verdict::Failing => self.tell(HealthEvent::Failing { connection, peer, why: error.to_string() }),
            // Nobody's silence ends a connection that has just moved bytes.
            Verdict::TooMany(failures) if is_alive(before, self.host.traffic(connection), IN_USE) == Some(true) => {
                if failures == 1 {
                    self.tell(HealthEvent::Failing { connection, peer, why: error.to_string() });
                }
            }
            Verdict::TooMany(failures) => {
                self.tell(HealthEvent::Dropped { connection, peer, failures });
                self.close(failures, error).await;
                return true;
            }
        }
        false
    }

    /// Closes the connection, and has its peer dialed again where we had dialed it.
    async fn close(&mut self, failures: u32, error: Error) {
        let Some(connection) = self.host.connection(self.connection.id) else { return };
        if self.policy.redial && self.connection.path.role == Role::Dialer {
            // Where too many wait, whoever wants the peer dials it.
            let _ = self.again.try_send(self.connection.peer);
        }
        let detail = format!("{failures} probes failed in succession");
        close(&self.host, &connection, Reason::HealthCheck, &detail, error.at(Layer::Protocol, NAME)).await;
    }

    fn tell(&self, event: HealthEvent) {
        self.host.tell(NAME, Arc::new(event));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.standings.lock().end(self.connection.id);
    }
}
