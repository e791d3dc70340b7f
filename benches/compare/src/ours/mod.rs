//! Our contestant: two nodes as an application would make them, from a text config and through the net API only.

mod config;
mod farewell;
mod stream;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use nix::time::{ClockId, clock_gettime};
use stackwire_bundle as _; // links the plug-ins that the configs name
use stackwire_config::Plan;
use stackwire_contest::{Connection, Contestant, Ready, Result, Stack};
use stackwire_node::{
    Builder, Catalogue, ConnectionId, Host, Multiaddr, Node, Protocol, ProtocolId, RENEW, RemoteInfo, Stream, address,
};
use stackwire_wrap::{PollTimes, watch_polls};

use self::{config::Ours, farewell::Farewell, stream::OurStream};

const ID: ProtocolId = ProtocolId::new("/contest/1.0.0");

/// A node that dials.
pub struct OurClient {
    node: Node,
    farewell: Farewell,
    stack: &'static Ours,
}

/// One connection of it.
pub struct OurConnection {
    node: Node,
    farewell: Farewell,
    id: ConnectionId,
}

/// Serves the contest's streams.
struct Contest;

#[async_trait::async_trait]
impl Protocol for Contest {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ID]
    }

    async fn serve(&self, stream: Stream, _: &Host) -> stackwire_node::Result<()> {
        stackwire_contest::serve(OurStream::served(stream)).await;
        Ok(())
    }
}

/// The names of our stacks.
pub fn names() -> impl Iterator<Item = &'static str> {
    config::STACKS.iter().map(|stack| stack.name)
}

fn named(stack: &str) -> Result<&'static Ours> {
    Ours::named(stack).ok_or_else(|| format!("there is no stack `{stack}`").into())
}

fn builder(ours: &Ours) -> Result<Builder> {
    let mut stack = Plan::parse(&ours.config(), &Catalogue::linked()?)?.stack();
    if ours.watched {
        let times = Arc::new(PollTimes::default());
        stack.parts.muxers =
            stack.parts.muxers.into_iter().map(|muxer| watch_polls(muxer, times.clone(), thread_time)).collect();
        stackwire_contest::tell_polls(move || times.quantile(0.999));
    }
    // Nobody in the contest speaks anything but the contest.
    stack.parts.protocols.clear();
    Ok(stack.into())
}

/// How much of the time this thread has run: what preempts it is not ours.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

impl Contestant for OurClient {
    type Connection = OurConnection;

    fn stacks() -> Vec<Stack> {
        let version = concat!("stackwire ", env!("CARGO_PKG_VERSION"));
        names().map(|name| Stack::new(name, version)).collect()
    }

    async fn serve(stack: &str, listen: SocketAddr) -> Result<Ready> {
        let stack = named(stack)?;
        let address: Multiaddr = stack.address(listen).parse()?;
        let node = builder(stack)?.listen(address).protocol(Contest).start().await?;
        let address = node.addresses().first().and_then(|a| address::split_socket(a)).map(|(socket, ..)| socket);
        Ok(Ready::new(address.ok_or("the node listens nowhere")?, node.peer_id().to_string(), node))
    }

    async fn client(stack: &str) -> Result<Self> {
        let stack = named(stack)?;
        let node = builder(stack)?.start().await?;
        Ok(Self { farewell: Farewell::of(&node), node, stack })
    }

    async fn dial(&self, address: SocketAddr, peer: &str) -> Result<OurConnection> {
        let address: Multiaddr = self.stack.address(address).parse()?;
        let info = self.node.connect_fresh(&address).await?;
        if info.peer.to_string() != peer {
            return Err(format!("somebody else answered at {address}: {}", info.peer).into());
        }
        // What identify would have told it, which nobody speaks here.
        let protocols = vec![ID, RENEW];
        self.node.host().set_remote(info.peer, RemoteInfo { protocols, ..RemoteInfo::default() });
        Ok(OurConnection { node: self.node.clone(), farewell: self.farewell.clone(), id: info.id })
    }
}

impl Connection for OurConnection {
    type Stream = OurStream;

    async fn open(&self) -> io::Result<OurStream> {
        Ok(OurStream::opened(self.node.open_stream_on(self.id, &[ID]).await?))
    }

    async fn close(self) {
        self.farewell.close(&self.node, self.id).await;
    }
}
