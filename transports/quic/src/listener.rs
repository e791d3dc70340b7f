//! Where connections arrive.

use std::fmt;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use stackwire_core::{AddressPart, Error, Incoming, Kind, Listener, Multiaddr, Result, Stage};
use stackwire_socket::{Bound, beside, udp_address};

use crate::{
    endpoints::Lease,
    errors::named,
    handshakes::{Handshakes, Outcome},
};

pub(crate) struct QuicListener {
    pub(crate) handshakes: Handshakes,
    pub(crate) lease: Lease,
    pub(crate) bound: Bound,
    pub(crate) watched: bool,
}

#[async_trait]
impl Listener for QuicListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.bound.addresses().into_iter().map(to_multiaddr).collect()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        loop {
            tokio::select! {
                biased;
                outcome = self.handshakes.next() => {
                    let Outcome { remote, local_ip, opened } = outcome;
                    let mut local = self.bound.local();
                    if let Some(ip) = local_ip {
                        local.set_ip(ip.to_canonical());
                    }
                    let open = async move { opened.map(|top| Stage::Multiplexed(top).into()) };
                    let local = to_multiaddr(beside(local, remote));
                    return Ok(Incoming { remote: to_multiaddr(remote), local, open: Box::pin(open) });
                }
                incoming = self.lease.endpoint.accept() => match incoming {
                    Some(incoming) => self.handshakes.begin(incoming, &self.lease.socket.unproven),
                    None => return Err(named(Error::new(Kind::Io, "the socket is of no more use"))),
                },
            }
            // A flood of first packets must not keep the thread.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        if std::mem::replace(&mut self.watched, true) {
            return None;
        }
        let lists = self.bound.watch()?;
        Some(lists.map(|list| list.into_iter().map(to_multiaddr).collect()).boxed())
    }
}

/// `/ip4|ip6/…/udp/…/quic-v1`
pub(crate) fn to_multiaddr(address: std::net::SocketAddr) -> Multiaddr {
    udp_address(address).with(AddressPart::QuicV1)
}

impl fmt::Debug for QuicListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuicListener({:?})", self.lease)
    }
}
