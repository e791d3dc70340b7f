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

/// Any address of the family of `remote`.
fn any(remote: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 0)
}
