//! `libp2p`, over TCP with Noise or TLS and Yamux, and over QUIC. Streams are those of a `Swarm`, opened and accepted
//! by a connection handler of this program's own, which costs less than `libp2p-stream` and may have several
//! connections with one peer. Substreams are negotiated lazily, limits on streams are lifted.

mod handler;
mod node;
mod stream;
mod transport;

use std::{io, net::SocketAddr, process::ExitCode};

use libp2p::swarm::ConnectionId;
use stackwire_contest::{Connection, Contestant, Ready, Result, Stack};
use tokio::sync::{mpsc, oneshot};

use crate::{handler::Opening, node::Node, stream::Substream};

fn main() -> ExitCode {
    stackwire_contest::main::<Libp2p>()
}

/// A swarm.
struct Libp2p {
    node: Node,
    stack: String,
}

impl Contestant for Libp2p {
    type Connection = Connected;

    fn stacks() -> Vec<Stack> {
        let version = |layers| format!("libp2p 0.57, {layers}, lazy substreams");
        vec![
            Stack::new("libp2p-noise", version("tcp + noise + yamux")),
            Stack::new("libp2p-tls", version("tcp + tls + yamux")),
            Stack::new("libp2p-quic", version("quic")),
        ]
    }

    async fn serve(stack: &str, listen: SocketAddr) -> Result<Ready> {
        let (node, peer) = Node::start(stack)?;
        let address = node.listen(transport::multiaddr(stack, listen)).await?;
        Ok(Ready::new(transport::socket_addr(&address)?, peer.to_string(), node))
    }

    async fn client(stack: &str) -> Result<Self> {
        Ok(Self { node: Node::start(stack)?.0, stack: stack.to_string() })
    }

    async fn dial(&self, address: SocketAddr, peer: &str) -> Result<Connected> {
        let (id, streams) = self.node.dial(peer.parse()?, transport::multiaddr(&self.stack, address)).await?;
        Ok(Connected { id, streams, node: self.node.clone() })
    }
}

/// A connection of a swarm's.
struct Connected {
    id: ConnectionId,
    streams: mpsc::UnboundedSender<Opening>,
    node: Node,
}

impl Connection for Connected {
    type Stream = Substream;

    async fn open(&self) -> io::Result<Substream> {
        let (opening, opened) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.streams.send(opening).map_err(|_| gone())?;
        opened.await.map_err(|_| gone())?
    }

    async fn close(self) {
        self.node.close(self.id).await;
    }
}
