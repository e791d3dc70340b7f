//! The protocol: answers questions, and asks every peer.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use stackwire_core::{
    ConnectionInfo, Env, Error, Host, Kind, Layer, PeerId, PeerRole, Pipe, Protocol, ProtocolId, PublicKey, Result,
    Stream, Trust,
};
use stackwire_liveness::{Places, each_connection};

use crate::{
    ID, NAME,
    ask::Streams,
    model::{Answer, MAX_STATUS, NetworkInfo, NodeInfo, Question},
    service::{Monitor, PeerReport},
    table::Table,
    watch::Watch,
    wire::{read_question, write_answer},
};

/// Questions that are answered at once, of one peer and of all.
const OF_A_PEER: u32 = 8;
const OF_ALL: u32 = 1000;
/// How long a peer has to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The code of a stream that is refused: "rate limited" of libp2p's error codes.
const RATE_LIMITED: u32 = 0x1003;

/// What is asked how often, and what comes of the answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Between two pings of a peer; `None`: it is never pinged.
    pub(crate) ping_interval: Option<Duration>,
    /// For the answer to a ping.
    pub(crate) ping_timeout: Duration,
    /// Pings in succession without an answer that close a connection; `None`: they never do.
    pub(crate) disconnect_after: Option<u32>,
    /// Between two questions after a peer's network; `None`: it is never asked.
    pub(crate) network_interval: Option<Duration>,
    /// Between two questions after a peer itself; `None`: it is never asked.
    pub(crate) node_interval: Option<Duration>,
    /// For the answers to those.
    pub(crate) answer_timeout: Duration,
    /// Whether we are a validator.
    pub(crate) root: bool,
    /// How far a peer's clock may differ from ours until that is told.
    pub(crate) max_skew: Duration,
}

/// The protocol `monitor`, and its service.
pub(crate) struct Monitoring {
    policy: Policy,
    places: Places<PeerId>,
    shared: Arc<Shared>,
}

/// What the tasks and the service share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) table: Mutex<Table>,
    status: Mutex<Bytes>,
    /// Of the node, once the plug-in runs. Not its `Host`, which holds the plug-in.
    node: OnceLock<Node>,
}

struct Node {
    env: Env,
    trust: Trust,
    since: Instant,
}

impl Shared {
    /// Whether we know a peer to be a validator, at this moment.
    fn is_validator(&self) -> impl Fn(&PeerId) -> bool + use<> {
        let trusted = self.node.get().map(|node| node.trust.current());
        move |peer| {
            let known = trusted.as_ref().and_then(|trusted| {
                let by_key = || PublicKey::of_peer(peer).and_then(|key| trusted.of_identity(&key));
                trusted.of_peer(peer).or_else(by_key)
            });
            known.is_some_and(|known| known.role == PeerRole::Validator)
        }
    }
}

impl Monitoring {
    pub(crate) fn new(policy: Policy) -> Self {
        let places = Places::new(("questions of one peer at once", OF_A_PEER), ("questions at once", OF_ALL));
        Self { policy, places, shared: Arc::default() }
    }

    fn node(&self, host: &Host) -> &Node {
        let env = host.env();
        self.shared.node.get_or_init(|| Node { env: env.clone(), trust: host.trust(), since: env.now() })
    }

    fn answer(&self, question: Question, host: &Host) -> Answer {
        match question {
            Question::Ping(number) => Answer::Pong(number),
            Question::Network => {
                let connected = host.peers().iter().filter(|peer| !peer.connections.is_empty()).count();
                let connected_peers = u32::try_from(connected).unwrap_or(u32::MAX);
                Answer::Network(NetworkInfo { connected_peers, distance: self.distance() })
            }
            Question::Node => {
                let node = self.node(host);
                Answer::Node(NodeInfo {
                    agent: host.local().agent,
                    uptime: node.env.now().saturating_duration_since(node.since),
                    unix_time: node.env.unix_time(),
                    status: self.shared.status.lock().clone(),
                })
            }
        }
    }
}

impl Monitor for Monitoring {
    fn peer(&self, peer: &PeerId) -> Option<PeerReport> {
        let now = self.shared.node.get()?.env.now();
        self.shared.table.lock().report(peer, now, self.shared.is_validator())
    }

    fn peers_by_latency(&self) -> Vec<(PeerId, Duration)> {
        self.shared.table.lock().by_latency()
    }

    fn set_status(&self, status: Bytes) -> Result<()> {
        if status.len() > MAX_STATUS {
            let kind = Kind::LimitExceeded { limit: "bytes of a status", max: MAX_STATUS as u64 };
            return Err(Error::new(kind, "setting the status that peers are told").at(Layer::Protocol, NAME));
        }
        *self.shared.status.lock() = status;
        Ok(())
    }

    fn clock_skew(&self) -> Option<i64> {
        self.shared.table.lock().skew()
    }

    fn distance(&self) -> u32 {
        match self.policy.root {
            true => 0,
            false => self.shared.table.lock().distance(self.shared.is_validator()),
        }
    }
}

#[async_trait]
impl Protocol for Monitoring {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID)]
    }

    fn keep_alive(&self) -> bool {
        false
    }

    async fn serve(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let _place = match self.places.enter(stream.peer()) {
            Ok(place) => place,
            Err(error) => {
                stream.reset(RATE_LIMITED);
                return Err(error.at(Layer::Protocol, NAME));
            }
        };
        let answering = async {
            let question = read_question(&mut stream).await?;
            write_answer(&mut stream, self.answer(question, host)).await
        };
        let answered = host.env().timeout(PATIENCE, "answering a question", answering).await;
        answered.map_err(|e| e.at(Layer::Protocol, NAME))
    }

    async fn run(&self, host: &Host) {
        self.node(host);
        let (policy, shared) = (self.policy, self.shared.clone());
        let watch = move |host: Host, connection: Arc<ConnectionInfo>| {
            Watch::new(host, connection, policy, shared.clone(), Streams).run()
        };
        each_connection(host, NAME, watch).await;
    }
}
