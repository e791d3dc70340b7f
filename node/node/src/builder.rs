//! Making a node in code.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::stream::BoxStream;
use stackwire_config::{Catalogue, DEFAULT_NETWORK, Parts, Plan, Settings, Stack};
use stackwire_core::{
    Budget, Discovery, Env, Event, EventStream, Gate, Keypair, Lookup, Multiaddr, Muxer, Nat, Negotiator, Protector,
    Protocol, Result, Router, Runtime, Security, Transport, identity::KeyType,
};
use stackwire_files::load_or_create_key_file;
use stackwire_store::Storage;
use stackwire_switch::{Settings as SwitchSettings, Stores, Switch, TokioRuntime, node_allowance};

use crate::{Node, all_events, network::Network};

/// Collects the parts of a node; [`Builder::start`] runs it. Order within a layer is preference.
///
/// Parts may come of a text and of code. A part that code adds takes the place of the text's part with its name (or, for
/// protocols, with one of its ids), else it comes last in its layer. What code adds stays when the node takes a new text
/// ([`Node::reload`]), by the same rule; only settings are the new text's.
#[derive(Default)]
pub struct Builder {
    stack: Stack,
    /// What code adds to it.
    code: Stack,
    listen: Vec<Multiaddr>,
    identity: Option<Keypair>,
    env: Option<Env>,
    lookup: Option<Arc<dyn Lookup>>,
    gate: Option<Arc<dyn Gate>>,
    data_dir: Option<PathBuf>,
    /// The networks beside the one that this makes, by their names.
    networks: Vec<(String, Stack)>,
}

impl From<Stack> for Builder {
    /// With the other networks of the text that the stack was made of.
    fn from(stack: Stack) -> Self {
        let others = stack.plan.iter().flat_map(|plan| plan.networks().skip(1));
        let networks = others.map(|plan| (plan.name().to_string(), plan.clone().stack())).collect();
        Self { stack, networks, ..Self::default() }
    }
}

impl Builder {
    /// Begins with a text config, to which code adds; see [`Node::from_config`].
    pub fn from_config(text: &str, catalogue: &Catalogue) -> Result<Self> {
        Self::from_config_in(Path::new(""), text, catalogue)
    }

    /// As [`Builder::from_config`], with relative paths in the config relative to `folder`: for a config file, the folder
    /// that it is in. They stay so when the node takes a new text.
    pub fn from_config_in(folder: &Path, text: &str, catalogue: &Catalogue) -> Result<Self> {
        Ok(Plan::parse_in(folder, text, catalogue)?.stack().into())
    }

