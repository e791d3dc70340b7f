//! What the book promises.

mod bounds;
mod conduct;
mod learning;
mod model;
mod saving;
mod waiting;

use std::{sync::Arc, time::Duration};

use stackwire_core::{
    ConnectionId, ConnectionInfo, Keypair, Multiaddr, Path, PeerId, Role,
    address::{Origin, Reach},
};

const WORLD: Origin = Origin::Peer(Reach::World);

fn key(n: u16) -> Keypair {
    let [high, low] = n.to_be_bytes();
    let mut seed = [0; 32];
    (seed[0], seed[1]) = (high, low);
    Keypair::ed25519_from_seed(seed)
}

fn peer(n: u16) -> PeerId {
    key(n).peer_id()
}

fn at(n: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{n}").parse().unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn connection(id: u64, n: u16) -> Arc<ConnectionInfo> {
    connection_from(id, n, &at(1))
}

fn connection_from(id: u64, n: u16, remote: &Multiaddr) -> Arc<ConnectionInfo> {
    let path = Path { role: Role::Dialer, local: None, remote: remote.clone(), relayed: false, rungs: Vec::new() };
    Arc::new(ConnectionInfo::new(ConnectionId(id), peer(n), path))
}
