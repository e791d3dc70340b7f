//! The five nodes of the demo, made of text configs like any other.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use stackwire_config::Plan;
use stackwire_node::{
    ConnectionInfo, Error, GOODBYE, Kind, Multiaddr, Node, PeerId, ProtocolId, RENEW, RemoteInfo, Result, Role,
    address::split_peer,
};

use super::courier::Courier;
use crate::stack;

/// A mix: what a node listens on, and what it speaks, most wanted first.
pub(super) struct Mix {
    name: &'static str,
    listen: &'static str,
    pub(super) securities: &'static [&'static str],
    pub(super) muxers: &'static [&'static str],
}

/// Each dials those before it.
const MIXES: [Mix; 5] = [
    Mix { name: "anna", listen: "/ip4/127.0.0.1/tcp/0", securities: &["noise", "tls"], muxers: &["yamux", "priority"] },
    Mix {
        name: "ben",
        listen: "/ip4/127.0.0.1/udp/0/quic-v1",
        securities: &["tls", "noise"],
        muxers: &["priority", "yamux"],
    },
    Mix {
        name: "cleo",
        listen: "/ip4/127.0.0.1/tcp/0/tls/ws",
        securities: &["noise", "tls"],
        muxers: &["mplex", "yamux"],
    },
    Mix { name: "dora", listen: "/memory/0", securities: &["tls"], muxers: &["yamux", "mplex"] },
    Mix { name: "emil", listen: EMIL_LISTENS, securities: &["noise", "tls"], muxers: &["mplex", "yamux"] },
];

const EMIL_LISTENS: &str = "/ip4/127.0.0.1/tcp/0/ws";

/// What becomes of the last of the five while it runs: it knows one muxer more, and wants other things most.
pub(super) const BETTER: Mix =
    Mix { name: "emil", listen: EMIL_LISTENS, securities: &["tls", "noise"], muxers: &["priority", "mplex", "yamux"] };

/// Shares nothing with anybody.
const STRANGER: Mix =
    Mix { name: "finn", listen: "/ip4/127.0.0.1/tcp/0", securities: &["plaintext"], muxers: &["yamux"] };

/// A node with its name.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) node: Node,
    pub(super) courier: Arc<Courier>,
    pub(super) mix: &'static Mix,
    seeds: Vec<Multiaddr>,
}

/// All nodes of the demo.
pub(super) struct Village {
    pub(super) members: Vec<Member>,
}

impl Member {
    async fn start(mix: &'static Mix, seeds: Vec<Multiaddr>) -> Result<Self> {
        let mut stack = Plan::parse(&config(mix, &seeds), &stack::catalogue()?)?.stack();
        let courier = Arc::new(Courier::default());
        stack.parts.protocols.push(courier.clone());
        let node = Node::start(stack).await?;
        Ok(Self { name: mix.name, node, courier, mix, seeds })
    }

    /// A node that takes plaintext only.
    pub(super) async fn stranger() -> Result<Self> {
        Self::start(&STRANGER, Vec::new()).await
    }

    /// Makes it take another mix while it runs.
    pub(super) async fn configure(&self, mix: &Mix) -> Result<()> {
        self.node.reload(&config(mix, &self.seeds), &stack::catalogue()?).await.map(|_| ())
    }

    /// The connection that it has dialed to `other`.
    pub(super) fn dialed(&self, other: &Member) -> Result<Arc<ConnectionInfo>> {
        let found = self.dials().find(|connection| connection.peer == other.node.peer_id());
        found.ok_or_else(|| Error::new(Kind::Internal, format!("{} has not dialed {}", self.name, other.name)))
    }

    fn dials(&self) -> impl Iterator<Item = Arc<ConnectionInfo>> {
        self.node.connections().into_iter().filter(|connection| connection.path.role == Role::Dialer)
    }

    pub(super) fn address(&self) -> Result<Multiaddr> {
        let address = self.node.addresses().into_iter().next();
        address.ok_or_else(|| Error::new(Kind::Internal, format!("{} listens nowhere", self.name)))
    }

