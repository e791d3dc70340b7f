//! The sockets of a transport: those that listen, and those that only dial.
//!
//! A socket outlives its listener as long as it has connections. Meanwhile it refuses new ones, unless somebody listens
//! on its address again.

use std::{
    fmt,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
};

use futures::future::{Either, select};
use parking_lot::Mutex;
use quinn::{ClientConfig, ConnectError, Connecting, Endpoint, EndpointConfig, ServerConfig};
use stackwire_core::{Env, Task};
use stackwire_socket::{beside, leaves_from};

use crate::{
    QuicConfig,
    runtime::{EnvRuntime, Ids},
    socket::{Socket, Sockets, wildcard},
};

/// Never sent (no SNI), and looked at by nobody; TLS wants a name.
const NAME_OF_NOBODY: &str = "libp2p";

/// The sockets of a transport.
pub(crate) struct Endpoints {
    sockets: Arc<dyn Sockets>,
    buffer: usize,
    /// The largest packets, in bytes.
    payload: u16,
    bound: Mutex<Vec<Bound>>,
}

/// A socket.
struct Bound {
    endpoint: Endpoint,
    socket: Arc<Socket>,
    local: SocketAddr,
    env: Env,
    state: State,
}

enum State {
    /// A listener takes its connections.
    Listening,
    /// It was listened on. The task refuses connections and ends with the last that is left.
    Fading(#[expect(dead_code, reason = "dropping it stops the task")] Task),
    /// For dials only.
    Dialing,
}

impl Endpoints {
    pub(crate) fn new(sockets: Arc<dyn Sockets>, config: &QuicConfig) -> Self {
        let (buffer, payload) = (config.socket_buffer as usize, config.largest_payload());
        Self { sockets, buffer, payload, bound: Mutex::default() }
    }

    /// Listens on `address`. When this returns, connections are being queued.
    pub(crate) fn listen(
        self: &Arc<Self>,
        address: SocketAddr,
        endpoint: EndpointConfig,
        server: ServerConfig,
        env: &Env,
    ) -> io::Result<Lease> {
        let mut bound = self.bound.lock();
        if let Some(again) = bound.iter_mut().find(|bound| bound.local == address) {
            if !matches!(again.state, State::Fading(_)) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            again.state = State::Listening;
            again.endpoint.set_server_config(Some(server));
            return Ok(Lease::new(self, again));
        }
        let new = self.bind(address, endpoint, Some(server), env, State::Listening)?;
        let lease = Lease::new(self, &new);
        bound.push(new);
        Ok(lease)
    }

