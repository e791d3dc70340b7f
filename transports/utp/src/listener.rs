//! Where connections arrive.

use std::{fmt, future::poll_fn, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use stackwire_core::{Env, Incoming, Listener, Multiaddr, Result, Stage};
use stackwire_socket::{beside, source_towards};

use crate::{
    link::{Link, Stream},
    pipe::UtpPipe,
    port::Port,
    transport::address_of,
    udp::Way,
};

pub(crate) struct UtpListener {
    pub(crate) env: Env,
    pub(crate) port: Arc<Port>,
}

#[async_trait]
impl Listener for UtpListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.port.bound.addresses().into_iter().map(address_of).collect()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let link = poll_fn(|cx| self.port.poll_accept(cx)).await?;
        Ok(self.incoming(link))
    }

    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        let changes = self.port.bound.watch()?;
        Some(changes.map(|list| list.into_iter().map(address_of).collect()).boxed())
    }
}

impl UtpListener {
    fn incoming(&self, link: Arc<Link>) -> Incoming {
        let remote = link.way.remote;
        let local = local_of(&self.port, link.way);
        // From here on dropping it closes the connection.
        let pipe = UtpPipe::new(Stream::new(link, self.env.clone()));
        let open = async move { Ok(Stage::Raw(Box::new(pipe)).into()) };
        Incoming { remote: address_of(remote), local: address_of(local), open: Box::pin(open) }
    }
}

impl Drop for UtpListener {
    fn drop(&mut self) {
        for link in self.port.stop_listening() {
            link.connection.lock().reset(0);
            link.touch();
        }
    }
}

impl fmt::Debug for UtpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UtpListener({})", self.port.bound.local())
    }
}

/// Our end of a connection. Where a socket on a wildcard does not say to which address a packet came, it was the one that
/// our answers leave from, or the peer would not know them.
pub(crate) fn local_of(port: &Port, Way { remote, local }: Way) -> SocketAddr {
    let bound = port.bound.local();
    let by_route = || if port.bound.is_wildcard() { source_towards(remote).ok() } else { None };
    let ip = local.or_else(by_route).unwrap_or(bound.ip());
    beside(SocketAddr::new(ip, bound.port()), remote)
}
