//! A node of ours, made of a text config.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
// Links the plug-ins that the configs name.
use stackwire_bundle as _;
use stackwire_config::Plan;
use stackwire_node::{
    Builder, Catalogue, ConnectionInfo, Event, Host, Keypair, Kind, Multiaddr, Node, PeerId, Pipe, Protocol,
    ProtocolId, RemoteInfo, Result, Stream, address, reset_code,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Mutex, mpsc},
};

use crate::{Ending, Peer, RESETS, Stack, Told, WATCHES, peer::UNKNOWN};

/// A node of ours.
pub struct Ours {
    node: Node,
    endings: Mutex<mpsc::UnboundedReceiver<Ending>>,
}

impl Ours {
    /// Starts a node that is made of `stack`, with a fresh Ed25519 identity.
    pub async fn start(stack: Stack) -> Self {
        Self::build(stack, |builder| builder).await
    }

    /// As [`Ours::start`], with this identity.
    pub async fn with_identity(stack: Stack, identity: Keypair) -> Self {
        Self::build(stack, |builder| builder.identity(identity)).await
    }

    async fn build(stack: Stack, finish: impl FnOnce(Builder) -> Builder) -> Self {
        let catalogue = Catalogue::linked().expect("no two plug-ins of the bundle clash");
        let plan = Plan::parse(&stack.config(), &catalogue).expect("the config is good");
        let (ended, endings) = mpsc::unbounded_channel();
        let builder = Builder::from(plan.stack()).protocol(Resets).protocol(Watches(ended));
        let node = finish(builder).start().await.expect("the node starts");
        Self { node, endings: Mutex::new(endings) }
    }

    /// Connects to `address`; if that fails, says why.
    pub async fn try_connect(&self, address: Multiaddr) -> Result<(), String> {
        self.node.connect(&address).await.map(|_| ()).map_err(|error| error.to_string())
    }

    fn connection(&self, peer: PeerId) -> Arc<ConnectionInfo> {
        let connections = self.node.connections();
        let found: Vec<_> = connections.into_iter().filter(|connection| connection.peer == peer).collect();
        assert_eq!(found.len(), 1, "one connection with {peer}: {found:?}");
        found[0].clone()
    }

    async fn open(&self, peer: PeerId, id: &'static str) -> Stream {
        self.node.open_stream(peer, &[ProtocolId::new(id)]).await.expect("a stream opens")
    }

    async fn open_watched(&self, peer: PeerId) -> Stream {
        let mut stream = self.open(peer, WATCHES).await;
        stream.write_u8(1).await.expect("a byte is sent");
        stream.flush().await.expect("a byte is sent");
        stream.read_u8().await.expect("a byte comes back");
        stream
    }

    /// Waits until `pick` finds what it looks for, asking again after every event; panics if anything that the node
    /// does by itself fails meanwhile, unless over a close.
    async fn until<T>(&self, pick: impl Fn() -> Option<T>) -> T {
        let mut events = self.node.events();
        loop {
            if let Some(found) = pick() {
                return found;
            }
            if let Event::StreamFailed { protocol: Some(id), error, .. } = events.next().await.expect("it runs")
                && id.as_str().starts_with("/ipfs/")
                && *error.kind() != Kind::Closed
            {
                panic!("{id}: {error}");
            }
        }
    }
}

impl Peer for Ours {
    const SIGNS: &str = "libp2p-peer-record";
    const VERIFIES: &[&str] = &["libp2p-peer-record", "libp2p-routing-state"];

    fn resets_as(_: Stack) -> Ending {
        Ending::Reset
    }

    fn id(&self) -> PeerId {
        self.node.peer_id()
    }

    fn address(&self) -> Multiaddr {
        address::split_peer(self.node.addresses().first().expect("it listens")).0
    }

    fn agent(&self) -> String {
        self.node.host().local().agent
    }

