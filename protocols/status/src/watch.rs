//! What happens on one connection.

use std::sync::Arc;

use futures::future::join;
use stackwire_core::{
    ClosedBy, Conduct, ConnectionInfo, Error, Host, Kind, Layer, ProtocolId, Reason, Result, Role, Stream, Violation,
};
use stackwire_liveness::{Spoken, close, ends};
use tokio::sync::watch;

use crate::{
    ID, NAME,
    event::{StatusAccepted, StatusRefused},
    exchange::{Exchange, Outcome, refusal_of},
    judge::Sides,
    refusal::{Cause, Refusal},
    service::{PeerStatus, Validator},
    status::Shared,
};

/// Our side of a connection.
pub(crate) struct Party {
    host: Host,
    connection: Arc<ConnectionInfo>,
    shared: Arc<Shared>,
}

impl Party {
    pub(crate) fn new(host: Host, connection: Arc<ConnectionInfo>, shared: Arc<Shared>) -> Self {
        Self { host, connection, shared }
    }

    fn exchange<'a>(&'a self, validator: Option<&'a dyn Validator>) -> Exchange<'a> {
        let sides = Sides {
            us: self.host.identity().peer_id(),
            peer: self.connection.peer,
            binding: self.connection.binding,
            rules: self.shared.policy.rules,
        };
        Exchange { host: &self.host, sides, validator }
    }

    /// Serves an exchange that the peer began.
    pub(crate) async fn respond(&self, mut stream: Stream) -> Result<()> {
        let validator = self.shared.validator();
        let exchange = self.exchange(validator.as_deref());
        let responding = exchange.respond(&mut stream, self.shared.ours());
        let limit = self.shared.policy.limit;
        let outcome = self.host.env().timeout(limit, "exchanging statuses", responding).await;
        self.conclude(Role::Listener, outcome, Some((&exchange, &mut stream))).await
    }

    /// Begins an exchange. Fails with `NoCommonProtocol` where the peer does not speak the protocol, and as
    /// [`Error::is_end_of_connection`] says where the connection is on its way out; whatever else comes of it is concluded.
    async fn begin(&self) -> Result<()> {
        let validator = self.shared.validator();
        let exchange = self.exchange(validator.as_deref());
        let mut stream = None;
        let opening = async {
            let ours = self.shared.ours().await;
            let opened = self.host.open_stream_on(self.connection.id, &[ProtocolId::new(ID)]).await?;
            exchange.open(stream.insert(opened), ours).await
        };
        let outcome = self.host.env().timeout(self.shared.policy.limit, "exchanging statuses", opening).await;
        if let Err(error) = &outcome
            && (matches!(error.kind(), Kind::NoCommonProtocol { .. }) || error.is_end_of_connection())
        {
            return Err(error.clone());
        }
        let on = stream.as_mut().map(|stream| (&exchange, stream));
        if let Err(error) = self.conclude(Role::Dialer, outcome, on).await {
            self.host.stream_failed(self.connection.id, ProtocolId::new(ID), error);
        }
        Ok(())
    }

