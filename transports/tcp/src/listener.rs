//! Where connections arrive.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use stackwire_core::{Env, Error, Incoming, Layer, Listener, Multiaddr, Result, Stage, address};
use tokio::net::{TcpListener as Socket, TcpStream};

use crate::{TcpConfig, TcpPipe, ports::Port, socket, transport::NAME};

/// How long accepting pauses when the machine has no means for another connection, such as a file descriptor.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct TcpListener {
    pub(crate) config: TcpConfig,
    pub(crate) env: Env,
    pub(crate) socket: Socket,
    /// Where the socket is bound; its IP address may be a wildcard.
    pub(crate) bound: SocketAddr,
    /// Our entry among the ports that dials may leave from.
    pub(crate) _port: Port,
    /// Kept between calls, so that a caller who gives up and comes back does not shorten it.
    pub(crate) pause: Option<BoxFuture<'static, ()>>,
}

#[async_trait]
impl Listener for TcpListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        let ip = self.bound.ip();
        if !ip.is_unspecified() {
            return vec![address::tcp(self.bound)];
        }
        let takes = |candidate: &IpAddr| candidate.is_ipv4() == ip.is_ipv4() || (ip.is_ipv6() && !self.config.only_v6);
        let ips = own_ips().into_iter().filter(takes);
        ips.map(|ip| address::tcp(SocketAddr::new(ip, self.bound.port()))).collect()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        loop {
            if let Some(pause) = &mut self.pause {
                pause.await;
                self.pause = None;
            }
            match self.socket.accept().await {
                Ok((stream, remote)) => {
                    // Who is gone before we ask where it arrived is no connection any more.
                    if let Ok(local) = stream.local_addr() {
                        return Ok(self.incoming(stream, remote, local));
                    }
                }
                Err(error) => match after(&error) {
                    After::Next => {}
                    After::Pause => self.pause = Some(self.env.sleep(PAUSE)),
                    After::End => return Err(Error::io("accepting", error).at(Layer::Transport, NAME)),
                },
            }
        }
    }
}

impl TcpListener {
    fn incoming(&self, stream: TcpStream, remote: SocketAddr, local: SocketAddr) -> Incoming {
        let config = self.config;
        let open = async move {
            socket::configure(&config, &stream)
                .map_err(|e| Error::io("setting a connection's options", e).at(Layer::Transport, NAME))?;
            Ok(Stage::Raw(Box::new(TcpPipe::new(stream, config.read_buffer as usize))))
        };
        Incoming { remote: plain(remote), local: plain(local), open: Box::pin(open) }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpListener({})", self.bound)
    }
}

/// The address, by IPv4 where it is IPv4 in the clothes of IPv6.
fn plain(address: SocketAddr) -> Multiaddr {
    address::tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The machine's addresses that others can dial, this machine itself last. Link-local IPv6 addresses are left out:
/// they mean nothing without the interface they belong to.
fn own_ips() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let mut ips: Vec<IpAddr> = interfaces.iter().map(|i| i.ip()).filter(|ip| !link_local(ip)).collect();
    if ips.is_empty() {
        ips = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    }
    ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    ips.dedup();
    ips
}

/// What to do after accepting failed.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// That one connection failed before it was ours; take the next.
    Next,
    /// The machine lacks something; try again a little later.
    Pause,
    /// The socket itself is of no more use.
    End,
}

fn after(error: &io::Error) -> After {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted => After::Next,
        // The socket does not listen.
        io::ErrorKind::InvalidInput => After::End,
        // Whatever else the system complains of (file descriptors, memory, the network) is its state and not ours.
        _ if error.raw_os_error().is_some() => After::Pause,
        _ => After::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_socket_ends_a_listener() {
        assert_eq!(after(&io::ErrorKind::ConnectionAborted.into()), After::Next);
        const EMFILE: i32 = 24;
        assert_eq!(after(&io::Error::from_raw_os_error(EMFILE)), After::Pause);
        assert_eq!(after(&io::ErrorKind::InvalidInput.into()), After::End);
        assert_eq!(after(&io::Error::other("the runtime is gone")), After::End);
    }

    #[test]
    fn own_addresses_can_be_dialed() {
        let ips = own_ips();
        assert!(ips.iter().any(|ip| ip.is_loopback()));
        assert!(ips.iter().all(|ip| !ip.is_unspecified()));
    }

    #[test]
    fn ipv4_in_ipv6_is_shown_as_ipv4() {
        assert_eq!(plain("[::ffff:192.0.2.1]:80".parse().unwrap()).to_string(), "/ip4/192.0.2.1/tcp/80");
    }
}
