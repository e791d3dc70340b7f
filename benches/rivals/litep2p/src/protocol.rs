//! The protocol of the contest's streams, as a user of `litep2p` writes one.

use std::{
    collections::{HashMap, VecDeque},
    io,
};

use async_trait::async_trait;
use futures::StreamExt;
use litep2p::{
    PeerId, ProtocolName,
    codec::ProtocolCodec,
    error::SubstreamError,
    protocol::{Direction, TransportEvent, TransportService, UserProtocol},
    types::{SubstreamId, multiaddr::Multiaddr},
};
use tokio::sync::{mpsc, oneshot};

use crate::stream::Stream;

type Answer<T> = oneshot::Sender<io::Result<T>>;

/// What the protocol is told to do.
pub enum Order {
    Dial(Multiaddr, Answer<()>),
    Open(Answer<Stream>),
    Close(Answer<()>),
}

/// Whoever waits for the node's connection and its streams.
pub struct Protocol {
    orders: mpsc::UnboundedReceiver<Order>,
    /// The peer of the connection, while there is one.
    peer: Option<PeerId>,
    dialing: Option<Answer<()>>,
    closing: Option<Answer<()>>,
    opening: HashMap<SubstreamId, Answer<Stream>>,
    /// For whom the connection had no room yet; it has as soon as another stream is open.
    held: VecDeque<Answer<Stream>>,
}

impl Protocol {
    pub fn new(orders: mpsc::UnboundedReceiver<Order>) -> Self {
        let (opening, held) = (HashMap::new(), VecDeque::new());
        Self { orders, peer: None, dialing: None, closing: None, opening, held }
    }

    fn follow(&mut self, order: Order, service: &mut TransportService) {
        match order {
            Order::Dial(address, answer) => match service.dial_address(address) {
                Ok(()) => self.dialing = Some(answer),
                Err(error) => drop(answer.send(Err(failed(error)))),
            },
            Order::Open(answer) => {
                self.held.push_back(answer);
                self.open_held(service);
            }
            Order::Close(answer) => match self.peer.map(|peer| service.force_close(peer).map_err(failed)) {
                Some(Ok(())) => self.closing = Some(answer),
                Some(Err(error)) => drop(answer.send(Err(error))),
                None => drop(answer.send(Ok(()))),
            },
        }
    }

    fn open_held(&mut self, service: &mut TransportService) {
        while let Some(answer) = self.held.pop_front() {
            let Some(peer) = self.peer else {
                drop(answer.send(Err(io::ErrorKind::NotConnected.into())));
                continue;
            };
            match service.open_substream(peer) {
                Ok(id) => drop(self.opening.insert(id, answer)),
                Err(SubstreamError::ChannelClogged) if !self.opening.is_empty() => {
                    return self.held.push_front(answer);
                }
                Err(error) => drop(answer.send(Err(failed(error)))),
            }
        }
    }

    fn learn(&mut self, event: TransportEvent, service: &mut TransportService) {
        match event {
            TransportEvent::ConnectionEstablished { peer, .. } => {
                self.peer = Some(peer);
                if let Some(answer) = self.dialing.take() {
                    let _ = answer.send(Ok(()));
                }
            }
            TransportEvent::DialFailure { .. } => {
                if let Some(answer) = self.dialing.take() {
                    let _ = answer.send(Err(io::Error::other("the dial failed")));
                }
            }
            TransportEvent::ConnectionClosed { .. } => {
                self.peer = None;
                if let Some(answer) = self.closing.take() {
                    let _ = answer.send(Ok(()));
                }
            }
            TransportEvent::SubstreamOpened { direction, substream, .. } => match direction {
                Direction::Inbound => drop(tokio::spawn(stackwire_contest::serve(Stream(substream)))),
                Direction::Outbound(id) => {
                    if let Some(answer) = self.opening.remove(&id) {
                        let _ = answer.send(Ok(Stream(substream)));
                    }
                    self.open_held(service);
                }
            },
            TransportEvent::SubstreamOpenFailure { substream, error } => {
                if let Some(answer) = self.opening.remove(&substream) {
                    let _ = answer.send(Err(failed(error)));
                }
                self.open_held(service);
            }
        }
    }
}

fn failed(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{error:?}"))
}

#[async_trait]
impl UserProtocol for Protocol {
    fn protocol(&self) -> ProtocolName {
        ProtocolName::from("/contest/1")
    }

    fn codec(&self) -> ProtocolCodec {
        ProtocolCodec::Unspecified
    }

    async fn run(mut self: Box<Self>, mut service: TransportService) -> litep2p::Result<()> {
        loop {
            tokio::select! {
                event = service.next() => match event {
                    Some(event) => self.learn(event, &mut service),
                    None => return Ok(()),
                },
                // A server has nobody who tells it anything.
                Some(order) = self.orders.recv() => self.follow(order, &mut service),
            }
        }
    }
}