    /// Uses this identity. Without it: the key file of the settings, else a fresh Ed25519 key.
    pub fn identity(mut self, identity: Keypair) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Uses these settings instead of the text's, until the node takes a new text.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.stack.settings = settings;
        self
    }

    /// Listens on `address` from the start, and whatever a later text says.
    pub fn listen(mut self, address: Multiaddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Adds a transport.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.code.parts.transports.push(Arc::new(transport));
        self
    }

    /// Adds a security protocol.
    pub fn security(mut self, security: impl Security) -> Self {
        self.code.parts.securities.push(Arc::new(security));
        self
    }

    /// Adds a negotiator.
    pub fn negotiator(mut self, negotiator: impl Negotiator) -> Self {
        self.code.parts.negotiators.push(Arc::new(negotiator));
        self
    }

    /// Adds what wraps raw pipes.
    pub fn protector(mut self, protector: impl Protector) -> Self {
        self.code.parts.protectors.push(Arc::new(protector));
        self
    }

    /// Adds a muxer.
    pub fn muxer(mut self, muxer: impl Muxer) -> Self {
        self.code.parts.muxers.push(Arc::new(muxer));
        self
    }

    /// Adds a router.
    pub fn router(mut self, router: impl Router) -> Self {
        self.code.parts.routers.push(Arc::new(router));
        self
    }

    /// Adds a discovery.
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.code.parts.discoveries.push(Arc::new(discovery));
        self
    }

    /// Adds a way through NATs.
    pub fn nat(mut self, nat: impl Nat) -> Self {
        self.code.parts.nats.push(Arc::new(nat));
        self
    }

    /// Adds a plug-in of several parts that share a state.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.code.parts.append(parts);
        self
    }

    /// Adds an application protocol.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.code.parts.protocols.push(Arc::new(protocol));
        self
    }

    /// Uses this clock, randomness and task runner instead of tokio's and the system's.
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.env = Some(Env::new(runtime));
        self
    }

    /// Resolves names by this instead of the machine's own resolver.
    pub fn lookup(mut self, lookup: impl Lookup) -> Self {
        self.lookup = Some(Arc::new(lookup));
        self
    }

    /// Adds a network called `name` beside the one that this makes. Code adds nothing to it; see [`Node::network`].
    pub fn network(mut self, name: impl Into<String>, stack: Stack) -> Self {
        self.networks.push((name.into(), stack));
        self
    }

    /// Keeps what is to survive a restart in this folder, which is made, whatever the config says. Without one here and there
    /// it is kept in memory.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// Asks `gate` which connections may come about. Without one, all may.
    pub fn gate(mut self, gate: impl Gate) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Puts `wrap` around each transport, those of the text's first config included: a decorator of `stackwire-wrap`, a
    /// count, a fault. Transports of later texts are not wrapped.
    pub fn wrap_transport(mut self, wrap: impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport>) -> Self {
        for parts in [&mut self.stack.parts, &mut self.code.parts] {
            parts.transports = std::mem::take(&mut parts.transports).into_iter().map(&wrap).collect();
        }
        self
    }

    /// Starts the node: looks at the files that its config names, reads or makes its key file, listens, discovers. Fails
    /// where a part is missing, two protocols claim one id, a file is of no use, or an address can't be listened on. Must be called within a tokio
    /// runtime.
    pub async fn start(self) -> Result<Node> {
        Ok(self.start_watched().await?.0)
    }

    /// As [`Builder::start`], with the events from the very first on, such as the addresses that are listened on.
    pub async fn start_watched(self) -> Result<(Node, EventStream)> {
        let made = self.make()?;
        let events = made.first.events();
        Ok((Node::run(made).await?, events))
    }

    /// As [`Builder::start_watched`], with the events of all networks; see [`Node::all_events`].
    pub async fn start_watched_all(self) -> Result<(Node, BoxStream<'static, (String, Event)>)> {
        let made = self.make()?;
        let networks = std::iter::once(&made.first).chain(&made.others);
        let streams = networks.map(|network| all_events::named(network.name(), network.events())).collect();
        let node = Node::run(made).await?;
        let events = node.all_events_of(streams);
        Ok((node, events))
    }

    fn make(mut self) -> Result<Made> {
        self.stack.add(self.code);
        if let Some(plan) = &self.stack.plan {
            // What is only left out is told by the plug-in that leaves it out.
            plan.inspect()?;
        }
        let mut env = self.env.unwrap_or_else(|| Env::new(TokioRuntime::new()));
        if let Some(lookup) = self.lookup {
            env = env.with_lookup(lookup);
        }
        let folder = self.data_dir.as_ref().or(self.stack.settings.data_dir.as_ref());
        let storage = Arc::new(match folder {
            Some(folder) => open_storage(folder, &env)?,
            None => Storage::memory(),
        });
        let all = std::iter::once(&self.stack).chain(self.networks.iter().map(|(_, stack)| stack));
        let budget = Budget::unlimited().scope(node_allowance(all.map(|stack| &stack.settings.limits)));
        let common = Common { env, storage, budget, networks: 1 + self.networks.len() };
        let name = self.stack.plan.as_ref().map_or(DEFAULT_NETWORK, |plan| plan.name()).to_string();
        let first = common.network(&name, self.stack, self.identity, self.gate)?;
        let others = self.networks.into_iter().map(|(name, stack)| common.network(&name, stack, None, None));
        Ok(Made { others: others.collect::<Result<_>>()?, common, first, listen: self.listen })
    }
}

/// A node that does nothing yet.
pub(crate) struct Made {
    pub(crate) common: Common,
    pub(crate) first: Network,
    pub(crate) others: Vec<Network>,
    /// Where the first network listens, beside what its settings say.
    pub(crate) listen: Vec<Multiaddr>,
}

fn open_storage(folder: &Path, env: &Env) -> Result<Storage> {
    let (storage, set_aside) = Storage::open(folder, env)?;
    if let Some(set_aside) = set_aside {
        tracing::warn!("{set_aside}");
    }
    Ok(storage)
}

/// What the networks of a node have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) env: Env,
    pub(crate) storage: Arc<Storage>,
    /// What all of them may hold.
    pub(crate) budget: Budget,
    /// How many there are.
    pub(crate) networks: usize,
}

impl Common {
    /// A network that does nothing yet. Reads or makes its key file.
    pub(crate) fn network(
        &self,
        name: &str,
        stack: Stack,
        identity: Option<Keypair>,
        gate: Option<Arc<dyn Gate>>,
    ) -> Result<Network> {
        let identity = match (identity, &stack.settings.identity) {
            (Some(identity), _) => identity,
            (None, Some(path)) => load_or_create_key_file(path, &self.env)?,
            (None, None) => Keypair::generate(KeyType::Ed25519, &self.env)?,
        };
        let (storage, prefix) = (self.storage.clone(), name.to_string());
        let stores: Stores =
            Arc::new(move |namespace, bounds| storage.namespace(&format!("{prefix}/{namespace}"), bounds));
        let mut made = SwitchSettings::new(stack, identity, self.env.clone(), stores);
        (made.budget, made.networks) = (self.budget.clone(), self.networks);
        if let Some(gate) = gate {
            made.gate = gate;
        }
        Ok(Network::new(name, Switch::new(made)?))
    }
}
