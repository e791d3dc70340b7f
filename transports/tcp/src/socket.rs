//! Sockets with the config's options.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use stackwire_socket::{TcpOptions, connect_tcp};
use tokio::net::TcpStream;

use crate::TcpConfig;

/// How the config wants to listen.
pub(crate) fn listen_options(config: &TcpConfig) -> TcpOptions {
    TcpOptions { dual_stack: config.dual_stack, backlog: config.backlog, share_port: config.port_reuse }
}

/// Connects to `remote`, from the port of `local` where that is given. Dropping the future closes the socket.
pub(crate) async fn connect(
    config: &TcpConfig,
    remote: SocketAddr,
    local: Option<SocketAddr>,
) -> io::Result<TcpStream> {
    let stream = connect_tcp(remote, local).await?;
    configure(config, &stream)?;
    Ok(stream)
}

/// Sets the options of a connection.
pub(crate) fn configure(config: &TcpConfig, stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(config.nodelay)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if config.max_unsent > 0 {
        socket.set_tcp_notsent_lowat(config.max_unsent)?;
    }
    if let Some(ttl) = config.ttl {
        match stream.local_addr()?.ip().to_canonical() {
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

#[cfg(test)]
mod tests {
    use stackwire_socket::bind_tcp;

    use super::*;

    #[tokio::test]
    async fn connections_have_the_options_of_the_config() {
        for config in [
            TcpConfig { ttl: Some(33), keepalive_secs: Some(60), ..TcpConfig::default() },
            TcpConfig { nodelay: false, max_unsent: 0, ..TcpConfig::default() },
        ] {
            let listener = bind_tcp("127.0.0.1:0".parse().unwrap(), listen_options(&config)).unwrap();
            let dialed = connect(&config, listener.local_addr().unwrap(), None).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            configure(&config, &accepted).unwrap();
            for stream in [&dialed, &accepted] {
                let socket = SockRef::from(stream);
                assert_eq!(socket.tcp_nodelay().unwrap(), config.nodelay);
                assert_eq!(socket.keepalive().unwrap(), config.keepalive_secs.is_some());
                #[cfg(target_os = "linux")]
                assert_eq!(socket.tcp_notsent_lowat().unwrap() == 128 * 1024, config.max_unsent > 0);
                assert_eq!(socket.ttl_v4().unwrap() == 33, config.ttl.is_some());
            }
        }
    }

    #[tokio::test]
    async fn a_dual_stack_listener_gives_its_ipv4_connections_the_ttl_too() {
        let config = TcpConfig { ttl: Some(33), dual_stack: true, ..TcpConfig::default() };
        let listener = match bind_tcp("[::]:0".parse().unwrap(), listen_options(&config)) {
            Ok(listener) => listener,
            Err(error) => return eprintln!("skipped: this machine has no IPv6 ({error})"),
        };
        let port = listener.local_addr().unwrap().port();
        let _dialed = connect(&config, SocketAddr::from(([127, 0, 0, 1], port)), None).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        configure(&config, &accepted).unwrap();
        assert_eq!(SockRef::from(&accepted).ttl_v4().unwrap(), 33);
    }
}
