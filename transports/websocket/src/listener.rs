//! Listening.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use stackwire_core::{Env, Incoming, Listener, Multiaddr, Result, Stage};
use stackwire_socket::{Accepted, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::{WebSocketConfig, address, over, tls, transport::failed};

/// A socket that WebSocket connections arrive at.
pub(crate) struct WebSocketListener {
    pub acceptor: Acceptor,
    pub tls: Option<TlsAcceptor>,
    pub config: Arc<WebSocketConfig>,
    pub env: Env,
}

#[async_trait]
impl Listener for WebSocketListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        let addresses = self.acceptor.bound().addresses();
        addresses.into_iter().map(|socket| address::of(socket, self.tls.is_some())).collect()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let accepted = self.acceptor.accept().await.map_err(|e| failed("accepting", e))?;
        let Accepted { stream, remote, local } = accepted;
        let (tls, config, env) = (self.tls.clone(), self.config.clone(), self.env.clone());
        let has_tls = tls.is_some();
        let open = async move {
            stream.set_nodelay(config.nodelay).map_err(|e| failed("setting nodelay", e))?;
            Ok(open(stream, tls, config.max_message_bytes, &env).await?.into())
        };
        let (remote, local) = (address::of(remote, has_tls), address::of(local, has_tls));
        Ok(Incoming { remote, local, open: Box::pin(open) })
    }

    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        let (lists, tls) = (self.acceptor.bound().watch()?, self.tls.is_some());
        Some(lists.map(move |list| list.into_iter().map(|socket| address::of(socket, tls)).collect()).boxed())
    }
}

/// TLS, if any, and the HTTP upgrade.
pub(crate) async fn open<T>(io: T, tls: Option<TlsAcceptor>, max_message: u64, env: &Env) -> Result<Stage>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match tls {
        None => over::accept(io, max_message, env).await,
        Some(tls) => over::accept(tls.accept(io).await.map_err(tls::handshake_error)?, max_message, env).await,
    }
}
