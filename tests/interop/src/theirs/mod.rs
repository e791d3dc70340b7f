//! A node of the published crate `libp2p`.

mod streams;
mod swarm;
mod transport;

use libp2p::{Stream, StreamProtocol, core::ConnectedPoint, identity::Keypair};
use libp2p_stream::{Control, OpenStreamError};
use stackwire_node::{Multiaddr, PeerId, address};
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};

use self::{
    streams::{ECHO, PERF},
    swarm::{Known, Order},
};
use crate::{Ending, Peer, RESETS, Stack, Told, Transport, WATCHES, peer::UNKNOWN};

/// A node of theirs: identify and ping are their own behaviours; perf, echo and the rest go over `libp2p-stream`.
pub struct Theirs {
    id: PeerId,
    stack: Stack,
    control: Control,
    orders: mpsc::UnboundedSender<Order>,
    known: watch::Receiver<Known>,
    endings: Mutex<mpsc::UnboundedReceiver<Ending>>,
    /// The swarm and what it serves; dropping them stops it.
    _tasks: JoinSet<()>,
}

impl Theirs {
    /// Starts a node that is made of `stack`, with a fresh Ed25519 identity.
    pub async fn start(stack: Stack) -> Self {
        Self::with_identity(stack, Keypair::generate_ed25519()).await
    }

    /// As [`Theirs::start`], with this identity.
    pub async fn with_identity(stack: Stack, identity: Keypair) -> Self {
        let (swarm, control) = swarm::new(stack, &identity);
        let (orders, received) = mpsc::unbounded_channel();
        let (learnt, known) = watch::channel(Known::default());
        let (ended, endings) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        streams::serve_all(&control, stack, ended, &mut tasks);
        tasks.spawn(swarm::run(swarm, received, learnt));
        let id = identity.public().to_peer_id();
        let theirs = Self { id, stack, control, orders, known, endings: Mutex::new(endings), _tasks: tasks };
        theirs.until(|known| known.listen.clone()).await;
        theirs
    }

    /// Waits until `pick` finds what it looks for; panics if anything fails meanwhile.
    async fn until<T>(&self, pick: impl Fn(&Known) -> Option<T>) -> T {
        let mut changes = self.known.clone();
        loop {
            {
                let known = changes.borrow_and_update();
                if let Some(found) = pick(&known) {
                    return found;
                }
                assert!(known.failures.is_empty(), "{:?}", known.failures);
            }
            changes.changed().await.expect("it runs");
        }
    }

    fn connection(&self, peer: PeerId) -> ConnectedPoint {
        let known = self.known.borrow();
        let found = known.connections.get(&peer).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(found.len(), 1, "one connection with {peer}: {found:?}");
        found[0].clone()
    }

    async fn open(&self, peer: PeerId, id: &'static str) -> Stream {
        let mut control = self.control.clone();
        control.open_stream(peer, StreamProtocol::new(id)).await.expect("a stream opens")
    }

    async fn open_watched(&self, peer: PeerId) -> Stream {
        let mut stream = self.open(peer, WATCHES).await;
        streams::say(&mut stream).await.expect("a byte is sent");
        streams::hear(&mut stream).await.expect("a byte comes back");
        stream
    }
}

impl Peer for Theirs {
    const SIGNS: &str = "libp2p-routing-state";
    const VERIFIES: &[&str] = &["libp2p-routing-state"];

    fn resets_as(stack: Stack) -> Ending {
        match stack.transport {
            // They can't reset a stream of QUIC: dropping it ends our reading as if that were all.
            Transport::Quic => Ending::Closed,
            Transport::Tcp | Transport::Ws => Ending::Reset,
        }
    }

    fn id(&self) -> PeerId {
        self.id
    }

    fn address(&self) -> Multiaddr {
        self.known.borrow().listen.clone().expect("it listens").into()
    }

    fn agent(&self) -> String {
        swarm::AGENT.into()
    }

    async fn connect(&self, address: Multiaddr) {
        let peer = address::split_peer(&address).1.expect("the address names the peer");
        self.orders.send(Order::Dial(address.into())).expect("it runs");
        self.connected(peer).await;
    }

    async fn connected(&self, peer: PeerId) {
        self.until(|known| known.connections.get(&peer).filter(|found| !found.is_empty()).map(|_| ())).await;
    }

    fn path(&self, _: PeerId) -> Option<String> {
        None
    }

    fn remote(&self, peer: PeerId) -> Multiaddr {
        address::split_peer(&self.connection(peer).get_remote_address().clone().into()).0
    }

    fn local(&self, peer: PeerId) -> Option<Multiaddr> {
        match self.connection(peer) {
            ConnectedPoint::Dialer { .. } => None,
            ConnectedPoint::Listener { local_addr, .. } => Some(local_addr.into()),
        }
    }

    async fn told(&self, peer: PeerId) -> Told {
        let info = self.until(|known| known.told.get(&peer).cloned()).await;
        Told {
            peer: info.public_key.to_peer_id(),
            agent: info.agent_version,
            protocols: info.protocols.iter().map(ToString::to_string).collect(),
            listen: info.listen_addrs.into_iter().map(|address| address::split_peer(&address.into()).0).collect(),
            observed: Some(info.observed_addr.into()).filter(|address: &Multiaddr| !address.is_empty()),
            signed: info.signed_peer_record.is_some(),
        }
    }

    /// Their behaviour pings by itself: waits for the next answer.
    async fn ping(&self, peer: PeerId) {
        let count = |known: &Known| known.pings.get(&peer).copied().unwrap_or_default();
        let before = count(&self.known.borrow());
        self.until(|known| (count(known) > before).then_some(())).await;
    }

    async fn perf(&self, peer: PeerId, upload: u64, download: u64) {
        let stream = self.open(peer, PERF).await;
        let downloaded = streams::perf(stream, upload, download).await.expect("everything arrives");
        assert_eq!(downloaded, download);
    }

    async fn echo(&self, peer: PeerId, bytes: usize) {
        let content: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
        let stream = self.open(peer, ECHO).await;
        let back = streams::echo(stream, &content).await.expect("an echo");
        assert!(back == content, "{} of {bytes} bytes came back, or others", back.len());
    }

    async fn is_refused(&self, peer: PeerId) {
        let opened = self.control.clone().open_stream(peer, StreamProtocol::new(UNKNOWN)).await;
        let error = opened.map(|_| ()).expect_err("it does not serve that");
        assert!(matches!(error, OpenStreamError::UnsupportedProtocol(_)), "{error:?}");
    }

    async fn is_reset(&self, peer: PeerId) -> Ending {
        let mut stream = self.open(peer, RESETS).await;
        streams::say(&mut stream).await.expect("a byte is sent");
        streams::ending(&mut stream, self.stack).await
    }

    async fn ends(&self, peer: PeerId) {
        streams::end(self.open_watched(peer).await).await.expect("its side ends");
    }

    async fn resets(&self, peer: PeerId) {
        // Dropping the stream is how they reset it.
        drop(self.open_watched(peer).await);
    }

    async fn watched(&self) -> Ending {
        self.endings.lock().await.recv().await.expect("it runs")
    }

    async fn disconnect(&self, peer: PeerId) {
        self.orders.send(Order::Disconnect(peer)).expect("it runs");
        self.disconnected(peer).await;
    }

    async fn disconnected(&self, peer: PeerId) {
        // A ping may well fail over the close.
        let gone = |known: &Known| known.connections.get(&peer).is_none_or(Vec::is_empty);
        self.known.clone().wait_for(gone).await.expect("it runs");
    }
}