    /// The node as a row: name, address, security, muxers, seeds.
    pub(super) fn row(&self) -> [String; 5] {
        let address = self.node.addresses().first().map_or_else(String::new, |a| split_peer(a).0.to_string());
        let Mix { securities, muxers, .. } = self.mix;
        [self.name.to_string(), address, securities.join(", "), muxers.join(", "), self.seeds.len().to_string()]
    }

    /// The same for machines.
    pub(super) fn describe(&self) -> Value {
        json!({
            "name": self.name, "peer": self.node.peer_id().to_string(),
            "addresses": self.node.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "security": self.mix.securities, "muxer": self.mix.muxers, "seeds": self.seeds.len(),
        })
    }
}

impl Village {
    /// Starts the five, each with those before it as seeds.
    pub(super) async fn start() -> Result<Self> {
        let mut members: Vec<Member> = Vec::new();
        for mix in &MIXES {
            let seeds: Vec<Multiaddr> = members.iter().map(Member::address).collect::<Result<_>>()?;
            members.push(Member::start(mix, seeds).await?);
        }
        for pair in members.windows(2) {
            pair[0].courier.set_next(pair[1].node.peer_id());
        }
        Ok(Self { members })
    }

    /// Waits until everyone is connected with everyone and has heard who they are.
    pub(super) async fn all_connected(&self) {
        let complete = |member: &Member| {
            let others = self.members.iter().filter(|other| other.name != member.name);
            others.clone().count() == others.filter(|other| member.node.remote(&other.node.peer_id()).is_some()).count()
        };
        while !self.members.iter().all(complete) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every connection, with the name of who dialed it.
    pub(super) fn dialed(&self) -> Vec<(&'static str, Arc<ConnectionInfo>)> {
        let of = |member: &Member| member.dials().map(move |dialed| (member.name, dialed)).collect::<Vec<_>>();
        self.members.iter().flat_map(of).collect()
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.members.iter().map(|member| member.name).collect()
    }

    pub(super) fn name_of(&self, peer: &PeerId) -> &'static str {
        self.members.iter().find(|member| member.node.peer_id() == *peer).map_or("?", |member| member.name)
    }

    /// The versions of the protocols that `peer` serves, as it told the first node that listens to it. Left out are those that
    /// every node has for itself.
    pub(super) fn protocols(&self, peer: &PeerId) -> String {
        let told = self.members.iter().find_map(|member| member.node.remote(peer));
        let own = |id: &&ProtocolId| [RENEW, GOODBYE].contains(id);
        let names = |info: Arc<RemoteInfo>| {
            info.protocols.iter().filter(|id| !own(id)).map(short).collect::<Vec<_>>().join(" ")
        };
        told.map_or_else(|| "-".to_string(), names)
    }

    pub(super) async fn shutdown(&self) {
        futures::future::join_all(self.members.iter().map(|member| member.node.shutdown())).await;
    }
}

/// The last two parts of an id: `ping/1.0.0` of `/ipfs/ping/1.0.0`.
fn short(id: &ProtocolId) -> String {
    let all: Vec<&str> = id.as_str().split('/').filter(|part| !part.is_empty()).collect();
    all[all.len().saturating_sub(2)..].join("/")
}

fn config(mix: &Mix, seeds: &[Multiaddr]) -> String {
    let sections = |layer: &str, names: &[&str]| {
        let section = |name: &&str| match *name {
            "plaintext" => format!("[[{layer}]]\nuse = \"plaintext\"\ninsecure = true\n"),
            // The outer certificate is made on the spot; the inner security proves the peer.
            "websocket" => format!("[[{layer}]]\nuse = \"websocket\"\n[{layer}.tls]\nverify = false\n"),
            name => format!("[[{layer}]]\nuse = \"{name}\"\n"),
        };
        names.iter().map(section).collect::<String>()
    };
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
    format!(
        "[node]\nlisten = [\"{}\"]\n{}{}{}[[routing]]\nuse = \"direct\"\n{}[[discovery]]\nuse = \"seeds\"\npeers = [{}]\n",
        mix.listen,
        sections("transport", &["tcp", "websocket", "quic", "memory"]),
        sections("security", mix.securities),
        sections("muxer", mix.muxers),
        sections("protocol", &["identify", "ping"]),
        seeds.join(", "),
    )
}