    /// Begins to dial `remote`; also says where from. `endpoint` makes the config of a new socket.
    pub(crate) fn connect(
        &self,
        remote: SocketAddr,
        mut config: ClientConfig,
        endpoint: impl Fn() -> io::Result<EndpointConfig>,
        env: &Env,
    ) -> io::Result<(Connecting, SocketAddr)> {
        // A host that has no way there is told at once; QUIC itself would wait for an answer.
        let source = self.sockets.source(remote)?;
        let mut bound = self.bound.lock();
        let mut failed = 0;
        loop {
            let listens = |bound: &Bound| matches!(bound.state, State::Listening) && bound.reaches(remote, source);
            let listener = bound.iter().position(listens);
            let index = match listener.or_else(|| bound.iter().position(|bound| bound.reaches(remote, source))) {
                Some(index) => index,
                None => {
                    bound.push(self.bind(wildcard(remote), endpoint()?, None, env, State::Dialing)?);
                    bound.len() - 1
                }
            };
            let from = &bound[index];
            // By the socket's own randomness, since all ids of a socket must differ.
            let ids = Ids(from.env.clone());
            config.initial_dst_cid_provider(Arc::new(move || ids.first()));
            match from.endpoint.connect_with(config.clone(), remote, NAME_OF_NOBODY) {
                Ok(connecting) => {
                    let ip = if from.local.ip().is_unspecified() { source } else { from.local.ip() };
                    return Ok((connecting, beside(SocketAddr::new(ip, from.local.port()), remote)));
                }
                // Its socket failed, or the runtime that it was for is gone. The next one may have, too; a new one has not.
                Err(ConnectError::EndpointStopping) if failed < bound.len() => {
                    failed += 1;
                    bound.swap_remove(index).socket.close();
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn bind(
        &self,
        address: SocketAddr,
        config: EndpointConfig,
        server: Option<ServerConfig>,
        env: &Env,
        state: State,
    ) -> io::Result<Bound> {
        let socket = Arc::new(Socket::new(self.sockets.bind(address, self.buffer)?, self.payload, env.clone())?);
        let runtime = Arc::new(EnvRuntime(env.clone()));
        let endpoint = Endpoint::new_with_abstract_socket(config, server, socket.clone(), runtime)?;
        let local = endpoint.local_addr()?;
        Ok(Bound { endpoint, socket, local, env: env.clone(), state })
    }

    /// A listener is gone.
    fn fade(self: &Arc<Self>, local: SocketAddr) {
        let mut bound = self.bound.lock();
        let Some(fading) = bound.iter_mut().find(|bound| bound.is_listening_on(local)) else { return };
        let task = fade(Arc::downgrade(self), fading.endpoint.clone(), local);
        fading.state = State::Fading(fading.env.spawn("quic port", task));
    }

    /// What `poll` finds while the socket at `local` fades. Once somebody listens there again nothing is polled: what arrives
    /// then is the listener's, also where the task that refuses has been at it when it was stopped.
    fn while_fading<T>(&self, local: SocketAddr, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let bound = self.bound.lock();
        let fades = |bound: &Bound| bound.local == local && matches!(bound.state, State::Fading(_));
        if bound.iter().any(fades) { poll() } else { Poll::Pending }
    }

    /// Closes a socket that has faded, unless it is wanted again, or has connections again and still works. Whether it is
    /// done with.
    fn close(&self, local: SocketAddr, works: bool) -> bool {
        let mut bound = self.bound.lock();
        let fading = |bound: &Bound| bound.local == local && matches!(bound.state, State::Fading(_));
        let Some(index) = bound.iter().position(fading) else { return true };
        if works && bound[index].endpoint.open_connections() > 0 {
            return false;
        }
        bound.swap_remove(index).socket.close();
        true
    }
}

impl Bound {
    fn is_listening_on(&self, local: SocketAddr) -> bool {
        self.local == local && matches!(self.state, State::Listening)
    }

    /// Whether dials to `remote` should leave from here, where the routes have them leave from `source`: it is of the same
    /// family, and answers find the way back. A listener does not dial itself.
    fn reaches(&self, remote: SocketAddr, source: IpAddr) -> bool {
        let (here, there) = (self.local.ip(), remote.ip());
        match self.state {
            State::Fading(_) => false,
            State::Dialing => here.is_ipv4() == there.is_ipv4(),
            State::Listening => {
                here.is_ipv4() == there.is_ipv4()
                    && self.local != remote
                    && leaves_from(self.local, remote, Some(source))
            }
        }
    }
}

/// Refuses connections to `endpoint` until it has none left.
async fn fade(endpoints: Weak<Endpoints>, endpoint: Endpoint, local: SocketAddr) {
    loop {
        let mut accept = pin!(endpoint.accept());
        let arriving = poll_fn(|cx| match endpoints.upgrade() {
            Some(endpoints) => endpoints.while_fading(local, || accept.as_mut().poll(cx)),
            None => Poll::Ready(None),
        });
        let works = match select(arriving, pin!(endpoint.wait_idle())).await {
            Either::Left((Some(incoming), _)) => {
                incoming.refuse();
                continue;
            }
            Either::Left((None, _)) => false,
            Either::Right(((), _)) => true,
        };
        if endpoints.upgrade().is_none_or(|endpoints| endpoints.close(local, works)) {
            return;
        }
    }
}

/// A place where a listener is. Dropping it frees the address.
pub(crate) struct Lease {
    endpoints: Arc<Endpoints>,
    pub(crate) endpoint: Endpoint,
    pub(crate) socket: Arc<Socket>,
    pub(crate) local: SocketAddr,
}

impl Lease {
    fn new(endpoints: &Arc<Endpoints>, bound: &Bound) -> Self {
        let (endpoint, socket) = (bound.endpoint.clone(), bound.socket.clone());
        Self { endpoints: endpoints.clone(), endpoint, socket, local: bound.local }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoints.fade(self.local);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.local)
    }
}

#[cfg(test)]
mod tests {
    use quinn::crypto::HandshakeTokenKey;
    use stackwire_core::{Keypair, identity::KeyType};

    use super::*;
    use crate::{keys::TokenKey, party::Party, socket::MachineSockets};

    #[tokio::test]
    async fn who_listens_again_gets_what_arrives_from_then_on() {
        let env = stackwire_conformance::env();
        let config = QuicConfig::default();
        let endpoints = Arc::new(Endpoints::new(Arc::new(MachineSockets), &config));
        let party = Party::new(config);
        let identity = Keypair::generate(KeyType::Ed25519, &env).unwrap();
        let token_key: Arc<dyn HandshakeTokenKey> = Arc::new(TokenKey::new(&env));
        let listen = |address: SocketAddr| {
            let settings = party.settings(&identity, None, &env).unwrap();
            let server = party.server(&settings, address, &token_key).unwrap();
            endpoints.listen(address, party.endpoint(&env).unwrap(), server, &env).unwrap()
        };
        let listening = listen("127.0.0.1:0".parse().unwrap());
        let local = listening.local;
        let looks = || endpoints.while_fading(local, || Poll::Ready(())).is_ready();
        assert!(!looks());
        drop(listening);
        assert!(looks());
        // The task that refused may be in the middle of a look when it is stopped.
        let _again = listen(local);
        assert!(!looks());
    }
}
