//! Dialing and listening.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use quinn::crypto::HandshakeTokenKey;
use stackwire_core::{
    AddressPart, Dial, Dialed, Error, Kind, Listen, Listener, Multiaddr, Result, Role, Stage, Transport, address,
};
use stackwire_socket::{Bound, Zoned, dial_error, listen_error};

use crate::{
    NAME, QuicConfig,
    endpoints::Endpoints,
    errors::{self, named},
    handshakes::{Handshakes, Shared},
    keys::TokenKey,
    listener::{QuicListener, to_multiaddr},
    party::Party,
    session,
    socket::{MachineSockets, Sockets},
};

/// Connects machines by QUIC; see the crate's description. Clones share their sockets.
#[derive(Clone)]
pub struct Quic {
    party: Arc<Party>,
    endpoints: Arc<Endpoints>,
}

impl Quic {
    /// A transport with these options. Fails with `ConfigInvalid` where one is out of its range.
    pub fn new(config: QuicConfig) -> Result<Self> {
        Self::over(config, Arc::new(MachineSockets))
    }

    /// As [`Quic::new`], whose sockets are those of `network`.
    pub fn over(config: QuicConfig, network: Arc<dyn Sockets>) -> Result<Self> {
        let config = config.check()?;
        let endpoints = Arc::new(Endpoints::new(network, &config));
        Ok(Self { party: Arc::new(Party::new(config)), endpoints })
    }
}

impl Default for Quic {
    fn default() -> Self {
        Self::new(QuicConfig::default()).expect("the default options are in range")
    }
}

impl fmt::Debug for Quic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quic({:?})", self.party.config)
    }
}

#[async_trait]
impl Transport for Quic {
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

    /// One round trip, the handshake; ends after `handshake_timeout_secs` at the latest. Dropping the future gives the
    /// connection up.
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let remote = socket_of(dial.address).filter(|to| can_be_dialed(to.socket));
        let remote = remote.ok_or_else(|| not_ours(dial.address, "dialed"))?;
        let remote = remote.resolve().map_err(|error| named(dial_error(dial.address, error)))?;
        let settings = self.party.settings(dial.identity, dial.peer, dial.env).map_err(named)?;
        let config = self.party.client(&settings, remote).map_err(named)?;
        let endpoint = || self.party.endpoint(dial.env).map_err(io::Error::from);
        let (connecting, local) = self
            .endpoints
            .connect(remote, config, endpoint, dial.env)
            .map_err(|error| named(dial_error(dial.address, error)))?;
        let limit = self.party.handshake_timeout();
        let shaking_hands = async {
            let connected = connecting.await;
            connected.map_err(|error| errors::of_handshake(&error, Role::Dialer, &settings.verifier))
        };
        let connection = match dial.env.timeout(limit, "the QUIC handshake", shaking_hands).await {
            // Whether somebody is there and slow can't be told from nobody.
            Err(error) if *error.kind() == (Kind::Timeout { limit }) => return Err(errors::nobody()),
            connected => connected?,
        };
        let top = session::start(connection, &settings.verifier, &self.party, dial.env, dial.budget)?;
        Ok(Dialed { stage: Stage::Multiplexed(top), local: Some(to_multiaddr(local)), round_trips: 1 })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let wanted = socket_of(listen.address).ok_or_else(|| not_ours(listen.address, "listened on"))?;
        let wanted = wanted.resolve().map_err(|error| named(listen_error(listen.address, error)))?;
        let token_key: Arc<dyn HandshakeTokenKey> = Arc::new(TokenKey::new(listen.env));
        let settings = self.party.settings(listen.identity, None, listen.env).map_err(named)?;
        // Every handshake gets a config of its own once its dialer is known.
        let server = self.party.server(&settings, wanted, &token_key).map_err(named)?;
        let endpoint = self.party.endpoint(listen.env).map_err(named)?;
        let lease = self
            .endpoints
            .listen(wanted, endpoint, server, listen.env)
            .map_err(|error| named(listen_error(listen.address, error)))?;
        let bound = Bound::new(lease.local, false);
        let shared = Shared {
            party: self.party.clone(),
            identity: listen.identity.clone(),
            token_key,
            env: listen.env.clone(),
            budgets: listen.budgets,
        };
        Ok(Box::new(QuicListener { handshakes: Handshakes::new(shared), lease, bound, watched: false }))
    }
}

/// The socket of an address that is exactly `[/ip6zone/<interface>]/ip4|ip6/<address>/udp/<port>/quic-v1`.
fn socket_of(address: &Multiaddr) -> Option<Zoned> {
    match Zoned::split(address) {
        Some((zoned, address::Transport::Udp, rest)) if rest == [AddressPart::QuicV1] => Some(zoned),
        _ => None,
    }
}

/// Port 0 and the wildcards are for listeners only.
fn can_be_dialed(remote: SocketAddr) -> bool {
    remote.port() != 0 && !remote.ip().is_unspecified()
}

fn not_ours(address: &Multiaddr, done: &str) -> Error {
    let form = "/ip4/<address>/udp/<port>/quic-v1 or /ip6/<address>/udp/<port>/quic-v1";
    let during = if address::is_name(address) {
        format!("{address} cannot be {done} here: its name must be resolved first, to {form}")
    } else {
        format!("{address} cannot be {done} here: such an address is {form}")
    };
    named(Error::new(Kind::AddressInvalid, during))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_name_is_told_to_be_resolved_first() {
        let error = not_ours(&"/dns4/example.com/udp/1/quic-v1".parse().unwrap(), "dialed");
        assert!(error.to_string().contains("resolved first"), "{error}");
    }

    proptest! {
        #[test]
        fn a_socket_is_its_address_and_nothing_longer(ip: IpAddr, port: u16) {
            let socket = SocketAddr::new(ip, port);
            let address = to_multiaddr(socket);
            prop_assert_eq!(socket_of(&address).map(|zoned| zoned.socket), Some(socket));
            prop_assert_eq!(socket_of(&address::udp(socket)), None);
            for more in ["/webtransport", "/p2p-circuit", "/quic-v1", "/tcp/1"] {
                let longer = format!("{address}{more}").parse().unwrap();
                prop_assert_eq!(socket_of(&longer), None);
            }
        }
    }
}
