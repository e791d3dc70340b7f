//! What a configuration makes of a node: swapped as a whole when a new one comes.

use std::sync::Arc;

use stackwire_config::Stack;
use stackwire_core::{
    Chosen, Env, Error, Keypair, Kind, Layer, Multiaddr, Path, Protocol, ProtocolId, Result, Role, Rung, Transport,
    address::FixedPath,
};
use stackwire_upgrade::{Negotiators, Upgrader};
use tokio::sync::Semaphore;

use crate::renew;

pub(crate) struct Setup {
    pub(crate) stack: Stack,
    pub(crate) upgrader: Upgrader,
    /// What inbound streams are offered: newest versions first, protocol by protocol, at the end the node's own.
    pub(crate) protocol_ids: Arc<[ProtocolId]>,
    /// Who serves each of `protocol_ids`; the last is served by the node itself.
    pub(crate) serving: Vec<Arc<dyn Protocol>>,
    /// Permits for dials.
    pub(crate) dialing: Arc<Semaphore>,
    /// Permits for those of them that only discoveries want.
    pub(crate) volunteering: Arc<Semaphore>,
}

/// How well a connection's path fits a stack: smaller is better, the best is all zeros. Compared from the wire up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank([usize; 4]);

impl Rank {
    /// Nothing would be chosen in its place.
    pub(crate) fn is_best(self) -> bool {
        self.0 == [0; 4]
    }

    /// Something in it is no longer part of the stack.
    pub(crate) fn is_gone(self) -> bool {
        self.0.contains(&usize::MAX)
    }
}

impl Setup {
    /// Fails where a part is missing or two protocols answer to one id.
    pub(crate) fn new(stack: Stack, identity: &Keypair, env: &Env) -> Result<Self> {
        check(&stack)?;
        let upgrader = Upgrader {
            identity: identity.clone(),
            protectors: stack.protectors.clone(),
            securities: stack.securities.clone(),
            muxers: stack.muxers.clone(),
            negotiators: Negotiators::new(stack.negotiators.clone()),
            env: env.clone(),
        };
        let answers = stack.protocols.iter().flat_map(|p| p.ids().into_iter().map(move |id| (id, p.clone())));
        let (mut protocol_ids, serving): (Vec<_>, Vec<_>) = answers.unzip();
        protocol_ids.push(renew::ID);
        let limits = &stack.settings.limits;
        Ok(Self {
            upgrader,
            protocol_ids: protocol_ids.into(),
            serving,
            dialing: Arc::new(Semaphore::new(limits.max_pending_dials.min(Semaphore::MAX_PERMITS))),
            volunteering: Arc::new(Semaphore::new(limits.max_pending_dials.div_ceil(2).min(Semaphore::MAX_PERMITS))),
            stack,
        })
    }

    /// Who serves `id`.
    pub(crate) fn server(&self, id: &ProtocolId) -> Option<&Arc<dyn Protocol>> {
        self.protocol_ids.iter().position(|known| known == id).and_then(|index| self.serving.get(index))
    }

    /// Whether a stream of protocol `id` keeps its connection from being idle.
    pub(crate) fn holds_connection(&self, id: &ProtocolId) -> bool {
        *id != renew::ID && self.server(id).is_none_or(|protocol| protocol.holds_connection())
    }

    /// How well `path` fits. What its address or its transport settled is beyond preference.
    pub(crate) fn rank(&self, path: &Path) -> Rank {
        let Stack { transports, protectors, securities, muxers, .. } = &self.stack;
        let gone_unless = |still: bool| if still { 0 } else { usize::MAX };
        let transport = path.plugin(Layer::Transport);
        let wraps = path.rungs.iter().filter(|rung| rung.layer == Layer::Protector).map(|rung| rung.plugin.as_str());
        let negotiable = securities.iter().filter(|security| security.negotiable());
        Rank([
            gone_unless(transports.iter().any(|known| known.name() == transport)),
            gone_unless(wraps.eq(protectors.iter().map(|protector| protector.name()))),
            place(path.rung(Layer::Security), negotiable.map(|security| security.name())),
            place(path.rung(Layer::Muxer), muxers.iter().map(|muxer| muxer.name())),
        ])
    }

    /// The transport that `takes` an address; else an error that lists what there is.
    pub(crate) fn transport(
        &self,
        role: Role,
        address: &Multiaddr,
        takes: impl Fn(&dyn Transport) -> bool,
    ) -> Result<&Arc<dyn Transport>> {
        self.stack.transports.iter().find(|transport| takes(&***transport)).ok_or_else(|| {
            let names: Vec<&str> = self.stack.transports.iter().map(|t| t.name()).collect();
            let names = names.join(", ");
            let (kind, does, part) = match role {
                Role::Dialer => (Kind::Unsupported, "dials", "dialer"),
                Role::Listener => (Kind::AddressInvalid, "listens on", "listener"),
            };
            Error::new(kind, format!("no transport of this stack {does} {address}; it has: {names}"))
                .at(Layer::Node, part)
        })
    }

    /// A listener's fixed path with what the security protocol adds to it: the key that dialers must know.
    pub(crate) fn told(&self, fixed: &FixedPath, identity: &Keypair) -> FixedPath {
        let security = fixed.security().and_then(|name| self.stack.securities.iter().find(|s| s.name() == name));
        match security.and_then(|security| security.address(identity)) {
            Some(step) => fixed.with(step),
            None => fixed.clone(),
        }
    }
}

/// Where what was chosen for a layer stands among what is `wanted` now; first, where there was no choice.
fn place(rung: Option<&Rung>, mut wanted: impl Iterator<Item = &'static str>) -> usize {
    match rung {
        Some(rung) if !matches!(rung.chosen, Chosen::Address | Chosen::Transport) => {
            wanted.position(|name| name == rung.plugin).unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

fn check(stack: &Stack) -> Result<()> {
    let missing = [
        (Layer::Transport, stack.transports.is_empty()),
        (Layer::Negotiator, stack.negotiators.iter().all(|negotiator| !negotiator.chooses())),
    ];
    if let Some((layer, _)) = missing.into_iter().find(|(_, missing)| *missing) {
        return Err(Error::new(Kind::ConfigInvalid, format!("a node needs a {layer}: add at least one")));
    }
    let mut ids = Vec::new();
    for id in stack.protocols.iter().flat_map(|protocol| protocol.ids()) {
        if ids.contains(&id) {
            return Err(Error::new(Kind::ConfigInvalid, format!("two protocols answer to {id}: keep one of them")));
        }
        ids.push(id);
    }
    Ok(())
}