    /// Takes in what came of an exchange, tells the application, and closes the connection where it was refused. `role` is
    /// ours on the stream. Returns the error of an exchange that failed.
    async fn conclude(
        &self,
        role: Role,
        outcome: Result<Outcome>,
        on: Option<(&Exchange<'_>, &mut Stream)>,
    ) -> Result<()> {
        let ConnectionInfo { id: connection, peer, .. } = *self.connection;
        let (by, refusal, failure) = match outcome {
            Ok(Outcome::Accepted { status, unix_time }) => {
                self.accept(PeerStatus { status, unix_time, connection });
                return Ok(());
            }
            Ok(Outcome::WeRefuse(refusal)) => (ClosedBy::Us, refusal, Ok(())),
            Ok(Outcome::PeerRefuses(refusal)) => (ClosedBy::Peer, refusal, Ok(())),
            Err(error) => {
                if self.host.connection(connection).is_none() || error.is_end_of_connection() {
                    return Ok(());
                }
                if let Some(violation) = error.violation() {
                    self.host.report(&peer, Conduct::Broke(violation));
                }
                let error = error.at(Layer::Protocol, NAME);
                // What was accepted before stays. Of a peer that breaks off what it has begun we go on to expect a status.
                let renewing = self.shared.book.lock().has(&peer, connection);
                let is_harmless = renewing || (role == Role::Listener && ends(&error));
                let refusal = refusal_of(&error).filter(|_| error.violation().is_some() || !is_harmless);
                let Some(refusal) = refusal else { return Err(error) };
                if let Some((exchange, stream)) = on {
                    // Whether it hears it or not, it is refused.
                    let _ = exchange.refuse(stream, refusal.clone()).await;
                }
                (ClosedBy::Us, refusal, Err(error))
            }
        };
        if by == ClosedBy::Us && refusal.cause == Cause::BadSignature {
            self.host.report(&peer, Conduct::Broke(Violation::BadProof));
        }
        self.refuse(by, refusal).await;
        failure
    }

    fn accept(&self, status: PeerStatus) {
        let ConnectionInfo { id: connection, peer, .. } = *self.connection;
        let mut book = self.shared.book.lock();
        // Under the lock, so that whoever forgets what was said on a connection that has ended comes after us.
        if self.host.connection(connection).is_none() {
            return;
        }
        let renewed = book.accept(peer, status);
        drop(book);
        self.host.tell(NAME, Arc::new(StatusAccepted { connection, peer, renewed }));
    }

    /// Tells the application, and closes the connection. Who was refused leaves that to the other side at first.
    async fn refuse(&self, by: ClosedBy, refusal: Refusal) {
        let ConnectionInfo { id, peer, .. } = *self.connection;
        let Some(connection) = self.host.connection(id) else { return };
        let (words, Refusal { cause, code, text }) = (refusal.to_string(), refusal);
        self.host.tell(NAME, Arc::new(StatusRefused { connection: id, peer, by, cause, code, text }));
        if by == ClosedBy::Peer {
            let closed = async { Ok(connection.closed().await) };
            let waited = self.host.env().timeout(self.shared.policy.limit, "waiting for the end", closed).await;
            if waited.is_ok() {
                return;
            }
        }
        let error = Error::closed("a connection whose status is refused").at(Layer::Protocol, NAME);
        close(&self.host, &connection, Reason::StatusRefused, &words, error).await;
    }
}

/// Sees to it that there is a status on one connection, until it is dropped.
pub(crate) struct Watch {
    party: Party,
    spoken: Spoken,
    renewals: watch::Receiver<u64>,
}

impl Watch {
    pub(crate) fn new(party: Party) -> Self {
        let spoken = Spoken::new(party.host.clone(), party.connection.peer, ID);
        let renewals = party.shared.renewals.subscribe();
        Self { party, spoken, renewals }
    }

    pub(crate) async fn run(self) {
        if self.party.connection.path.role == Role::Dialer && !self.begin().await {
            return;
        }
        join(self.demand(), self.renew()).await;
    }

    /// Refuses a peer that has no status in time.
    async fn demand(&self) {
        if self.party.connection.path.role == Role::Listener {
            self.party.host.env().sleep(self.party.shared.policy.limit).await;
        }
        if !self.has_one() && self.is_wrong_without() {
            let refusal = Refusal::new(Cause::NotInTime, "there was no status in time");
            self.party.refuse(ClosedBy::Us, refusal).await;
        }
    }

    /// Begins anew whenever the application asks for it. What it asked for meanwhile is not lost: the receiver remembers it.
    async fn renew(&self) {
        let mut renewals = self.renewals.clone();
        while renewals.changed().await.is_ok() {
            if self.spoken.is_likely() || self.has_one() {
                let _on_its_way_out = self.begin().await;
            }
        }
    }

    /// Whether the connection is one on which there is anything to be expected any more.
    async fn begin(&self) -> bool {
        match self.party.begin().await {
            Err(error) if error.is_end_of_connection() => return false,
            Err(_) => self.spoken.refuse(),
            Ok(()) => {}
        }
        true
    }

    fn has_one(&self) -> bool {
        let ConnectionInfo { id, peer, .. } = *self.party.connection;
        self.party.shared.book.lock().has(&peer, id)
    }

    /// Whether a peer without a status is refused: where one is required of everybody, and of those that speak the protocol.
    fn is_wrong_without(&self) -> bool {
        let speaks = match self.party.connection.path.role {
            // What a dialer that speaks it has begun is concluded by now.
            Role::Dialer => false,
            Role::Listener => self.spoken.told() == Some(true),
        };
        self.party.shared.policy.required || speaks
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let ConnectionInfo { id, peer, .. } = *self.party.connection;
        self.party.shared.book.lock().end(&peer, id);
    }
}
