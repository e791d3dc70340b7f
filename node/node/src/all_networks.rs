//! A node of several networks as one client: which network leads to a peer.

use std::sync::Arc;

use stackwire_core::{ConnectionInfo, DialOptions, Error, Kind, Layer, Peer, PeerId, ProtocolId, Result, Stream};

use crate::{Node, network::Network};

impl Node {
    /// Connects to `peer` in whichever network leads to it: where it is connected already; else where it is trusted; else in
    /// the first that reaches it, in the order of the config. Gives the network, too. The error is that of the network that was
    /// tried first. Dropping the future stops the dial, unless others wait for it.
    pub async fn connect_in_any(&self, peer: PeerId) -> Result<(Arc<Network>, Arc<ConnectionInfo>)> {
        let mut failure = None;
        for network in self.networks_towards(&peer) {
            match network.connect_with(Some(peer), DialOptions::new()).await {
                Ok(connection) => return Ok((network, connection)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| Error::new(Kind::Unreachable, "no network").at(Layer::Node, "networks")))
    }

    /// Opens a stream to `peer` for the first of `ids` that it takes, in the network that [`Node::connect_in_any`] chooses.
    pub async fn open_stream_in_any(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        let (network, _) = self.connect_in_any(peer).await?;
        network.open_stream(peer, ids).await
    }

    /// Whom the node knows in all its networks, network by network. A peer has another id in each network where it has
    /// another identity.
    pub fn peers_of_all(&self) -> Vec<(Arc<Network>, Arc<Peer>)> {
        let of = |network: Arc<Network>| {
            let peers = network.switch.peers();
            peers.iter().map(|peer| (network.clone(), peer.clone())).collect::<Vec<_>>()
        };
        self.networks().into_iter().flat_map(of).collect()
    }

    /// The networks in which to look for `peer`, the best first.
    fn networks_towards(&self, peer: &PeerId) -> Vec<Arc<Network>> {
        let mut networks = self.networks();
        // Stable: of equals, the config's order.
        networks.sort_by_key(|network| match () {
            () if network.switch.peers().is_connected(peer) => 0,
            () if network.trusts(peer) => 1,
            () => 2,
        });
        networks
    }
}
