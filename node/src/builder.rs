//! Making a node in code.

use std::sync::Arc;

use stackwire_config::{Catalogue, Plan, Settings, Stack};
use stackwire_core::{
    Discovery, Env, EventStream, Keypair, Multiaddr, Muxer, Negotiator, Protector, Protocol, Result, Router, Runtime,
    Security, Transport, identity::KeyType,
};

use crate::{
    Node, TokioRuntime,
    key_file::load_or_create_key_file,
    resolve::{Lookup, System},
    setup::Setup,
    shared::Shared,
};

/// Collects the parts of a node; [`Builder::start`] runs it. Order within a layer is preference.
#[derive(Default)]
pub struct Builder {
    stack: Stack,
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
        Ok(Plan::parse(text, catalogue)?.stack().into())
    }

    /// Uses this identity. Without it: the key file of the settings, else a fresh Ed25519 key.
    pub fn identity(mut self, identity: Keypair) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Uses these settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.stack.settings = settings;
        self
    }

    /// Listens on `address` from the start.
    pub fn listen(mut self, address: Multiaddr) -> Self {
        self.stack.settings.listen.push(address);
        self
    }

    /// Adds a transport.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.stack.transports.push(Arc::new(transport));
        self
    }

    /// Adds a security protocol.
    pub fn security(mut self, security: impl Security) -> Self {
        self.stack.securities.push(Arc::new(security));
        self
    }

    /// Adds a negotiator.
    pub fn negotiator(mut self, negotiator: impl Negotiator) -> Self {
        self.stack.negotiators.push(Arc::new(negotiator));
        self
    }

    /// Adds what wraps raw pipes.
    pub fn protector(mut self, protector: impl Protector) -> Self {
        self.stack.protectors.push(Arc::new(protector));
        self
    }

    /// Adds a muxer.
    pub fn muxer(mut self, muxer: impl Muxer) -> Self {
        self.stack.muxers.push(Arc::new(muxer));
        self
    }

    /// Adds a router.
    pub fn router(mut self, router: impl Router) -> Self {
        self.stack.routers.push(Arc::new(router));
        self
    }

    /// Adds a discovery.
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.stack.discoveries.push(Arc::new(discovery));
        self
    }

    /// Adds an application protocol.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.stack.protocols.push(Arc::new(protocol));
        self
    }

    /// Uses this clock, randomness and task runner instead of tokio's and the system's.
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.env = Some(Env::new(runtime));
        self
    }

    /// Starts the node: reads or makes its key file, listens, discovers. Fails where a part is missing, two protocols
    /// claim one id, the key file is unusable, or an address can't be listened on. Must be called within a tokio
    /// runtime.
    pub async fn start(self) -> Result<Node> {
        Ok(self.start_watched().await?.0)
    }

    /// As [`Builder::start`], with the events from the very first on, such as the addresses that are listened on.
    pub async fn start_watched(self) -> Result<(Node, EventStream)> {
        let env = self.env.unwrap_or_else(|| Env::new(TokioRuntime));
        let identity = match (self.identity, &self.stack.settings.identity) {
            (Some(identity), _) => identity,
            (None, Some(path)) => load_or_create_key_file(path, &env)?,
            (None, None) => Keypair::generate(KeyType::Ed25519, &env)?,
        };
        let lookup = self.lookup.unwrap_or_else(|| Arc::new(System));
        let setup = Setup::new(self.stack, &identity, &env)?;
        let shared = Shared::new(setup, identity, env, lookup);
        let events = shared.events.subscribe();
        Ok((Node::run(shared).await?, events))
    }
}
