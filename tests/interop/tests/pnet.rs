//! Private networks with rust-libp2p: members meet, in either direction and over every transport that can be put under
//! a key; strangers do not.

#![allow(clippy::disallowed_methods, reason = "the peers run on a test's own runtime")]

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future::try_join};
use libp2p::{
    PeerId, Stream, StreamProtocol, Swarm,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport, Transport},
        upgrade::Version,
    },
    identity::Keypair,
    noise,
    pnet::{PnetConfig, PreSharedKey},
    swarm::{Config, SwarmEvent},
    tcp, websocket, yamux,
};
use libp2p_stream::Control;
// Links the plug-ins that the configs name.
use stackwire_bundle as _;
use stackwire_interop::in_time;
use stackwire_node::{Builder, Catalogue, Multiaddr, Node, ProtocolId, address};
use stackwire_protocol_echo::echo;
use stackwire_security_pnet as _;
use tokio::sync::{mpsc, watch};

const NETWORK: &str = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683";
const ANOTHER: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
const ECHO: &str = "/echo/1.0.0";
const BYTES: usize = 1 << 20;

/// Every transport that both sides put under a key, by its name here and where to listen.
const TRANSPORTS: [(&str, &str); 2] = [("tcp", "/ip4/127.0.0.1/tcp/0"), ("websocket", "/ip4/127.0.0.1/tcp/0/ws")];

/// A node of theirs that serves echo.
struct Theirs {
    id: PeerId,
    control: Control,
    dials: mpsc::UnboundedSender<Multiaddr>,
    known: watch::Receiver<Known>,
}

#[derive(Clone, Default)]
struct Known {
    listen: Option<Multiaddr>,
    connected: Option<PeerId>,
    failure: Option<String>,
}

impl Theirs {
    async fn start(network: &str, listen: &str) -> Self {
        let identity = Keypair::generate_ed25519();
        let id = identity.public().to_peer_id();
        let behaviour = libp2p_stream::Behaviour::new();
        let control = behaviour.new_control();
        let config = Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(600));
        let mut swarm = Swarm::new(transport(network, &identity), behaviour, id, config);
        swarm.listen_on(listen.parse().expect("an address")).expect("it listens");
        let (dials, mut received) = mpsc::unbounded_channel::<Multiaddr>();
        let (learnt, known) = watch::channel(Known::default());
        let mut served = control.clone().accept(StreamProtocol::new(ECHO)).expect("nobody else serves it");
        tokio::spawn(async move {
            while let Some((_, stream)) = served.next().await {
                tokio::spawn(send_back(stream));
            }
        });
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => learnt.send_modify(|known| known.learn(event)),
                    Some(address) = received.recv() => swarm.dial(theirs(&address)).expect("it can dial it"),
                    else => return,
                }
            }
        });
        let theirs = Self { id, control, dials, known };
        theirs.until(|known| known.listen.clone()).await;
        theirs
    }

    async fn until<T>(&self, pick: impl Fn(&Known) -> Option<T>) -> T {
        let mut known = self.known.clone();
        let found = in_time("a node of theirs", known.wait_for(|known| pick(known).is_some())).await;
        pick(&found.expect("it runs")).expect("it was just there")
    }

    fn address(&self) -> Multiaddr {
        address::with_peer(&self.known.borrow().listen.clone().expect("it listens"), self.id)
    }

    /// Dials, waits for the connection and has a message sent back.
    async fn meet(&self, address: Multiaddr, peer: PeerId) {
        self.dials.send(address).expect("it runs");
        self.until(|known| known.connected).await;
        self.echo(peer).await;
    }

    async fn echo(&self, peer: PeerId) {
        let content: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
        let stream = self.control.clone().open_stream(peer, StreamProtocol::new(ECHO)).await.expect("a stream opens");
        let (mut reading, mut writing) = stream.split();
        let mut back = Vec::new();
        let send = async {
            writing.write_all(&content).await?;
            writing.close().await
        };
        in_time("their echo", try_join(send, reading.read_to_end(&mut back))).await.expect("an echo");
        assert!(back == content);
    }
}

impl Known {
    fn learn(&mut self, event: SwarmEvent<()>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.listen = Some(address.into()),
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.connected = Some(peer_id),
            SwarmEvent::OutgoingConnectionError { error, .. } => self.failure = Some(error.to_string()),
            SwarmEvent::IncomingConnectionError { error, .. } => self.failure = Some(error.to_string()),
            _ => {}
        }
    }
}

