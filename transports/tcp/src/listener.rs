//! Where connections arrive.

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use stackwire_core::{Env, Error, Incoming, Layer, Listener, Multiaddr, Opened, Result, Stage};
use stackwire_socket::{Accepted, Acceptor, tcp_address};
use tokio::net::TcpStream;

use crate::{
    NAME, TcpConfig,
    config::ProxyProtocol,
    pipe::{TcpPipe, pipe},
    ports::Port,
    proxy, socket,
};

#[derive(Debug)]
pub(crate) struct TcpListener {
    pub(crate) config: TcpConfig,
    pub(crate) acceptor: Acceptor,
    pub(crate) env: Env,
    /// Our entry among the ports that dials may leave from.
    pub(crate) _port: Port,
}

#[async_trait]
impl Listener for TcpListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.acceptor.bound().addresses().into_iter().map(tcp_address).collect()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let accepted = self.acceptor.accept().await;
        let Accepted { stream, remote, local } =
            accepted.map_err(|e| Error::io("accepting", e).at(Layer::Transport, NAME))?;
        let open: BoxFuture<'static, _> = match self.config.proxy_protocol {
            ProxyProtocol::Off => Box::pin(plain(self.config, stream, self.env.clone())),
            ProxyProtocol::Require => Box::pin(behind_proxy(self.config, stream, self.env.clone())),
        };
        Ok(Incoming { remote: tcp_address(remote), local: tcp_address(local), open })
    }

    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        let lists = self.acceptor.bound().watch()?;
        Some(lists.map(|list| list.into_iter().map(tcp_address).collect()).boxed())
    }
}

/// The connection as it is.
async fn plain(config: TcpConfig, stream: TcpStream, env: Env) -> Result<Opened> {
    Ok(Stage::Raw(Box::new(configured(&config, stream, env)?)).into())
}

/// The connection behind the proxy's header.
async fn behind_proxy(config: TcpConfig, stream: TcpStream, env: Env) -> Result<Opened> {
    let mut pipe = configured(&config, stream, env)?;
    let source = proxy::read_header(&mut pipe).await?;
    Ok(Opened { stage: Stage::Raw(Box::new(pipe)), remote: source.map(tcp_address) })
}

fn configured(config: &TcpConfig, stream: TcpStream, env: Env) -> Result<TcpPipe> {
    socket::configure(config, &stream)
        .map_err(|e| Error::io("setting a connection's options", e).at(Layer::Transport, NAME))?;
    Ok(pipe(stream, config, env))
}
