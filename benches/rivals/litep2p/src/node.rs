//! A node, with the settings that suit it best.

use std::{io, net::SocketAddr, time::Duration};

use litep2p::{
    Litep2p, config::ConfigBuilder, transport::tcp::config::Config as Tcp, types::multiaddr::Multiaddr,
    types::multiaddr::Protocol as Part,
};
use stackwire_contest::Result;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    protocol::{Order, Protocol},
    stream::Stream,
};

/// A node and its tasks, which dropping it stops.
pub struct Node {
    pub id: String,
    /// Where it listens, if it does.
    pub address: Option<SocketAddr>,
    orders: mpsc::UnboundedSender<Order>,
    _running: JoinSet<()>,
}

impl Node {
    /// Starts a node with a fresh identity.
    pub fn start(listen: Option<SocketAddr>) -> Result<Self> {
        let mut tcp = Tcp {
            listen_addresses: listen.into_iter().map(multiaddr).collect(),
            // Only who listens has a port to use again.
            reuse_port: false,
            nodelay: true,
            connection_open_timeout: Duration::from_secs(30),
            substream_open_timeout: Duration::from_secs(30),
            ..Default::default()
        };
        // Its windows grow by themselves, up to a gibibyte that is divided by this: more than are ever open at once.
        // (Its frames stay as they are: with larger ones its connections end. What Noise buffers changes nothing.)
        tcp.yamux_config.set_max_num_streams(512);
        let (orders, received) = mpsc::unbounded_channel();
        let config = ConfigBuilder::new()
            .with_tcp(tcp)
            .with_user_protocol(Box::new(Protocol::new(received)))
            .with_keep_alive_timeout(Duration::from_secs(24 * 60 * 60))
            .build();
        let mut node = Litep2p::new(config)?;
        let id = node.local_peer_id().to_string();
        let address = node.listen_addresses().find_map(socket_addr);
        let mut running = JoinSet::new();
        running.spawn(async move { while node.next_event().await.is_some() {} });
        Ok(Self { id, address, orders, _running: running })
    }

    /// Makes the node's connection.
    pub async fn dial(&self, address: SocketAddr, peer: &str) -> Result<()> {
        let address = multiaddr(address).with(Part::P2p(peer.parse::<litep2p::PeerId>()?.into()));
        Ok(self.ask(|answer| Order::Dial(address, answer)).await?)
    }

    /// Opens a stream of the node's connection.
    pub async fn open(&self) -> io::Result<Stream> {
        self.ask(Order::Open).await
    }

    /// Closes the node's connection, and waits until it is closed.
    pub async fn close(&self) {
        // Where it is closed already, there is nothing to do.
        let _ = self.ask(Order::Close).await;
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Order) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.orders.send(order(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Part::Tcp(address.port()))
}

fn socket_addr(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Part::Ip4(ip) => ip.into(),
        Part::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Part::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}
