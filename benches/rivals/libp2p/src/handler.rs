//! What opens and accepts streams: one handler in each connection.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        StreamUpgradeError, SubstreamProtocol, THandlerInEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::{mpsc, oneshot};

use crate::stream::Substream;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/contest/1");

/// Whoever wants a stream.
pub type Opening = oneshot::Sender<io::Result<Substream>>;

/// Gives each connection its handler.
#[derive(Default)]
pub struct Behaviour {
    /// Where streams of a connection that this side dialed are asked for, until the dialer takes it.
    pub dialed: HashMap<ConnectionId, mpsc::UnboundedSender<Opening>>,
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler { openings: None })
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        let (sender, openings) = mpsc::unbounded_channel();
        self.dialed.insert(id, sender);
        Ok(Handler { openings: Some(openings) })
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

pub struct Handler {
    /// Streams that are wanted; `None` where nobody can want any.
    openings: Option<mpsc::UnboundedReceiver<Opening>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Opening, Infallible>> {
        if let Some(openings) = &mut self.openings {
            match openings.poll_recv(cx) {
                Poll::Ready(Some(opening)) => {
                    let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), opening);
                    return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
                }
                Poll::Ready(None) => self.openings = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Opening>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                tokio::spawn(stackwire_contest::serve(Substream(stream)));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: opening }) => {
                // Whoever wanted it may have stopped waiting.
                let _ = opening.send(Ok(Substream(stream)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info: opening }) => {
                let error = match error {
                    StreamUpgradeError::Io(error) => error,
                    error => io::Error::other(error),
                };
                let _ = opening.send(Err(error));
            }
            _ => {}
        }
    }
}
