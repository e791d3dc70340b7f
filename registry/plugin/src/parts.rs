//! What a plug-in is made of.

use std::sync::Arc;

use stackwire_core::{
    Discovery, Layer, Muxer, Nat, Negotiator, Protector, Protocol, Router, Security, Services, Transport,
};

/// The parts of a plug-in.
///
/// Most plug-ins have one part. A plug-in with several shares one state among them, for example a relay: it is a
/// transport, two protocols and a discovery. The parts of one layer are in order of preference.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Parts {
    /// Transports.
    pub transports: Vec<Arc<dyn Transport>>,
    /// What hides pipes from everyone outside a private network.
    pub protectors: Vec<Arc<dyn Protector>>,
    /// Security protocols.
    pub securities: Vec<Arc<dyn Security>>,
    /// Muxers.
    pub muxers: Vec<Arc<dyn Muxer>>,
    /// Negotiators.
    pub negotiators: Vec<Arc<dyn Negotiator>>,
    /// Routers.
    pub routers: Vec<Arc<dyn Router>>,
    /// Discoveries.
    pub discoveries: Vec<Arc<dyn Discovery>>,
    /// NAT traversal.
    pub nats: Vec<Arc<dyn Nat>>,
    /// Application protocols.
    pub protocols: Vec<Arc<dyn Protocol>>,
    /// What other parts of a program find by its trait.
    pub services: Services,
}

macro_rules! with_part {
    ($($(#[$doc:meta])* $name:ident: $list:ident, $contract:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, part: Arc<dyn $contract>) -> Self {
                self.$list.push(part);
                self
            }
        )*
    };
}

impl Parts {
    /// No parts yet.
    pub fn new() -> Self {
        Self::default()
    }

    with_part! {
        /// Adds a transport.
        transport: transports, Transport;
        /// Adds a protector.
        protector: protectors, Protector;
        /// Adds a security protocol.
        security: securities, Security;
        /// Adds a muxer.
        muxer: muxers, Muxer;
        /// Adds a negotiator.
        negotiator: negotiators, Negotiator;
        /// Adds a router.
        router: routers, Router;
        /// Adds a discovery.
        discovery: discoveries, Discovery;
        /// Adds a way through NATs.
        nat: nats, Nat;
        /// Adds an application protocol.
        protocol: protocols, Protocol;
    }

    /// Adds a service, which others find by its trait `S`.
    #[must_use]
    pub fn service<S: ?Sized + Send + Sync + 'static>(mut self, service: Arc<S>) -> Self {
        self.services.insert(service);
        self
    }

    /// Whether there is a part in `layer`.
    pub fn has(&self, layer: Layer) -> bool {
        match layer {
            Layer::Transport => !self.transports.is_empty(),
            Layer::Protector => !self.protectors.is_empty(),
            Layer::Security => !self.securities.is_empty(),
            Layer::Muxer => !self.muxers.is_empty(),
            Layer::Negotiator => !self.negotiators.is_empty(),
            Layer::Routing => !self.routers.is_empty(),
            Layer::Discovery => !self.discoveries.is_empty(),
            Layer::Nat => !self.nats.is_empty(),
            Layer::Protocol => !self.protocols.is_empty(),
            Layer::Node => false,
        }
    }

    /// Adds `others` behind these. A service stays if its trait is there already.
    pub fn append(&mut self, others: Self) {
        self.transports.extend(others.transports);
        self.protectors.extend(others.protectors);
        self.securities.extend(others.securities);
        self.muxers.extend(others.muxers);
        self.negotiators.extend(others.negotiators);
        self.routers.extend(others.routers);
        self.discoveries.extend(others.discoveries);
        self.nats.extend(others.nats);
        self.protocols.extend(others.protocols);
        self.services.add(&others.services);
    }
}
