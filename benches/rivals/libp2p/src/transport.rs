//! The layers of a stack, with the settings that suit it best.

use std::{net::SocketAddr, time::Duration};

use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic, tcp, tls, yamux,
};
use stackwire_contest::Result;

/// More than are ever open at once on one connection; not many more, because QUIC prepares for all of them, and Yamux
/// divides by it the gibibyte that a connection may hold.
const STREAMS: u32 = 512;

pub fn transport(stack: &str, key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>> {
    if stack == "libp2p-quic" {
        let mut config = quic::Config::new(key);
        config.max_concurrent_stream_limit = STREAMS;
        config.max_stream_data = 16 << 20;
        config.max_connection_data = 64 << 20;
        // Thousands of connections that are idle should be, and a busy machine is no reason to end them.
        config.keep_alive_interval = Duration::from_secs(60);
        config.max_idle_timeout = 180_000;
        config.handshake_timeout = Duration::from_secs(30);
        let quic = quic::tokio::Transport::new(config);
        return Ok(quic.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))).boxed());
    }
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)).upgrade(Version::V1Lazy);
    // Its windows grow by themselves.
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS as usize);
    let timeout = Duration::from_secs(30);
    Ok(match stack {
        "libp2p-noise" => tcp.authenticate(noise::Config::new(key)?).multiplex(yamux).timeout(timeout).boxed(),
        _ => tcp.authenticate(tls::Config::new(key)?).multiplex(yamux).timeout(timeout).boxed(),
    })
}

pub fn multiaddr(stack: &str, address: SocketAddr) -> Multiaddr {
    let ip = Multiaddr::from(address.ip());
    match stack {
        "libp2p-quic" => ip.with(Protocol::Udp(address.port())).with(Protocol::QuicV1),
        _ => ip.with(Protocol::Tcp(address.port())),
    }
}

pub fn socket_addr(address: &Multiaddr) -> Result<SocketAddr> {
    let (mut ip, mut port) = (None, None);
    for part in address {
        match part {
            Protocol::Ip4(found) => ip = Some(found.into()),
            Protocol::Ip6(found) => ip = Some(found.into()),
            Protocol::Tcp(found) | Protocol::Udp(found) => port = Some(found),
            _ => {}
        }
    }
    let (Some(ip), Some(port)) = (ip, port) else { return Err(format!("no socket's address: {address}").into()) };
    Ok(SocketAddr::new(ip, port))
}
