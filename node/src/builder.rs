//! Making a node in code.

use std::{path::Path, sync::Arc};

use stackwire_config::{Catalogue, Parts, Plan, Settings, Stack};
use stackwire_core::{
    Discovery, Env, EventStream, Keypair, Multiaddr, Muxer, Nat, Negotiator, Protector, Protocol, Result, Router,
    Runtime, Security, Transport, identity::KeyType,
};
use stackwire_files::load_or_create_key_file;

use crate::{
    Node, TokioRuntime,
    active_config::ActiveConfig,
    lookup::{Lookup, System},
    shared::Shared,
};

/// Collects the parts of a node; [`Builder::start`] runs it. Order within a layer is preference.
///
/// Parts may come of a text and of code. A part that code adds takes the place of the text's part with its name (or, for
/// protocols, with one of its ids), else it comes last in its layer. What code adds stays when the node takes a new text
/// ([`Node::configure`]), by the same rule; only settings are the new text's.
#[derive(Default)]
pub struct Builder {
    stack: Stack,
    /// What code adds to it.
    code: Stack,
    listen: Vec<Multiaddr>,
    identity: Option<Keypair>,
    env: Option<Env>,
    lookup: Option<Arc<dyn Lookup>>,
}

impl From<Stack> for Builder {
    fn from(stack: Stack) -> Self {
        Self { stack, ..Self::default() }
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

    /// Starts the node: looks at the files that its config names, reads or makes its key file, listens, discovers. Fails
    /// where a part is missing, two protocols claim one id, a file is of no use, or an address can't be listened on. Must be called within a tokio
    /// runtime.
    pub async fn start(self) -> Result<Node> {
        Ok(self.start_watched().await?.0)
    }

    /// As [`Builder::start`], with the events from the very first on, such as the addresses that are listened on.
    pub async fn start_watched(mut self) -> Result<(Node, EventStream)> {
        self.stack.add(self.code);
        if let Some(plan) = &self.stack.plan {
            // What is only left out is told by the plug-in that leaves it out.
            plan.inspect()?;
        }
        let env = self.env.unwrap_or_else(|| Env::new(TokioRuntime));
        let identity = match (self.identity, &self.stack.settings.identity) {
            (Some(identity), _) => identity,
            (None, Some(path)) => load_or_create_key_file(path, &env)?,
            (None, None) => Keypair::generate(KeyType::Ed25519, &env)?,
        };
        let lookup = self.lookup.unwrap_or_else(|| Arc::new(System));
        let active = ActiveConfig::new(self.stack, &identity, &env)?;
        let shared = Shared::new(active, identity, env, lookup);
        let events = shared.events.subscribe();
        Ok((Node::run(shared, self.listen).await?, events))
    }
}
