//! Listening.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use socket2::{Domain, Socket, Type};
use stackwire_core::{Env, Error, Incoming, Kind, Layer, Listener, Multiaddr, Result, Stage};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{
    NAME, WebSocketConfig,
    address::{self, Endpoint},
    over, tls,
    transport::failed,
};

/// Connections that the operating system may keep until they are accepted.
const BACKLOG: i32 = 1024;

/// How long to wait where the machine is out of files or memory; the connections stay queued meanwhile.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A socket that WebSocket connections arrive at.
pub(crate) struct WebSocketListener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    addresses: Vec<Multiaddr>,
    config: Arc<WebSocketConfig>,
    env: Env,
}

impl WebSocketListener {
    /// Listens. Reads or makes the TLS certificate where the address says TLS.
    pub fn bind(config: Arc<WebSocketConfig>, listen: &Multiaddr, env: &Env) -> Result<Self> {
        let endpoint = Endpoint::require_listen(listen)?;
        let ip = endpoint.socket.ip();
        let tls = match endpoint.tls {
            true => Some(TlsAcceptor::from(tls::server(&config.tls, ip, env)?)),
            false => None,
        };
        let during = |e| Error::io(format!("listening on {listen}"), e).at(Layer::Transport, NAME);
        let tcp = bind(endpoint.socket).map_err(during)?;
        let local = tcp.local_addr().map_err(during)?;
        let addresses = expand(local).map_err(during)?;
        let addresses = addresses.into_iter().map(|socket| address::of(socket, endpoint.tls)).collect();
        Ok(Self { tcp, tls, addresses, config, env: env.clone() })
    }
}

#[async_trait]
impl Listener for WebSocketListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.addresses.clone()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let (tcp, remote) = loop {
            match self.tcp.accept().await {
                Ok(accepted) => break accepted,
                // The peer gave up while it was queued.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(failed("accepting", e)),
                Err(_) => self.env.sleep(EXHAUSTED_PAUSE).await,
            }
        };
        let tls = self.tls.clone();
        let local = match tcp.local_addr() {
            Ok(local) => address::of(local, tls.is_some()),
            Err(_) => self.addresses.first().cloned().unwrap_or_else(Multiaddr::empty),
        };
        let open = open(tcp, tls.clone(), self.config.clone(), self.env.clone());
        Ok(Incoming { remote: address::of(remote, tls.is_some()), local, open: Box::pin(open) })
    }
}

/// TLS, if any, and the HTTP upgrade.
async fn open(tcp: TcpStream, tls: Option<TlsAcceptor>, config: Arc<WebSocketConfig>, env: Env) -> Result<Stage> {
    let max = config.max_message_bytes;
    tcp.set_nodelay(config.nodelay).map_err(|e| failed("setting nodelay", e))?;
    match tls {
        None => over::accept(tcp, max, &env).await,
        Some(tls) => over::accept(tls.accept(tcp).await.map_err(tls::handshake_error)?, max, &env).await,
    }
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    if at.is_ipv6() {
        // `/ip6/::` means IPv6; who wants both listens on both.
        socket.set_only_v6(true)?;
    }
    // Elsewhere than on Unix this option would let another program take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The addresses a socket is reachable at: for a wildcard those of the machine's interfaces.
fn expand(local: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    if !local.ip().is_unspecified() {
        return Ok(vec![local]);
    }
    let mut ips: Vec<IpAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|interface| interface.ip())
        .filter(|ip| ip.is_ipv4() == local.is_ipv4())
        // An address that is valid on one link only cannot be dialed without naming the link.
        .filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .collect();
    ips.sort_unstable();
    ips.dedup();
    if ips.is_empty() {
        let error = Error::new(Kind::AddressInvalid, "no interface has an address of this family");
        return Err(error.into());
    }
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect())
}
