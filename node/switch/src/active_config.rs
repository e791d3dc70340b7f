//! What a configuration makes of a node: swapped as a whole when a new one comes.

use std::sync::Arc;

use stackwire_config::{Parts, Stack};
use stackwire_core::{
    Chosen, Env, Error, Keypair, Kind, Layer, Multiaddr, Path, Result, Role, Rung, Transport, Trust, address::FixedPath,
};
use stackwire_upgrade::{Negotiators, Upgrader};

pub(crate) struct ActiveConfig {
    pub(crate) stack: Stack,
    pub(crate) upgrader: Upgrader,
}

/// How well a connection's path fits a stack: smaller is better, the best is all zeros. Compared from the wire up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank([usize; 5]);

impl Rank {
    /// Nothing in the stack would be chosen in its place. Whether another peer carries it is not the stack's to say.
    pub(crate) fn is_best(self) -> bool {
        self.0[1..] == [0; 4]
    }

    /// Something in it is no longer part of the stack.
    pub(crate) fn is_gone(self) -> bool {
        self.0.contains(&usize::MAX)
    }
}

impl ActiveConfig {
    /// Fails where a part is missing or two protocols answer to one id.
    pub(crate) fn new(stack: Stack, identity: &Keypair, trust: &Trust, env: &Env) -> Result<Self> {
        check(&stack)?;
        let upgrader = Upgrader {
            identity: identity.clone(),
            protectors: stack.parts.protectors.clone(),
            securities: stack.parts.securities.clone(),
            muxers: stack.parts.muxers.clone(),
            negotiators: Negotiators::new(stack.parts.negotiators.clone()),
            trust: Some(trust.clone()),
            env: env.clone(),
        };
        Ok(Self { upgrader, stack })
    }

    /// How well `path` fits. What its address or its transport settled is beyond preference.
    pub(crate) fn rank(&self, path: &Path) -> Rank {
        let Parts { transports, protectors, securities, muxers, .. } = &self.stack.parts;
        let gone_unless = |still: bool| if still { 0 } else { usize::MAX };
        let transport = path.plugin(Layer::Transport);
        let wraps = path.rungs.iter().filter(|rung| rung.layer == Layer::Protector).map(|rung| rung.plugin.as_str());
        let negotiable = securities.iter().filter(|security| security.negotiable());
        Rank([
            // A direct path is better than any that another peer carries.
            usize::from(path.relayed),
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
        self.stack.parts.transports.iter().find(|transport| takes(&***transport)).ok_or_else(|| {
            let names: Vec<&str> = self.stack.parts.transports.iter().map(|t| t.name()).collect();
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
        let security = fixed.security().and_then(|name| self.stack.parts.securities.iter().find(|s| s.name() == name));
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
        (Layer::Transport, stack.parts.transports.is_empty()),
        (Layer::Negotiator, stack.parts.negotiators.iter().all(|negotiator| !negotiator.chooses())),
    ];
    if let Some((layer, _)) = missing.into_iter().find(|(_, missing)| *missing) {
        return Err(Error::new(Kind::ConfigInvalid, format!("a node needs a {layer}: add at least one")));
    }
    let mut ids = Vec::new();
    for id in stack.parts.protocols.iter().flat_map(|protocol| protocol.ids()) {
        if ids.contains(&id) {
            return Err(Error::new(Kind::ConfigInvalid, format!("two protocols answer to {id}: keep one of them")));
        }
        ids.push(id);
    }
    Ok(())
}
