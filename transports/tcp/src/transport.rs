//! Dialing and listening.

use std::{io, net::SocketAddr};

use async_trait::async_trait;
use stackwire_core::{
    Dial, Dialed, Error, Kind, Layer, Listen, Listener, Multiaddr, Result, Stage, Transport, address,
};
use stackwire_socket::{Acceptor, Zoned, canonical, dial_error, listen_error, tcp_address};
use tokio::net::TcpStream;

use crate::{NAME, TcpConfig, listener::TcpListener, pipe::pipe, ports::Ports, socket};

/// Connects machines by TCP; see the crate's description. Clones share the ports they listen on.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    config: TcpConfig,
    ports: Ports,
}

impl Tcp {
    /// A transport with these options. Fails with `ConfigInvalid` where one is out of its range.
    pub fn new(config: TcpConfig) -> Result<Self> {
        Ok(Self { config: config.check()?, ports: Ports::default() })
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        let from = if self.config.port_reuse { self.ports.towards(remote) } else { None };
        if from.is_some() {
            match socket::connect(&self.config, remote, from).await {
                // Only what the port is to blame for: a connection from it to there exists or is fading away, or it
                // is where we dial.
                Err(e) if port_is_to_blame(&e, remote, from) => {}
                result => return result,
            }
        }
        socket::connect(&self.config, remote, None).await
    }
}

#[async_trait]
impl Transport for Tcp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        socket_of(address).is_some_and(|to| can_be_dialed(to.socket))
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        socket_of(address).is_some()
    }

    /// Where we dial from a port that we listen on: the peer may do the same, at the same moment.
    fn may_meet(&self, address: &Multiaddr) -> bool {
        self.config.port_reuse && socket_of(address).and_then(|to| self.ports.towards(to.resolve().ok()?)).is_some()
    }

    /// One round trip, the three-way handshake. Dropping the future closes the socket.
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let address = dial.address;
        let remote = socket_of(address).filter(|to| can_be_dialed(to.socket));
        let remote = remote.ok_or_else(|| not_ours(address, "dialed"))?.resolve();
        let connecting = async { self.connect(remote?).await };
        let stream = connecting.await.map_err(|e| dial_error(address, e).at(Layer::Transport, NAME))?;
        let local = stream.local_addr().ok().map(canonical).map(tcp_address);
        let pipe = pipe(stream, &self.config, dial.env.clone());
        Ok(Dialed { stage: Stage::Raw(Box::new(pipe)), local, round_trips: 1 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let address = listen.address;
        let wanted = socket_of(address).ok_or_else(|| not_ours(address, "listened on"))?;
        let acceptor = wanted
            .resolve()
            .and_then(|wanted| Acceptor::bind(wanted, socket::listen_options(&self.config), listen.env))
            .map_err(|e| listen_error(address, e).at(Layer::Transport, NAME))?;
        let port = self.ports.add(acceptor.bound());
        Ok(Box::new(TcpListener { config: self.config, acceptor, env: listen.env.clone(), _port: port }))
    }
}

/// The socket of an address that is exactly `[/ip6zone/<interface>]/ip4|ip6/<address>/tcp/<port>`.
fn socket_of(address: &Multiaddr) -> Option<Zoned> {
    match Zoned::split(address) {
        Some((zoned, address::Transport::Tcp, rest)) if rest.is_empty() => Some(zoned),
        _ => None,
    }
}

/// Port 0 and the wildcards are for listeners only.
fn can_be_dialed(remote: SocketAddr) -> bool {
    remote.port() != 0 && !remote.ip().is_unspecified()
}

fn port_is_to_blame(error: &io::Error, remote: SocketAddr, from: Option<SocketAddr>) -> bool {
    match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => true,
        io::ErrorKind::ConnectionRefused => from.is_some_and(|from| from.port() == remote.port()),
        _ => false,
    }
}

fn not_ours(address: &Multiaddr, done: &str) -> Error {
    let form = "/ip4/<address>/tcp/<port> or /ip6/<address>/tcp/<port>";
    let during = if address::is_name(address) {
        format!("{address} cannot be {done} here: its name must be resolved first, to {form}")
    } else {
        format!("{address} cannot be {done} here: such an address is {form}")
    };
    Error::new(Kind::AddressInvalid, during).at(Layer::Transport, NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_name_is_told_to_be_resolved_first() {
        let error = not_ours(&"/dns4/example.com/tcp/1".parse().unwrap(), "dialed");
        assert!(error.to_string().contains("resolved first"), "{error}");
    }

    proptest! {
        #[test]
        fn a_socket_is_its_address_and_nothing_longer(ip: IpAddr, port: u16) {
            let socket = SocketAddr::new(ip, port);
            let address = address::tcp(socket);
            prop_assert_eq!(socket_of(&address).map(|zoned| zoned.socket), Some(socket));
            for more in ["/ws", "/p2p-circuit", "/tls/ws", "/tcp/1"] {
                let longer = format!("{address}{more}").parse().unwrap();
                prop_assert_eq!(socket_of(&longer), None);
            }
        }

        #[test]
        fn any_bytes_can_be_asked_about(bytes: Vec<u8>) {
            if let Ok(address) = Multiaddr::try_from(bytes) {
                let transport = Tcp::default();
                prop_assert!(transport.can_listen(&address) || !transport.can_dial(&address));
            }
        }
    }
}
