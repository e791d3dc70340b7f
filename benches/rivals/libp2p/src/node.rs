//! A swarm in a task of its own, and what it is told.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::upgrade::Version,
    identity::Keypair,
    swarm::{
        Config, ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use stackwire_contest::Result;
use tokio::sync::{mpsc, oneshot};

use crate::{
    handler::{Behaviour, Opening},
    transport::transport,
};

type Dialed = (ConnectionId, mpsc::UnboundedSender<Opening>);

enum Order {
    Listen(Multiaddr, oneshot::Sender<Result<Multiaddr>>),
    Dial(PeerId, Multiaddr, oneshot::Sender<Result<Dialed>>),
    Close(ConnectionId, oneshot::Sender<()>),
}

/// Tells a swarm what to do; it runs for as long as anybody does.
#[derive(Clone)]
pub struct Node(mpsc::UnboundedSender<Order>);

impl Node {
    /// Starts a swarm of `stack` with a fresh identity.
    pub fn start(stack: &str) -> Result<(Self, PeerId)> {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let config = Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(24 * 60 * 60))
            .with_substream_upgrade_protocol_override(Version::V1Lazy)
            .with_max_negotiating_inbound_streams(8192)
            .with_notify_handler_buffer_size(NonZeroUsize::MIN.saturating_add(63))
            .with_per_connection_event_buffer_size(64);
        let swarm = Swarm::new(transport(stack, &key)?, Behaviour::default(), peer, config);
        let (orders, received) = mpsc::unbounded_channel();
        tokio::spawn(run(swarm, received));
        Ok((Self(orders), peer))
    }

    /// Listens; returns the address with its port.
    pub async fn listen(&self, address: Multiaddr) -> Result<Multiaddr> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Order::Listen(address, answer))?;
        answered.await?
    }

    /// Makes a connection, whether there is one already or not.
    pub async fn dial(&self, peer: PeerId, address: Multiaddr) -> Result<Dialed> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Order::Dial(peer, address, answer))?;
        answered.await?
    }

    /// Closes a connection and waits until it is closed.
    pub async fn close(&self, id: ConnectionId) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Order::Close(id, answer)).is_ok() {
            let _ = answered.await;
        }
    }
}

#[derive(Default)]
struct Waiting {
    listening: Vec<oneshot::Sender<Result<Multiaddr>>>,
    dialing: HashMap<ConnectionId, oneshot::Sender<Result<Dialed>>>,
    closing: HashMap<ConnectionId, oneshot::Sender<()>>,
}

async fn run(mut swarm: Swarm<Behaviour>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut waiting = Waiting::default();
    loop {
        // That nobody waits for an answer any more is no failure, here and below.
        tokio::select! {
            event = swarm.select_next_some() => waiting.learn(event, swarm.behaviour_mut()),
            order = orders.recv() => match order {
                Some(order) => waiting.follow(order, &mut swarm),
                None => return,
            },
        }
    }
}

impl Waiting {
    fn follow(&mut self, order: Order, swarm: &mut Swarm<Behaviour>) {
        match order {
            Order::Listen(address, answer) => match swarm.listen_on(address) {
                Ok(_) => self.listening.push(answer),
                Err(error) => drop(answer.send(Err(error.into()))),
            },
            Order::Dial(peer, address, answer) => {
                let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![address]);
                let dial = dial.allocate_new_port().build();
                let id = dial.connection_id();
                match swarm.dial(dial) {
                    Ok(()) => drop(self.dialing.insert(id, answer)),
                    Err(error) => drop(answer.send(Err(error.into()))),
                }
            }
            Order::Close(id, answer) => match swarm.close_connection(id) {
                true => drop(self.closing.insert(id, answer)),
                false => drop(answer.send(())),
            },
        }
    }

    fn learn<E>(&mut self, event: SwarmEvent<E>, behaviour: &mut Behaviour) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                self.listening.drain(..).for_each(|answer| drop(answer.send(Ok(address.clone()))));
            }
            SwarmEvent::ConnectionEstablished { connection_id: id, .. } => {
                if let (Some(answer), Some(streams)) = (self.dialing.remove(&id), behaviour.dialed.remove(&id)) {
                    let _ = answer.send(Ok((id, streams)));
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(answer) = self.dialing.remove(&connection_id) {
                    let _ = answer.send(Err(error.into()));
                }
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                if let Some(answer) = self.closing.remove(&connection_id) {
                    let _ = answer.send(());
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => eprintln!("an incoming connection failed: {error}"),
            _ => {}
        }
    }
}
