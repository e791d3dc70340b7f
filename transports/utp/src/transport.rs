//! Dialing and listening.

use std::{io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use stackwire_core::{
    AddressPart, Dial, Dialed, Env, Error, Kind, Layer, Listen, Listener, Multiaddr, Result, Stage, Transport, address,
};
use stackwire_socket::{Bound, Zoned, canonical, dial_error, listen_error, udp_address};

use crate::{
    NAME, UtpConfig,
    connection::Connection,
    driver::Driver,
    link::{Link, Stream},
    listener::{UtpListener, local_of},
    pipe::UtpPipe,
    port::{Port, Ports},
    udp::{Udp, Way},
};

/// Connects machines by uTP; see the crate's description. Clones share their sockets.
#[derive(Clone, Debug, Default)]
pub struct Utp {
    config: UtpConfig,
    ports: Ports,
}

impl Utp {
    /// A transport with these options. Fails with `ConfigInvalid` where one is out of its range.
    pub fn new(config: UtpConfig) -> Result<Self> {
        Ok(Self { config: config.check()?, ports: Ports::default() })
    }

    /// A connection to `remote`, asked for from a listener's socket or else from a fresh one.
    async fn ask(&self, remote: SocketAddr, env: &Env) -> io::Result<Arc<Link>> {
        let [id, seq] = [(); 2].map(|()| u16::from_be_bytes(env.random()));
        let link = |port, way| Link::new(port, way, Connection::dial(self.config, id, seq, env.now()));
        if let Some(link) = self.ports.dial(remote, link) {
            return Ok(link);
        }
        let socket = Udp::connect(&self.config, remote).await?;
        let port = Port::new(Bound::new(socket.local_addr()?, false));
        let link = link(port.clone(), Way { remote, local: None });
        port.dial(link.clone());
        self.drive(port, socket, env);
        Ok(link)
    }

    fn drive(&self, port: Arc<Port>, socket: Udp, env: &Env) {
        env.spawn_detached("utp port", Driver::new(self.config, env.clone(), port, self.ports.clone(), socket));
    }

    fn bind(&self, wanted: SocketAddr, env: &Env) -> io::Result<Arc<Port>> {
        match self.ports.take_over(wanted) {
            Some(Some(port)) => return Ok(port),
            Some(None) => return Err(io::ErrorKind::AddrInUse.into()),
            None => {}
        }
        let socket = Udp::bind(&self.config, wanted)?;
        let port = Port::new(Bound::new(socket.local_addr()?, self.config.dual_stack));
        port.listen();
        self.ports.add(port.clone());
        self.drive(port.clone(), socket, env);
        Ok(port)
    }
}

#[async_trait]
impl Transport for Utp {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Connections share the socket.
    fn descriptors(&self) -> usize {
        0
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        socket_of(address).is_some_and(|to| can_be_dialed(to.socket))
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        socket_of(address).is_some()
    }

    /// One round trip. Without any answer it fails after `timeout_secs`. Dropping the future gives the connection up,
    /// and tells a peer that has it already.
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let address = dial.address;
        let remote = socket_of(address).filter(|remote| can_be_dialed(remote.socket));
        let remote = remote.ok_or_else(|| not_ours(address, "dialed"))?.resolve();
        let remote = canonical(remote.map_err(|e| dial_error(address, e).at(Layer::Transport, NAME))?);
        let asked = self.ask(remote, dial.env).await;
        let link = asked.map_err(|e| dial_error(address, e).at(Layer::Transport, NAME))?;
        let stream = Stream::new(link, dial.env.clone());
        stream.established().await.map_err(|e| failed(address, e))?;
        let local = Some(address_of(local_of(stream.link().port(), stream.link().way)));
        Ok(Dialed { stage: Stage::Raw(Box::new(UtpPipe::new(stream))), local, round_trips: 1 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let address = listen.address;
        let wanted = socket_of(address).ok_or_else(|| not_ours(address, "listened on"))?;
        let port = wanted.resolve().and_then(|wanted| self.bind(canonical(wanted), listen.env));
        let port = port.map_err(|e| listen_error(address, e).at(Layer::Transport, NAME))?;
        Ok(Box::new(UtpListener { env: listen.env.clone(), port }))
    }
}

/// The socket of an address that is exactly `[/ip6zone/<interface>]/ip4|ip6/<address>/udp/<port>/utp`.
fn socket_of(address: &Multiaddr) -> Option<Zoned> {
    match Zoned::split(address) {
        Some((zoned, address::Transport::Udp, rest)) if rest == [AddressPart::Utp] => Some(zoned),
        _ => None,
    }
}

/// `/ip4|ip6/<address>/udp/<port>/utp`.
pub(crate) fn address_of(socket: SocketAddr) -> Multiaddr {
    udp_address(socket).with(AddressPart::Utp)
}

/// Port 0 and the wildcards are for listeners only.
fn can_be_dialed(remote: SocketAddr) -> bool {
    remote.port() != 0 && !remote.ip().is_unspecified()
}

fn not_ours(address: &Multiaddr, done: &str) -> Error {
    let form = "/ip4/<address>/udp/<port>/utp or /ip6/<address>/udp/<port>/utp";
    let during = if address::is_name(address) {
        format!("{address} cannot be {done} here: its name must be resolved first, to {form}")
    } else {
        format!("{address} cannot be {done} here: such an address is {form}")
    };
    Error::new(Kind::AddressInvalid, during).at(Layer::Transport, NAME)
}

/// What ended a connection before it was one, and where that was.
fn failed(address: &Multiaddr, error: Error) -> Error {
    let retry = error.retry();
    let dialing = Error::new(error.kind().clone(), format!("dialing {address}")).caused_by(error);
    dialing.retry_advice(retry).at(Layer::Transport, NAME)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_socket_is_its_address_and_nothing_longer(ip: IpAddr, port: u16) {
            let socket = SocketAddr::new(ip, port);
            let address = address_of(socket);
            prop_assert_eq!(socket_of(&address).map(|zoned| zoned.socket), Some(socket));
            prop_assert_eq!(socket_of(&address::udp(socket)), None);
            for more in ["/ws", "/p2p-circuit", "/utp"] {
                let longer = format!("{address}{more}").parse().unwrap();
                prop_assert_eq!(socket_of(&longer), None);
            }
        }
    }
}
