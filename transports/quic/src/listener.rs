//! Where connections arrive.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use quinn::crypto::HandshakeTokenKey;
use stackwire_core::{
    AddressPart, Budgets, Env, Error, Incoming, Keypair, Kind, Listener, Multiaddr, Opened, Result, Role, Stage,
    address,
};
use stackwire_socket::{Bound, canonical};

use crate::{
    endpoints::Lease,
    errors::{self, named},
    party::Party,
    session,
};

pub(crate) struct QuicListener {
    pub(crate) lease: Lease,
    pub(crate) bound: Bound,
    pub(crate) shared: Arc<Shared>,
    pub(crate) watched: bool,
}

/// What the handshakes of a listener need.
pub(crate) struct Shared {
    pub(crate) party: Arc<Party>,
    pub(crate) identity: Keypair,
    pub(crate) token_key: Arc<dyn HandshakeTokenKey>,
    pub(crate) env: Env,
    pub(crate) budgets: Budgets,
    /// Handshakes under way.
    pub(crate) opening: AtomicU32,
}

#[async_trait]
impl Listener for QuicListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.bound.addresses().into_iter().map(to_multiaddr).collect()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        loop {
            let Some(incoming) = self.lease.endpoint.accept().await else {
                return Err(named(Error::new(Kind::Io, "the socket is of no more use")));
            };
            let busy = self.shared.opening.load(Ordering::Relaxed) >= self.shared.party.config.retry_above;
            if busy && !incoming.remote_address_validated() {
                // Where it may not be asked, because it was asked before, it is validated.
                let _asked = incoming.retry();
                continue;
            }
            let remote = to_multiaddr(canonical(incoming.remote_address()));
            let mut local = self.bound.local();
            if let Some(ip) = incoming.local_ip() {
                local.set_ip(ip.to_canonical());
            }
            let shared = self.shared.clone();
            let opening = Opening::new(shared.clone());
            let open = async move {
                let opened = shared.open(incoming).await;
                drop(opening);
                opened
            };
            return Ok(Incoming { remote, local: to_multiaddr(local), open: Box::pin(open) });
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

impl Shared {
    async fn open(&self, incoming: quinn::Incoming) -> Result<Opened> {
        let settings = self.party.settings(&self.identity, None, &self.env).map_err(named)?;
        let remote = incoming.remote_address();
        let config = self.party.server(&settings, remote, &self.token_key).map_err(named)?;
        let failed = |error| errors::of_handshake(&error, Role::Listener, &settings.verifier);
        let shaking_hands = async {
            let connecting = incoming.accept_with(Arc::new(config)).map_err(failed)?;
            connecting.await.map_err(failed)
        };
        let limit = self.party.handshake_timeout();
        let connection = self.env.timeout(limit, "the QUIC handshake", shaking_hands).await.map_err(named)?;
        let budget = self.budgets.of(&to_multiaddr(canonical(remote)));
        let top = session::start(connection, &settings.verifier, &self.party, &self.env, budget)?;
        Ok(Stage::Multiplexed(top).into())
    }
}

/// Counts a handshake that is under way.
struct Opening(Arc<Shared>);

impl Opening {
    fn new(shared: Arc<Shared>) -> Self {
        shared.opening.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `/ip4|ip6/…/udp/…/quic-v1`
pub(crate) fn to_multiaddr(address: std::net::SocketAddr) -> Multiaddr {
    address::udp(address).with(AddressPart::QuicV1)
}

impl fmt::Debug for QuicListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuicListener({:?})", self.lease)
    }
}
