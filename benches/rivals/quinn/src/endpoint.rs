//! Endpoints with the settings that suit bulk and many connections best.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Socket, Type};
use stackwire_contest::Result;

use crate::tls;

/// More than are ever open at once on one connection; not many more, because a connection prepares for all of them.
const STREAMS: u32 = 512;

/// What the system holds for a socket, as far as it allows.
const SOCKET_BUFFER: usize = 4 << 20;

pub fn server(listen: SocketAddr) -> Result<Endpoint> {
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls::server()?)?));
    config.transport_config(transport()?);
    endpoint(listen, Some(config))
}

pub fn client() -> Result<Endpoint> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls::client()?)?));
    config.transport_config(transport()?);
    let mut endpoint = endpoint(SocketAddr::from(([127, 0, 0, 1], 0)), None)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

fn endpoint(bind: SocketAddr, server: Option<ServerConfig>) -> Result<Endpoint> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, None)?;
    // As much as the system allows is all that can be had.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&bind.into())?;
    Ok(Endpoint::new(EndpointConfig::default(), server, socket.into(), Arc::new(TokioRuntime))?)
}

fn transport() -> Result<Arc<TransportConfig>> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(16 << 20))
        .receive_window(VarInt::from_u32(64 << 20))
        .send_window(64 << 20)
        .datagram_receive_buffer_size(None)
        // Thousands of connections that are idle should be.
        .keep_alive_interval(Some(Duration::from_secs(60)))
        .max_idle_timeout(Some(Duration::from_secs(180).try_into()?));
    Ok(Arc::new(transport))
}