    async fn connect(&self, address: Multiaddr) {
        self.node.connect(&address).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn connected(&self, peer: PeerId) {
        self.until(|| self.node.connections().iter().any(|connection| connection.peer == peer).then_some(())).await;
    }

    fn path(&self, peer: PeerId) -> Option<String> {
        Some(self.connection(peer).path.to_string())
    }

    fn remote(&self, peer: PeerId) -> Multiaddr {
        address::split_peer(&self.connection(peer).path.remote).0
    }

    fn local(&self, peer: PeerId) -> Option<Multiaddr> {
        self.connection(peer).path.local.clone()
    }

    async fn told(&self, peer: PeerId) -> Told {
        let info = self.until(|| self.node.remote(&peer)).await;
        let RemoteInfo { agent, listen, signed, protocols, observed, .. } = (*info).clone();
        let protocols = protocols.iter().map(ToString::to_string).collect();
        Told { peer, agent, protocols, listen, observed, signed }
    }

    async fn ping(&self, peer: PeerId) {
        let mut stream = self.open(peer, stackwire_protocol_ping::ID).await;
        for _ in 0..3 {
            stackwire_protocol_ping::ping(&mut stream, self.node.env()).await.expect("a ping is answered");
        }
    }

    async fn perf(&self, peer: PeerId, upload: u64, download: u64) {
        let stream = self.open(peer, stackwire_protocol_perf::ID).await;
        let report = stackwire_protocol_perf::perf(stream, upload, download, |_| {}, self.node.env()).await;
        let report = report.expect("everything arrives");
        assert_eq!((report.uploaded, report.downloaded), (upload, download));
    }

    async fn echo(&self, peer: PeerId, bytes: usize) {
        let stream = self.open(peer, stackwire_protocol_echo::ID).await;
        stackwire_protocol_echo::echo(stream, bytes as u64, true, self.node.env()).await.expect("an echo");
    }

    async fn is_refused(&self, peer: PeerId) {
        // Two offers, so that the answer is waited for.
        let ids = [ProtocolId::new(UNKNOWN), ProtocolId::new("/interop/unknown/0")];
        let error = self.node.open_stream(peer, &ids).await.map(|_| ()).expect_err("it does not serve that");
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");
        let mut stream = self.open(peer, UNKNOWN).await;
        let error = stream.read_u8().await.expect_err("it does not serve that");
        assert!(error.to_string().contains(UNKNOWN), "{error:?}");
    }

    async fn is_reset(&self, peer: PeerId) -> Ending {
        let mut stream = self.open(peer, RESETS).await;
        // The reset may come before the flush has ended: then that fails with it, and so does what is read.
        let _ = stream.write_u8(1).await;
        let _ = stream.flush().await;
        ending(&mut stream).await
    }

    async fn ends(&self, peer: PeerId) {
        let mut stream = self.open_watched(peer).await;
        stream.shutdown().await.expect("its side ends");
        // The other side may write to find out how it ended.
        stream.read_to_end(&mut Vec::new()).await.ok();
    }

    async fn resets(&self, peer: PeerId) {
        self.open_watched(peer).await.reset(7);
    }

    async fn watched(&self) -> Ending {
        self.endings.lock().await.recv().await.expect("it runs")
    }

    async fn disconnect(&self, peer: PeerId) {
        self.node.disconnect(self.connection(peer).id);
        self.disconnected(peer).await;
    }

    async fn disconnected(&self, peer: PeerId) {
        self.until(|| self.node.connections().iter().all(|connection| connection.peer != peer).then_some(())).await;
    }
}

async fn ending(stream: &mut Stream) -> Ending {
    match stream.read(&mut [0; 1]).await {
        Ok(0) => Ending::Closed,
        Ok(_) => Ending::Other("data".into()),
        Err(error) if reset_code(&error).is_some() => Ending::Reset,
        Err(error) => Ending::Other(format!("{error:?}")),
    }
}

struct Resets;

#[async_trait]
impl Protocol for Resets {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(RESETS)]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        stream.read_u8().await?;
        stream.reset(7);
        Ok(())
    }
}

struct Watches(mpsc::UnboundedSender<Ending>);

#[async_trait]
impl Protocol for Watches {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(WATCHES)]
    }

    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        stream.read_u8().await?;
        stream.write_u8(1).await?;
        stream.flush().await?;
        // Nobody listens any more only where the test has ended.
        let _ = self.0.send(ending(&mut stream).await);
        Ok(())
    }
}
