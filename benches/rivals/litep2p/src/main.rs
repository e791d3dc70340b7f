//! `litep2p` over TCP, Noise and Yamux. It keeps one connection with each peer, so that every connection here has a
//! node of its own that dials it; closed ones leave their node to later ones.

mod node;
mod protocol;
mod stream;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use stackwire_contest::{Connection, Contestant, Ready, Result, Stack};

use crate::{node::Node, stream::Stream};

/// How many nodes rest before one is taken again: the server may be slower to see that its connection is closed.
const RESTING: usize = 64;

fn main() -> ExitCode {
    stackwire_contest::main::<Litep2p>()
}

/// Nodes without a connection.
struct Litep2p(Free);

type Free = Arc<Mutex<VecDeque<Node>>>;

impl Contestant for Litep2p {
    type Connection = Connected;

    fn stacks() -> Vec<Stack> {
        let version = "litep2p 0.16, tcp + noise + yamux; a node of its own dials each connection";
        vec![Stack::new("litep2p-noise", version)]
    }

    async fn serve(_: &str, listen: SocketAddr) -> Result<Ready> {
        let node = Node::start(Some(listen))?;
        let address = node.address.ok_or("it does not listen")?;
        Ok(Ready::new(address, node.id.clone(), node))
    }

    async fn client(_: &str) -> Result<Self> {
        let nodes = (0..RESTING).map(|_| Node::start(None)).collect::<Result<_>>()?;
        Ok(Self(Arc::new(Mutex::new(nodes))))
    }

    async fn dial(&self, address: SocketAddr, peer: &str) -> Result<Connected> {
        let rested = {
            let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() >= RESTING { free.pop_front() } else { None }
        };
        let node = match rested {
            Some(node) => node,
            None => Node::start(None)?,
        };
        node.dial(address, peer).await?;
        Ok(Connected { node, free: self.0.clone() })
    }
}

/// The one connection of a node.
struct Connected {
    node: Node,
    free: Free,
}

impl Connection for Connected {
    type Stream = Stream;

    async fn open(&self) -> io::Result<Stream> {
        self.node.open().await
    }

    async fn close(self) {
        self.node.close().await;
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.node);
    }
}
