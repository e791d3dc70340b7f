//! The node: everything it is asked for is text, because its addresses and peer ids are types of older crates.

use std::{collections::BTreeSet, time::Duration};

use futures::{Stream, StreamExt};
use litep2p::{
    Litep2p, Litep2pEvent,
    config::ConfigBuilder,
    protocol::libp2p::{
        identify::{Config as Identify, IdentifyEvent},
        ping::{ConfigBuilder as Ping, PingEvent},
    },
    transport::tcp::config::Config as Tcp,
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
};

use crate::echo::{Echo, Request};

type Events<E> = Mutex<Box<dyn Stream<Item = E> + Send + Unpin>>;

/// What a peer said about itself by identify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// The peer.
    pub peer: String,
    /// The software.
    pub agent: Option<String>,
    /// What it serves.
    pub protocols: BTreeSet<String>,
    /// The node's own address, as the peer sees it.
    pub observed: String,
    /// Where the peer listens.
    pub listen: Vec<String>,
}

/// A node of `litep2p` over TCP, Noise and Yamux that serves identify, ping and echo. Whatever should work and does
/// not is a panic that says why. Dropping it stops it. Waits without limit.
pub struct Lite {
    id: String,
    address: String,
    dials: mpsc::UnboundedSender<String>,
    requests: mpsc::UnboundedSender<Request>,
    connected: Mutex<mpsc::UnboundedReceiver<String>>,
    identified: Events<IdentifyEvent>,
    pinged: Events<PingEvent>,
    /// Its event loop.
    _tasks: JoinSet<()>,
}

impl Lite {
    /// What it calls itself.
    pub const AGENT: &str = "litep2p/0.16";

    /// Starts a node with a fresh identity that listens on loopback.
    pub fn start() -> Self {
        let (identify, identified) = Identify::new("interop/1".into(), Some(Self::AGENT.into()));
        let (ping, pinged) = Ping::new().with_ping_interval(Duration::from_millis(200)).build();
        let (requests, received) = mpsc::unbounded_channel();
        let tcp = Tcp {
            listen_addresses: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
            nodelay: true,
            ..Default::default()
        };
        let config = ConfigBuilder::new()
            .with_tcp(tcp)
            .with_libp2p_identify(identify)
            .with_libp2p_ping(ping)
            .with_user_protocol(Box::new(Echo { requests: received }))
            .with_keep_alive_timeout(Duration::from_secs(600))
            .build();
        let node = Litep2p::new(config).expect("it starts");
        let address = node.listen_addresses().next().expect("it listens").to_string();
        let id = node.local_peer_id().to_string();
        let (dials, to_dial) = mpsc::unbounded_channel();
        let (connects, connected) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(node, to_dial, connects));
        Self {
            id,
            address,
            dials,
            requests,
            connected: Mutex::new(connected),
            identified: Mutex::new(identified),
            pinged: Mutex::new(pinged),
            _tasks: tasks,
        }
    }

    /// Its peer id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it listens, with `/p2p/…`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Dials `address`, which ends with `/p2p/…`, and waits for the connection.
    pub async fn connect(&self, address: &str) {
        self.dials.send(address.to_string()).expect("it runs");
        self.connected().await;
    }

    /// Waits for a connection, whoever dialed; says with whom.
    pub async fn connected(&self) -> String {
        self.connected.lock().await.recv().await.expect("it runs")
    }

    /// Waits for the next peer that says who it is.
    pub async fn identified(&self) -> Identified {
        let IdentifyEvent::PeerIdentified {
            peer,
            user_agent,
            supported_protocols,
            observed_address,
            listen_addresses,
            ..
        } = self.identified.lock().await.next().await.expect("it runs");
        Identified {
            peer: peer.to_string(),
            agent: user_agent,
            protocols: supported_protocols.iter().map(ToString::to_string).collect(),
            observed: observed_address.to_string(),
            listen: listen_addresses.iter().map(ToString::to_string).collect(),
        }
    }

    /// Waits for the next answer to a ping; says from whom.
    pub async fn pinged(&self) -> String {
        let PingEvent::Ping { peer, .. } = self.pinged.lock().await.next().await.expect("it runs");
        peer.to_string()
    }

    /// Sends `content` by echo, ends its side, and returns what comes back until the end.
    pub async fn echo(&self, peer: &str, content: Vec<u8>) -> Vec<u8> {
        let (answer, answered) = oneshot::channel();
        let peer = peer.parse().expect("a peer id");
        self.requests.send(Request { peer, content, answer }).unwrap_or_else(|_| panic!("it runs"));
        answered.await.expect("it runs").expect("an echo")
    }
}

async fn run(mut node: Litep2p, mut dials: mpsc::UnboundedReceiver<String>, connects: mpsc::UnboundedSender<String>) {
    loop {
        tokio::select! {
            Some(address) = dials.recv() => {
                node.dial_address(address.parse().expect("an address")).await.expect("it dials");
            }
            event = node.next_event() => match event.expect("it runs") {
                Litep2pEvent::ConnectionEstablished { peer, .. } => drop(connects.send(peer.to_string())),
                Litep2pEvent::DialFailure { error, .. } => panic!("{error:?}"),
                Litep2pEvent::ListDialFailures { errors } => panic!("{errors:?}"),
                Litep2pEvent::ConnectionClosed { .. } => {}
            }
        }
    }
}
