//! The operating system's sockets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use stackwire_socket::{UdpOptions, bind_udp};
use tokio::net::UdpSocket;

use crate::UtpConfig;

/// A socket at `address`.
pub(crate) fn bind(config: &UtpConfig, address: SocketAddr) -> io::Result<UdpSocket> {
    let size = Some(config.socket_buffer as usize);
    let options = UdpOptions { dual_stack: config.dual_stack, receive_buffer: size, send_buffer: size };
    UdpSocket::from_std(bind_udp(address, options)?)
}

/// A socket for one connection to `remote`: it hears when nobody is there.
pub(crate) async fn connect(config: &UtpConfig, remote: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bind(config, any(remote))?;
    // For UDP that sends nothing and waits for nothing.
    socket.connect(remote).await?;
    Ok(socket)
}

/// The address from which this machine's packets go to `remote`, by asking its routes. Nothing is sent.
pub(crate) fn towards(remote: SocketAddr) -> Option<IpAddr> {
    let socket = bind_udp(any(remote), UdpOptions::default()).ok()?;
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// Any address of the family of `remote`.
fn any(remote: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        assert_eq!(towards("127.0.0.1:9".parse().unwrap()), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
