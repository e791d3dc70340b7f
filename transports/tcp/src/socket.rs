//! Sockets with the config's options.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::TcpConfig;

/// Listens on `address`.
pub(crate) fn listen(config: &TcpConfig, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new(address)?;
    if address.is_ipv6() {
        socket.set_only_v6(config.only_v6)?;
    }
    // Elsewhere than on Unix this would let others take the port; there it lets us have it back while connections of
    // an earlier listener are fading away.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Where the port of a listener can be opened to our own dials afterwards, a second listener still finds it taken.
    if config.port_reuse && !SHARES_AFTERWARDS {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(config.backlog.into())?;
    if config.port_reuse && SHARES_AFTERWARDS {
        share_port(&socket)?;
    }
    TcpListener::from_std(socket.into())
}

const SHARES_AFTERWARDS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Lets other sockets of ours use the port of this one.
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    Ok(())
}

/// Connects to `remote`, from the port of `local` where that is given. Dropping the future closes the socket.
pub(crate) async fn connect(
    config: &TcpConfig,
    remote: SocketAddr,
    local: Option<SocketAddr>,
) -> io::Result<TcpStream> {
    let socket = new(remote)?;
    if let Some(local) = local {
        share_port(&socket)?;
        socket.bind(&local.into())?;
    }
    let stream = TcpSocket::from_std_stream(socket.into()).connect(remote).await?;
    // A dial to a port of this machine where nobody listens may happen to leave from that same port, and then TCP
    // connects the socket to itself.
    if stream.local_addr()? == remote {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    configure(config, &stream)?;
    Ok(stream)
}

/// Sets the options of a connection.
pub(crate) fn configure(config: &TcpConfig, stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(config.nodelay)?;
    if let Some(ttl) = config.ttl {
        match stream.local_addr()?.ip() {
            IpAddr::V4(_) => socket.set_ttl_v4(ttl.into())?,
            IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into())?,
        }
    }
    if let Some(seconds) = config.keepalive_secs {
        let pause = Duration::from_secs(seconds.into());
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(pause).with_interval(pause))?;
    }
    Ok(())
}

fn new(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use super::*;

    #[tokio::test]
    async fn connections_have_the_options_of_the_config() {
        for config in [
            TcpConfig { ttl: Some(33), keepalive_secs: Some(60), ..TcpConfig::default() },
            TcpConfig { nodelay: false, ..TcpConfig::default() },
        ] {
            let listener = listen(&config, "127.0.0.1:0".parse().unwrap()).unwrap();
            let dialed = connect(&config, listener.local_addr().unwrap(), None).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            configure(&config, &accepted).unwrap();
            for stream in [&dialed, &accepted] {
                let socket = SockRef::from(stream);
                assert_eq!(socket.tcp_nodelay().unwrap(), config.nodelay);
                assert_eq!(socket.keepalive().unwrap(), config.keepalive_secs.is_some());
                assert_eq!(socket.ttl_v4().unwrap() == 33, config.ttl.is_some());
            }
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_dial_never_reaches_itself() {
        let config = TcpConfig { port_reuse: true, ..TcpConfig::default() };
        let listener = listen(&config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        connect(&config, address, Some(address)).await.expect_err("the socket would be connected to itself");
        assert!(matches!(futures::poll!(pin!(listener.accept())), Poll::Pending), "nobody else is there");
    }
}
