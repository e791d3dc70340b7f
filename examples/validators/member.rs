//! The nodes: what their configs say, whom they trust and whom they must have.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use stackwire_node::{
    Builder, Catalogue, Multiaddr, Network, Node, PeerId, Result,
    trust::{PeerRole, TrustedPeer},
};

use crate::load::Load;

/// How often a node looks for what nothing tells it of.
pub const CHECK: Duration = Duration::from_secs(1);

/// A network of a config. Without an `identity` it makes a key of its own at every start.
fn network(name: &str, authentication: &str, listen: &str) -> String {
    format!(
        r#"
[[network]]
name = "{name}"
[network.node]
listen = [{listen}]
[network.node.trust]
authentication = "{authentication}"
[network.node.connectivity]
check_secs = {}
[[network.transport]]
use = "tcp"
[[network.security]]
use = "noise"
[[network.muxer]]
use = "yamux"
"#,
        CHECK.as_secs()
    )
}

const LOOPBACK: &str = r#""/ip4/127.0.0.1/tcp/0""#;

/// A node of the example.
pub struct Member {
    pub name: &'static str,
    pub node: Node,
    /// Whom it must have, as it was told.
    pub must_have: BTreeSet<PeerId>,
}

impl Member {
    /// A validator. What it sends and receives in its first network is written down in `load`.
    pub async fn validator(name: &'static str, load: &Load, catalogue: &Catalogue) -> Result<Self> {
        let text = network("validator", "mutual", LOOPBACK) + &network("vfn", "server-only", LOOPBACK);
        Self::start(name, Builder::from_config(&text, catalogue)?.protocol(load.receiver(name))).await
    }

    pub async fn full_node(name: &'static str, catalogue: &Catalogue) -> Result<Self> {
        let text = network("vfn", "server-only", "") + &network("public", "server-only", LOOPBACK);
        Self::start(name, Builder::from_config(&text, catalogue)?).await
    }

    pub async fn client(name: &'static str, catalogue: &Catalogue) -> Result<Self> {
        Self::start(name, Builder::from_config(&network("public", "server-only", ""), catalogue)?).await
    }

    async fn start(name: &'static str, builder: Builder) -> Result<Self> {
        Ok(Self { name, node: builder.start().await?, must_have: BTreeSet::new() })
    }

    /// One of its networks. The example only asks for those that its config has.
    pub fn network(&self, name: &str) -> Arc<Network> {
        self.node.network(name).unwrap_or_else(|| panic!("{} has no network {name}", self.name))
    }

    /// Where it listens in one of its networks, with its id there.
    pub fn addresses(&self, network: &str) -> Vec<Multiaddr> {
        self.network(network).addresses()
    }

    /// Trusts these from now on in one of its networks, and nobody else.
    pub fn trust<'a>(&self, network: &str, others: impl IntoIterator<Item = &'a Member>, role: PeerRole) -> Result<()> {
        let id = |other: &Member| Some(other.network(network).peer_id());
        let peers = others.into_iter().map(|it| TrustedPeer { peer: id(it), role, ..TrustedPeer::default() });
        self.network(network).trust().replace("set", peers)
    }

    /// Must have these from now on in one of its networks, and nobody else.
    pub fn must_have(&mut self, network: &str, others: [&Member; 2]) -> Result<()> {
        let own = self.network(network);
        for peer in std::mem::take(&mut self.must_have) {
            own.remove_must_have(&peer);
        }
        for other in others {
            let peer = other.network(network).peer_id();
            own.add_must_have(peer, &other.addresses(network))?;
            self.must_have.insert(peer);
        }
        Ok(())
    }
}
