//! Their swarm, in a task of its own, and what it has come to know.

use std::{collections::HashMap, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::ConnectedPoint,
    identify,
    identity::Keypair,
    ping,
    swarm::{self, NetworkBehaviour, SwarmEvent},
};
use tokio::sync::{mpsc, watch};

use super::transport::transport;
use crate::Stack;

/// What it calls itself.
pub(super) const AGENT: &str = "rust-libp2p/0.57";

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// What a swarm is told to do.
pub(super) enum Order {
    Dial(Multiaddr),
    Disconnect(PeerId),
}

/// What its events have said so far.
#[derive(Default)]
pub(super) struct Known {
    pub(super) listen: Option<Multiaddr>,
    pub(super) connections: HashMap<PeerId, Vec<ConnectedPoint>>,
    pub(super) told: HashMap<PeerId, identify::Info>,
    pub(super) pings: HashMap<PeerId, u32>,
    /// What should not have happened.
    pub(super) failures: Vec<String>,
}

pub(super) fn new(stack: Stack, key: &Keypair) -> (Swarm<Behaviour>, libp2p_stream::Control) {
    let identify = identify::Config::new_with_signed_peer_record("interop/1".into(), key);
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify.with_agent_version(AGENT.into())),
        // Often, because their mplex sends the reset of a dropped stream only with what is sent next.
        ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(200))),
        stream: libp2p_stream::Behaviour::new(),
    };
    let control = behaviour.stream.new_control();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(600));
    let mut swarm = Swarm::new(transport(stack, key), behaviour, key.public().to_peer_id(), config);
    swarm.listen_on(stack.listen().parse().expect("an address")).expect("it listens");
    (swarm, control)
}

/// Runs until it is dropped.
pub(super) async fn run(
    mut swarm: Swarm<Behaviour>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    known: watch::Sender<Known>,
) {
    loop {
        tokio::select! {
            event = swarm.select_next_some() => known.send_modify(|known| known.learn(event)),
            Some(order) = orders.recv() => match order {
                Order::Dial(address) => if let Err(error) = swarm.dial(address) {
                    known.send_modify(|known| known.failures.push(format!("{error}")));
                },
                Order::Disconnect(peer) => drop(swarm.disconnect_peer_id(peer)),
            },
        }
    }
}

impl Known {
    fn learn(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.listen = Some(address),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.connections.entry(peer_id).or_default().push(endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, .. } => {
                self.connections.entry(peer_id).or_default().retain(|other| *other != endpoint);
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => self.failures.push(format!("{error:?}")),
            SwarmEvent::IncomingConnectionError { error, .. } => self.failures.push(format!("{error:?}")),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => match event {
                identify::Event::Received { peer_id, info, .. } => drop(self.told.insert(peer_id, info)),
                identify::Event::Error { error, .. } => self.failures.push(format!("identify: {error}")),
                _ => {}
            },
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => match event.result {
                Ok(_) => *self.pings.entry(event.peer).or_default() += 1,
                Err(error) => self.failures.push(format!("ping: {error}")),
            },
            _ => {}
        }
    }
}
