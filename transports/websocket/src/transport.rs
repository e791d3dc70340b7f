//! Dialing.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use rustls::{ClientConfig, ProtocolVersion};
use stackwire_core::{Dial, Dialed, Env, Error, Layer, Listen, Listener, Multiaddr, Result, Stage, Transport};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    NAME, WebSocketConfig,
    address::{self, Endpoint},
    listener::WebSocketListener,
    over, tls,
};

/// The transport. Made by [`WebSocketConfig`] or [`WebSocket::new`].
pub struct WebSocket {
    config: Arc<WebSocketConfig>,
    /// Made by the first dial that needs it; it remembers sessions, so that later dials need no certificate.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl WebSocket {
    /// A transport with these options. Touches nothing: files are read by `dial` and `listen`.
    pub fn new(config: WebSocketConfig) -> Self {
        Self { config: Arc::new(config), tls: OnceLock::new() }
    }

    fn client(&self, env: &Env) -> Result<Arc<ClientConfig>> {
        if let Some(client) = self.tls.get() {
            return Ok(client.clone());
        }
        let client = tls::client(&self.config.tls, env)?;
        Ok(self.tls.get_or_init(|| client).clone())
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
        let tcp = TcpStream::connect(endpoint.socket).await.map_err(|e| failed("connecting", e))?;
        tcp.set_nodelay(self.config.nodelay).map_err(|e| failed("setting nodelay", e))?;
        let local = tcp.local_addr().ok().map(|local| address::of(local, endpoint.tls));
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
        Ok(Box::new(WebSocketListener::bind(self.config.clone(), listen.address, listen.env)?))
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
