//! Sockets, by the rules of the crate's description.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How to listen for TCP connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Whether a socket on an IPv6 wildcard takes IPv4 too. Then nobody else can listen on IPv4 on that port.
    pub dual_stack: bool,
    /// How many connections the operating system holds until they are accepted, as far as it allows so many.
    pub backlog: u16,
    /// Whether dials of ours may leave from the port; see [`connect_tcp`]. A second listener still finds it taken where
    /// the system can tell the two apart (Linux, Android).
    pub share_port: bool,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { dual_stack: false, backlog: 1024, share_port: false }
    }
}

/// How to bind for UDP datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpOptions {
    /// Whether a socket on an IPv6 wildcard takes IPv4 too. Then nobody else can bind that port on IPv4, and IPv4
    /// destinations must be given as [`to_ipv6`](crate::to_ipv6) has them.
    pub dual_stack: bool,
    /// Bytes the operating system holds that were not yet read; it may hold fewer than asked for. `None`: its default.
    pub receive_buffer: Option<usize>,
    /// Bytes the operating system holds that were not yet sent; it may hold fewer than asked for. `None`: its default.
    pub send_buffer: Option<usize>,
}

/// Listens on `address`; port 0 asks for a free one. Must be called within a tokio runtime.
pub fn bind_tcp(address: SocketAddr, options: TcpOptions) -> io::Result<TcpListener> {
    let socket = new(address, Type::STREAM, options.dual_stack)?;
    // Elsewhere than on Unix this would let others take the port; there it lets us have it back while connections of
    // an earlier listener are fading away.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Where the port of a listener can be opened to our own dials afterwards, a second listener still finds it taken.
    if options.share_port && !SHARES_AFTERWARDS {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(options.backlog.into())?;
    if options.share_port && SHARES_AFTERWARDS {
        share_port(&socket)?;
    }
    TcpListener::from_std(socket.into())
}

/// Binds `address` for datagrams; port 0 asks for a free one. The socket does not block, as tokio and QUIC's
/// implementations want it.
pub fn bind_udp(address: SocketAddr, options: UdpOptions) -> io::Result<UdpSocket> {
    let socket = new(address, Type::DGRAM, options.dual_stack)?;
    // Systems cap these by their own settings; a smaller buffer loses more datagrams, and nothing else.
    if let Some(bytes) = options.receive_buffer {
        let _best_effort = socket.set_recv_buffer_size(bytes);
    }
    if let Some(bytes) = options.send_buffer {
        let _best_effort = socket.set_send_buffer_size(bytes);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Connects to `remote`: from the port `from`, where a listener of ours with `share_port` is, or from any. Must be
/// called within a tokio runtime. Dropping the future closes the socket.
pub async fn connect_tcp(remote: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = new(remote, Type::STREAM, false)?;
    if let Some(from) = from {
        share_port(&socket)?;
        socket.bind(&from.into())?;
    }
    let stream = TcpSocket::from_std_stream(socket.into()).connect(remote).await?;
    // A dial to a port of this machine where nobody listens may happen to leave from that same port, and then TCP
    // connects the socket to itself.
    if stream.local_addr()? == remote {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

const SHARES_AFTERWARDS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Lets other sockets of ours use the port of this one.
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    Ok(())
}

fn new(address: SocketAddr, kind: Type, dual_stack: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // An IPv4 address in the clothes of IPv6 can be bound and reached by no other kind of socket.
        let is_ipv4 = address.ip().to_canonical().is_ipv4();
        socket.set_only_v6(!dual_stack && !is_ipv4)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use stackwire_conformance::in_time;

    use super::*;
    use crate::to_ipv6;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Whether this machine has IPv6, said aloud where it has not.
    fn has_ipv6() -> bool {
        let bound = bind_udp(at("[::1]:0"), UdpOptions::default());
        bound.inspect_err(|error| eprintln!("skipped: this machine has no IPv6 ({error})")).is_ok()
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_dial_never_reaches_itself() {
        let listener = bind_tcp(at("127.0.0.1:0"), TcpOptions { share_port: true, ..TcpOptions::default() }).unwrap();
        let address = listener.local_addr().unwrap();
        connect_tcp(address, Some(address)).await.expect_err("the socket would be connected to itself");
        assert!(matches!(futures::poll!(pin!(listener.accept())), Poll::Pending), "nobody else is there");
    }

    #[tokio::test]
    async fn without_dual_stack_the_families_have_their_ports_to_themselves() {
        if !has_ipv6() {
            return;
        }
        let ipv4 = at("0.0.0.0:0").ip();
        // A free port of IPv6 may be somebody else's on IPv4; not ten in a row.
        let pair = (0..10).find_map(|_| {
            let six = bind_tcp(at("[::]:0"), TcpOptions::default()).unwrap();
            let four = bind_tcp(SocketAddr::new(ipv4, six.local_addr().unwrap().port()), TcpOptions::default());
            Some((six, four.ok()?))
        });
        let (six, four) = pair.expect("both are free");
        let port = four.local_addr().unwrap().port();
        let dialed = connect_tcp(SocketAddr::new(at("127.0.0.1:0").ip(), port), None).await.unwrap();
        let (_accepted, remote) = in_time("accepting", four.accept()).await.unwrap();
        assert_eq!(remote, dialed.local_addr().unwrap());
        assert!(matches!(futures::poll!(pin!(six.accept())), Poll::Pending), "it takes no IPv4");

        assert!((0..10).any(|_| {
            let six = bind_udp(at("[::]:0"), UdpOptions::default()).unwrap();
            bind_udp(SocketAddr::new(ipv4, six.local_addr().unwrap().port()), UdpOptions::default()).is_ok()
        }));
    }

    #[tokio::test]
    async fn a_dual_stack_socket_takes_both_families_and_the_port_of_both() {
        if !has_ipv6() {
            return;
        }
        let both = bind_tcp(at("[::]:0"), TcpOptions { dual_stack: true, ..TcpOptions::default() }).unwrap();
        let port = both.local_addr().unwrap().port();
        for ip in ["127.0.0.1:0", "[::1]:0"] {
            connect_tcp(SocketAddr::new(at(ip).ip(), port), None).await.unwrap();
        }
        let error = bind_tcp(SocketAddr::new(at("0.0.0.0:0").ip(), port), TcpOptions::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_dual_stack_udp_socket_speaks_to_both_families() {
        if !has_ipv6() {
            return;
        }
        let both = bind_udp(at("[::]:0"), UdpOptions { dual_stack: true, ..UdpOptions::default() }).unwrap();
        let both = tokio::net::UdpSocket::from_std(both).unwrap();
        for ip in ["127.0.0.1:0", "[::1]:0"] {
            let peer = bind_udp(at(ip), UdpOptions { receive_buffer: Some(1 << 16), ..UdpOptions::default() }).unwrap();
            let peer = tokio::net::UdpSocket::from_std(peer).unwrap();
            both.send_to(b"hello", to_ipv6(peer.local_addr().unwrap())).await.unwrap();
            let mut bytes = [0; 8];
            let n = in_time("a datagram", peer.recv(&mut bytes)).await.unwrap();
            assert_eq!(&bytes[..n], b"hello");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn dials_leave_from_a_shared_port_and_a_second_listener_finds_it_taken() {
        let options = TcpOptions { share_port: true, ..TcpOptions::default() };
        let listener = bind_tcp(at("127.0.0.1:0"), options).unwrap();
        let from = listener.local_addr().unwrap();
        let other = bind_tcp(at("127.0.0.1:0"), TcpOptions::default()).unwrap();
        let stream = connect_tcp(other.local_addr().unwrap(), Some(from)).await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), from);
        if SHARES_AFTERWARDS {
            assert_eq!(bind_tcp(from, options).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
