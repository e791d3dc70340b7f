//! The operating system's sockets.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    task::{Context, Poll, ready},
};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use stackwire_socket::{UdpOptions, bind_udp, canonical, to_ipv6};
use tokio::{
    io::{Interest, ReadBuf},
    net::UdpSocket,
};

use crate::UtpConfig;

/// Whether a socket on a wildcard knows which address a datagram came to, and can answer from there.
const TELLS: bool = cfg!(any(
    windows,
    target_vendor = "apple",
    target_os = "android",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
));

/// Where a datagram came from and which address it came to. Its answers go the other way, or their receiver would not
/// know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Way {
    pub(crate) remote: SocketAddr,
    /// `None` where the socket has no other address, or the system does not tell.
    pub(crate) local: Option<IpAddr>,
}

/// What was received.
pub(crate) struct Received {
    pub(crate) way: Way,
    len: usize,
    /// Some systems give several datagrams at once, each so long, but for the last.
    stride: usize,
}

impl Received {
    /// The datagrams in `buffer`, where they were received.
    pub(crate) fn datagrams<'a>(&self, buffer: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        buffer[..self.len].chunks(self.stride.max(1))
    }
}

/// A socket.
pub(crate) struct Udp {
    socket: UdpSocket,
    is_ipv6: bool,
    kind: Kind,
}

enum Kind {
    /// For one connection, to this address.
    Connected(SocketAddr),
    /// At one address.
    Bound,
    /// At all addresses of the machine.
    Wildcard(UdpSocketState),
}

impl Udp {
    /// A socket at `address`.
    pub(crate) fn bind(config: &UtpConfig, address: SocketAddr) -> io::Result<Self> {
        let socket = bind(config, address)?;
        let kind = if tells_local(address) { Kind::Wildcard(telling(&socket, address)?) } else { Kind::Bound };
        Ok(Self { socket, is_ipv6: address.is_ipv6(), kind })
    }

    /// A socket for one connection to `remote`: it hears when nobody is there.
    pub(crate) async fn connect(config: &UtpConfig, remote: SocketAddr) -> io::Result<Self> {
        let socket = bind(config, any(remote))?;
        // For UDP that sends nothing and waits for nothing.
        socket.connect(remote).await?;
        Ok(Self { socket, is_ipv6: remote.is_ipv6(), kind: Kind::Connected(remote) })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether it is for one connection alone.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.kind, Kind::Connected(_))
    }

    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>> {
        if let Kind::Wildcard(state) = &self.kind {
            return self.poll_receive_told(state, cx, buffer);
        }
        let mut datagram = ReadBuf::new(buffer);
        let remote = match self.kind {
            Kind::Connected(remote) => ready!(self.socket.poll_recv(cx, &mut datagram)).map(|()| remote),
            _ => ready!(self.socket.poll_recv_from(cx, &mut datagram)),
        };
        let len = datagram.filled().len();
        Poll::Ready(remote.map(|remote| Received {
            way: Way { remote: canonical(remote), local: None },
            len,
            stride: len,
        }))
    }

    fn poll_receive_told(
        &self,
        state: &UdpSocketState,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            let mut meta = [RecvMeta::default()];
            let received = self.socket.try_io(Interest::READABLE, || {
                state.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta)
            });
            match received {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                received => {
                    let [RecvMeta { addr, len, stride, dst_ip, .. }] = meta;
                    let way = Way { remote: canonical(addr), local: dst_ip.map(|ip| ip.to_canonical()) };
                    return Poll::Ready(received.map(|_| Received { way, len, stride }));
                }
            }
        }
    }

    /// Sends `packet` back where datagrams of `way` come from.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, way: Way, packet: &[u8]) -> Poll<io::Result<()>> {
        let destination = self.spelled(way.remote);
        let state = match &self.kind {
            Kind::Connected(_) => return self.socket.poll_send(cx, packet).map_ok(|_| ()),
            Kind::Bound => return self.socket.poll_send_to(cx, packet, destination).map_ok(|_| ()),
            Kind::Wildcard(state) => state,
        };
        // Windows has IPv4 as what it is, on any socket.
        let spelled = |ip| if cfg!(windows) { ip } else { self.spelled(SocketAddr::new(ip, 0)).ip() };
        let src_ip = way.local.map(spelled);
        let transmit = Transmit { destination, ecn: None, contents: packet, segment_size: None, src_ip };
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            let send = || state.try_send((&self.socket).into(), &transmit);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// `address`, as the socket wants it.
    fn spelled(&self, address: SocketAddr) -> SocketAddr {
        if self.is_ipv6 { to_ipv6(address) } else { address }
    }
}

/// Whether a socket at `local` has several addresses, and the ways of its datagrams name which.
pub(crate) fn tells_local(local: SocketAddr) -> bool {
    TELLS && local.ip().is_unspecified()
}

fn bind(config: &UtpConfig, address: SocketAddr) -> io::Result<UdpSocket> {
    let size = Some(config.socket_buffer as usize);
    let options = UdpOptions { dual_stack: config.dual_stack, receive_buffer: size, send_buffer: size };
    UdpSocket::from_std(bind_udp(address, options)?)
}

/// Has the system tell which address each datagram came to.
///
/// Making the state of a socket also forbids that its packets are cut up on the way. QUIC looks for the size that
/// passes; uTP does not, and would lose all that is larger. So the state is made of a socket that sends nothing.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn telling(socket: &UdpSocket, address: SocketAddr) -> io::Result<UdpSocketState> {
    use nix::sys::socket::{setsockopt, sockopt};

    match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    UdpSocketState::new((&std::net::UdpSocket::bind(any(address))?).into())
}

/// Has the system tell which address each datagram came to.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn telling(socket: &UdpSocket, _: SocketAddr) -> io::Result<UdpSocketState> {
    UdpSocketState::new(socket.into())
}

/// Any address of the family of `remote`.
fn any(remote: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 0)
}
