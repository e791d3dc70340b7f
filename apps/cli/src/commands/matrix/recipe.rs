//! A node of a cell, as a config: the matrix takes the way every user takes.

use std::path::Path;

use stackwire_config::{Catalogue, Plan};
use stackwire_node::{
    AddressPart, Error, EventStream, Kind, Layer, Multiaddr, Node, Result,
    address::{self, FixedPath},
};
use toml::{Table, Value};

use super::parts::Candidate;

/// How often another port is tried where somebody took ours before we did.
const PORTS: usize = 5;
/// What every node serves.
const PROTOCOLS: [&str; 4] = ["identify", "ping", "perf", "echo"];

/// What a node is made of.
#[derive(Clone, Default)]
pub(super) struct Recipe<'a> {
    layers: Vec<(Layer, Vec<&'a Candidate>)>,
    listen: Vec<String>,
    /// All addresses have the same port, whichever is free.
    one_port: bool,
    /// How long handshakes may take, in seconds; `None`: as long as by default.
    handshake_secs: Option<i64>,
}

impl<'a> Recipe<'a> {
    /// A node with this transport.
    pub(super) fn new(transport: &'a Candidate) -> Self {
        Self::of([transport])
    }

    /// A node with these transports.
    pub(super) fn of(transports: impl IntoIterator<Item = &'a Candidate>) -> Self {
        Self::default().with(Layer::Transport, transports)
    }

    /// With these plug-ins of one more layer, most wanted first. Two fixtures of one plug-in are one, with the options of
    /// both.
    pub(super) fn with(mut self, layer: Layer, candidates: impl IntoIterator<Item = &'a Candidate>) -> Self {
        self.layers.push((layer, candidates.into_iter().collect()));
        self
    }

    /// Listening where the transports' fixtures do, at what `fixed` adds to it.
    pub(super) fn listening(mut self, fixed: &FixedPath) -> Self {
        let transports = self.layers.iter().filter(|(layer, _)| *layer == Layer::Transport);
        let addresses = transports.flat_map(|(_, all)| all).map(|t| format!("{}{fixed}", t.fixture.listen));
        self.listen = addresses.collect();
        self
    }

    /// Listening on one port, whichever is free.
    pub(super) fn on_one_port(mut self) -> Self {
        self.one_port = true;
        self
    }

    /// Giving up on handshakes soon: for nodes that do not understand each other.
    pub(super) fn impatient(mut self) -> Self {
        self.handshake_secs = Some(1);
        self
    }

    /// Starts the node. `folder` is its own, and not there yet.
    pub(super) async fn start(&self, catalogue: &Catalogue, folder: &Path) -> Result<(Node, EventStream)> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("making a folder", e))?;
        let mut attempts = if self.one_port { PORTS } else { 1 };
        loop {
            attempts -= 1;
            let text = self.config(&self.addresses(folder)?)?;
            match Node::watched(Plan::parse(&text, catalogue)?.stack()).await {
                // The free port was somebody else's by then.
                Err(error) if attempts > 0 && *error.kind() == Kind::AddressInUse => {}
                result => return result,
            }
        }
    }

    fn addresses(&self, folder: &Path) -> Result<Vec<String>> {
        let listen = self.listen.iter().map(|address| address.replace("{tmp}", &folder.display().to_string()));
        if !self.one_port {
            return Ok(listen.collect());
        }
        let port = free_port().map_err(|e| Error::io("looking for a free port", e))?;
        listen.map(|address| Ok(with_port(&address::parse(&address)?, port).to_string())).collect()
    }

    fn config(&self, listen: &[String]) -> Result<String> {
        let mut node = Table::from_iter([("listen".to_string(), listen.to_vec().into())]);
        if let Some(seconds) = self.handshake_secs {
            node.insert("timeouts".into(), Table::from_iter([("handshake_secs".to_string(), seconds.into())]).into());
        }
        let mut root = Table::from_iter([("node".to_string(), Value::Table(node))]);
        for (layer, candidates) in &self.layers {
            let mut sections: Vec<Table> = Vec::new();
            for candidate in candidates {
                let options: Table = candidate.fixture.options.parse().map_err(|e: toml::de::Error| {
                    let why = format!("the fixture {} does not parse", candidate.fixture.label);
                    Error::new(Kind::Internal, why).caused_by(e)
                })?;
                let named = |section: &&mut Table| section["use"].as_str() == Some(candidate.name());
                match sections.iter_mut().find(named) {
                    Some(section) => section.extend(options),
                    None => {
                        let mut section = options;
                        section.insert("use".into(), candidate.name().into());
                        sections.push(section);
                    }
                }
            }
            root.insert(layer.name().into(), sections.into());
        }
        let protocols = PROTOCOLS.map(|name| Table::from_iter([("use".to_string(), name.into())]));
        root.insert(Layer::Protocol.name().into(), protocols.to_vec().into());
        Ok(root.to_string())
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn with_port(address: &Multiaddr, port: u16) -> Multiaddr {
    let parts = address.iter().map(|part| match part {
        AddressPart::Tcp(_) => AddressPart::Tcp(port),
        AddressPart::Udp(_) => AddressPart::Udp(port),
        other => other,
    });
    parts.collect::<Multiaddr>().with_fixed(address.fixed().clone())
}
