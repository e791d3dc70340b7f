//! Dialing, listening, and taking connections that arrived at TCP's port.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustls::{ClientConfig, ProtocolVersion, ServerConfig};
use stackwire_core::{
    AddressPart, Dial, Dialed, Env, Error, Layer, Listen, Listener, Multiaddr, Opened, Over, Recognition, Result,
    Stage, Transport,
};
use stackwire_socket::{Acceptor, TcpOptions, canonical, connect_tcp, dial_error, listen_error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    NAME, WebSocketConfig,
    address::{self, Endpoint},
    listener::{WebSocketListener, open},
    over, tls,
};

/// How HTTP requests begin: one for an upgrade, and those that only ask what is here, which are answered too.
const HTTP: &[&[u8]] = &[b"GET ", b"HEAD ", b"OPTIONS ", b"POST "];

/// How TLS begins: a record of the type “handshake”, of whichever version 3.x.
const TLS: &[&[u8]] = &[&[0x16, 0x03]];

/// The transport. Made by [`WebSocketConfig`] or [`WebSocket::new`].
pub struct WebSocket {
    config: Arc<WebSocketConfig>,
    /// Made by the first dial that needs it; it remembers sessions, so that later dials need no certificate.
    client: OnceLock<Arc<ClientConfig>>,
    /// The newest listener's, for connections that arrive at another transport's.
    server: Mutex<Option<Arc<ServerConfig>>>,
}

impl WebSocket {
    /// A transport with these options. Touches nothing: files are read by `dial` and `listen`.
    pub fn new(config: WebSocketConfig) -> Self {
        Self { config: Arc::new(config), client: OnceLock::new(), server: Mutex::new(None) }
    }

    fn client(&self, env: &Env) -> Result<Arc<ClientConfig>> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = tls::client(&self.config.tls, env)?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// What a new listener at `ip` needs where its address says TLS. Reads or makes the certificate.
    fn server(&self, ip: IpAddr, env: &Env) -> Result<TlsAcceptor> {
        let server = tls::server(&self.config.tls, ip, env)?;
        *self.server.lock() = Some(server.clone());
        Ok(server.into())
    }

    /// The same for a connection that arrived elsewhere: the certificate is read or made for the first one only.
    fn shared_server(&self, ip: IpAddr, env: &Env) -> Result<TlsAcceptor> {
        let server = self.server.lock().clone();
        server.map_or_else(|| self.server(ip, env), |server| Ok(server.into()))
    }
}

#[async_trait]
impl Transport for WebSocket {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        Endpoint::parse(address).is_some()
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        Endpoint::parse(address).is_some_and(|endpoint| endpoint.can_listen())
    }

    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let endpoint = Endpoint::require(dial.address)?;
        // What can be wrong on our side is found before the peer is bothered.
        let tls = match endpoint.tls {
            true => Some((self.client(dial.env)?, tls::server_name(&endpoint)?)),
            false => None,
        };
        let connecting = async { connect_tcp(endpoint.at.resolve()?, None).await };
        let tcp = connecting.await.map_err(|e| dial_error(dial.address, e).at(Layer::Transport, NAME))?;
        tcp.set_nodelay(self.config.nodelay).map_err(|e| failed("setting nodelay", e))?;
        let local = tcp.local_addr().ok().map(|local| address::of(canonical(local), endpoint.tls));
        let (stage, round_trips) = match tls {
            None => (self.upgrade(tcp, &endpoint, dial.env).await?, 0),
            Some((client, name)) => {
                let io = TlsConnector::from(client).connect(name, tcp).await.map_err(tls::handshake_error)?;
                // A TLS 1.2 handshake takes two round trips.
                let old = io.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_2);
                (self.upgrade(io, &endpoint, dial.env).await?, if old { 2 } else { 1 })
            }
        };
        // TCP, then perhaps TLS, then HTTP.
        Ok(Dialed { stage, local, round_trips: 1 + round_trips + 1 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let endpoint = Endpoint::require_listen(listen.address)?;
        let tls = match endpoint.tls {
            true => Some(self.server(endpoint.at.socket.ip(), listen.env)?),
            false => None,
        };
        let options = TcpOptions { dual_stack: self.config.dual_stack, ..TcpOptions::default() };
        let acceptor = endpoint
            .at
            .resolve()
            .and_then(|socket| Acceptor::bind(socket, options, listen.env))
            .map_err(|e| listen_error(listen.address, e).at(Layer::Transport, NAME))?;
        Ok(Box::new(WebSocketListener { acceptor, tls, config: self.config.clone(), env: listen.env.clone() }))
    }

    /// TCP at the same socket.
    fn carrier(&self, address: &Multiaddr) -> Option<Multiaddr> {
        Endpoint::parse(address).filter(Endpoint::can_listen)?;
        let tcp = address.iter().position(|part| matches!(part, AddressPart::Tcp(_)))?;
        Some(address.iter().take(tcp + 1).collect())
    }

    fn recognizes(&self, address: &Multiaddr, first: &[u8]) -> Recognition {
        match Endpoint::parse(address).filter(Endpoint::can_listen) {
            Some(endpoint) => {
                let prefixes = if endpoint.tls { TLS } else { HTTP };
                let each = prefixes.iter().map(|prefix| Recognition::of(prefix, first));
                each.reduce(Recognition::or).unwrap_or(Recognition::No)
            }
            None => Recognition::No,
        }
    }

    async fn accept_over(&self, over: Over<'_>) -> Result<Opened> {
        let endpoint = Endpoint::require_listen(over.address)?;
        let tls = match endpoint.tls {
            true => Some(self.shared_server(endpoint.at.socket.ip(), over.env)?),
            false => None,
        };
        let stage = open(over.pipe, tls, self.config.max_message_bytes, over.env).await?;
        Ok(Opened { stage, remote: Some(address::on(over.remote.clone(), endpoint.tls)) })
    }
}

impl WebSocket {
    async fn upgrade<T>(&self, io: T, endpoint: &Endpoint, env: &Env) -> Result<Stage>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        over::dial(io, &endpoint.host(), &endpoint.path, self.config.max_message_bytes, env).await
    }
}

/// An error of the operating system.
pub(crate) fn failed(during: &'static str, e: std::io::Error) -> Error {
    Error::io(during, e).at(Layer::Transport, NAME)
}
