//! Asking one peer.

use std::{sync::Arc, time::Duration};

use futures::future::join3;
use stackwire_core::{Conduct, ConnectionInfo, Error, Host, Kind, Layer, Reason, Result, Traffic};
use stackwire_liveness::{IN_USE, Spoken, close, is_alive};

use crate::{
    ID, NAME,
    ask::Wire,
    event::MonitorEvent,
    model::{Answer, Question},
    monitor::{Policy, Shared},
    table::Clocks,
};

/// By how much a question is put off by chance, in milliseconds.
const PUT_OFF: u16 = 1000;
/// Asks the peer of one connection until it is dropped.
pub(crate) struct Watch<W> {
    host: Host,
    connection: Arc<ConnectionInfo>,
    policy: Policy,
    shared: Arc<Shared>,
    spoken: Spoken,
    wire: W,
}

impl<W: Wire> Watch<W> {
    pub(crate) fn new(
        host: Host,
        connection: Arc<ConnectionInfo>,
        policy: Policy,
        shared: Arc<Shared>,
        wire: W,
    ) -> Self {
        let spoken = Spoken::new(host.clone(), connection.peer, ID);
        shared.table.lock().begin(connection.peer);
        Self { host, connection, policy, shared, spoken, wire }
    }

    pub(crate) async fn run(self) {
        join3(self.ping(), self.ask_network(), self.ask_node()).await;
    }

    async fn ping(&self) {
        let Some(interval) = self.policy.ping_interval else { return };
        let mut number = 0;
        loop {
            if self.is_due().await {
                let before = self.host.traffic(self.connection.id);
                let ended = match self.ask(Question::Ping(number), self.policy.ping_timeout).await {
                    Some(Ok((_, round_trip))) => {
                        let now = self.host.env().now();
                        self.shared.table.lock().ponged(&self.connection.peer, round_trip, now);
                        false
                    }
                    Some(Err(error)) => self.failed(error, before).await,
                    None => false,
                };
                if ended {
                    return;
                }
                number += 1;
            }
            self.spoken.pause(interval).await;
        }
    }

    async fn ask_network(&self) {
        let Some(interval) = self.policy.network_interval else { return };
        loop {
            if self.is_due().await
                && let Some(Ok((Answer::Network(told), _))) =
                    self.ask(Question::Network, self.policy.answer_timeout).await
            {
                self.shared.table.lock().told_network(&self.connection.peer, told, self.host.env().now());
            }
            self.spoken.pause(interval).await;
        }
    }

    async fn ask_node(&self) {
        let Some(interval) = self.policy.node_interval else { return };
        loop {
            if self.is_due().await
                && let Some(Ok((Answer::Node(told), round_trip))) =
                    self.ask(Question::Node, self.policy.answer_timeout).await
            {
                let (env, peer) = (self.host.env(), self.connection.peer);
                let clocks = Clocks { theirs: told.unix_time, ours: env.unix_time(), round_trip };
                let (limit, now) = (self.policy.max_skew, env.now());
                let over = self.shared.table.lock().told_node(&peer, (told, clocks), limit, now);
                if let Some(offset_ms) = over {
                    self.tell(MonitorEvent::ClockSkew { peer, offset_ms });
                }
            }
            self.spoken.pause(interval).await;
        }
    }

    /// Waits a moment, so that not all are asked at once. Then whether this connection is the one by which its peer is asked:
    /// the newest, because an older one may be on its way out.
    async fn is_due(&self) -> bool {
        let put_off = u16::from_be_bytes(self.host.env().random()) % PUT_OFF;
        self.host.env().sleep(Duration::from_millis(put_off.into())).await;
        let peers = self.host.peers();
        let newest = peers.get(&self.connection.peer).and_then(|peer| peer.connections.last());
        self.spoken.is_likely() && newest.is_some_and(|newest| newest.id == self.connection.id)
    }

    /// The answer and how long it took, or what is wrong; `None` where nothing is, and there is no answer: the peer does not
    /// speak the protocol, or the connection has ended.
    async fn ask(&self, question: Question, limit: Duration) -> Option<Result<(Answer, Duration)>> {
        let asking = self.wire.ask(&self.host, self.connection.id, question);
        let error = match self.host.env().timeout(limit, "waiting for an answer", asking).await {
            Ok(answered) => return Some(Ok(answered)),
            Err(error) => error,
        };
        if matches!(error.kind(), Kind::NoCommonProtocol { .. }) {
            self.spoken.refuse();
            return None;
        }
        if error.is_end_of_connection() || self.host.connection(self.connection.id).is_none() {
            return None;
        }
        if let Some(violation) = error.violation() {
            self.host.report(&self.connection.peer, Conduct::Broke(violation));
        }
        Some(Err(error))
    }

    /// Whether that was the end of the connection.
    async fn failed(&self, error: Error, before: Option<Traffic>) -> bool {
        let ConnectionInfo { id, peer, .. } = *self.connection;
        let failures = self.shared.table.lock().failed(&peer);
        let too_many = self.policy.disconnect_after.is_some_and(|most| failures >= most);
        // Nobody's silence ends a connection that has just moved bytes.
        if !too_many || is_alive(before, self.host.traffic(id), IN_USE) == Some(true) {
            return false;
        }
        let Some(connection) = self.host.connection(id) else { return true };
        self.tell(MonitorEvent::Unanswered { connection: id, peer, failures });
        let detail = format!("{failures} pings in succession had no answer");
        close(&self.host, &connection, Reason::HealthCheck, &detail, error.at(Layer::Protocol, NAME)).await;
        true
    }

    fn tell(&self, event: MonitorEvent) {
        self.host.tell(NAME, Arc::new(event));
    }
}

impl<W> Drop for Watch<W> {
    fn drop(&mut self) {
        self.shared.table.lock().end(&self.connection.peer);
    }
}