/// Their layers as their documentation composes them: the key under everything but the transport.
fn transport(network: &str, identity: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    let key: PreSharedKey = format!("/key/swarm/psk/1.0.0/\n/base16/\n{network}\n").parse().expect("a key");
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    OrTransport::new(websocket::Config::new(tcp()), tcp())
        .and_then(move |pipe, _| protect(key, pipe))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(identity).expect("a key makes a Noise identity"))
        .multiplex(yamux::Config::default())
        .boxed()
}

async fn protect<T>(key: PreSharedKey, pipe: T) -> io::Result<libp2p::pnet::PnetOutput<T>>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    PnetConfig::new(key).handshake(pipe).await.map_err(io::Error::other)
}

fn theirs(address: &Multiaddr) -> libp2p::Multiaddr {
    address.to_string().parse().expect("an address is one to both")
}

async fn send_back(mut stream: Stream) -> io::Result<()> {
    let mut held = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut held).await? {
            0 => return stream.close().await,
            n => stream.write_all(&held[..n]).await?,
        }
        stream.flush().await?;
    }
}

/// A node of ours, in this network or in none.
async fn ours(network: Option<&str>, (transport, listen): (&str, &str)) -> Node {
    let protector = network.map(|key| format!("[[protector]]\nuse = \"pnet\"\nkey = \"{key}\"\n")).unwrap_or_default();
    // Who is garbage to the other may wait for more of it: strangers need a limit, and members none.
    let patience = if network == Some(NETWORK) { 60 } else { 2 };
    let config = format!(
        "[node]\nlisten = [\"{listen}\"]\ntimeouts.handshake_secs = {patience}\n[[transport]]\nuse = \"{transport}\"\n{protector}\
         [[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n[[protocol]]\nuse = \"echo\"\n"
    );
    let catalogue = Catalogue::linked().expect("no two plug-ins clash");
    let builder = Builder::from_config(&config, &catalogue).unwrap_or_else(|error| panic!("{error}"));
    builder.start().await.expect("the node starts")
}

fn address_of(node: &Node) -> Multiaddr {
    let (listen, _) = address::split_peer(node.addresses().first().expect("it listens"));
    address::with_peer(&listen, node.peer_id())
}

async fn our_echo(node: &Node, peer: PeerId) {
    let stream = node.open_stream(peer, &[ProtocolId::new(ECHO)]).await.expect("a stream opens");
    in_time("our echo", echo(stream, BYTES as u64, true, node.env())).await.expect("an echo");
}

fn path_of(node: &Node) -> String {
    node.connections().first().expect("it is connected").path.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_dial() {
    for place in TRANSPORTS {
        let theirs = Theirs::start(NETWORK, place.1).await;
        let node = ours(Some(NETWORK), place).await;
        in_time("our dial", node.connect(&theirs.address())).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(path_of(&node), format!("{} / pnet / noise / yamux", place.0));
        our_echo(&node, theirs.id).await;
        theirs.echo(node.peer_id()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_dial() {
    for place in TRANSPORTS {
        let theirs = Theirs::start(NETWORK, place.1).await;
        let node = ours(Some(NETWORK), place).await;
        theirs.meet(address_of(&node), node.peer_id()).await;
        assert_eq!(path_of(&node), format!("{} / pnet / noise / yamux", place.0));
        our_echo(&node, theirs.id).await;
    }
}

/// Shows that the test is fair.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_dial_each_other() {
    for (_, listen) in TRANSPORTS {
        let (one, other) = (Theirs::start(NETWORK, listen).await, Theirs::start(NETWORK, listen).await);
        one.meet(other.address(), other.id).await;
    }
}

/// Another network, and none: they learn nothing of us, nor we of them, and both are told soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_do_not_meet() {
    for network in [Some(ANOTHER), None] {
        for place in TRANSPORTS {
            let theirs = Theirs::start(NETWORK, place.1).await;
            let node = ours(network, place).await;
            let error = in_time("our dial", node.connect(&theirs.address())).await.map(|_| ());
            error.expect_err("they are strangers");
            theirs.dials.send(address_of(&node)).expect("it runs");
            theirs.until(|known| known.failure.clone()).await;
            assert!(node.connections().is_empty());
            assert_eq!(theirs.until(|known| Some(known.connected)).await, None);
        }
    }
}
