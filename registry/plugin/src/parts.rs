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

/// Where a part lies in memory. No two parts of one layer that are alive lie in one place.
pub type Place = usize;

/// Where `part` lies.
pub fn place<T: ?Sized>(part: &Arc<T>) -> Place {
    Arc::as_ptr(part).cast::<()>() as usize
}

/// What there is once for each layer.
macro_rules! layers {
    ($($(#[$doc:meta])* $layer:ident: $name:ident, $list:ident, $contract:ident;)*) => {
        impl Parts {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, part: Arc<dyn $contract>) -> Self {
                    self.$list.push(part);
                    self
                }
            )*

            /// Whether there is a part in `layer`.
            pub fn has(&self, layer: Layer) -> bool {
                match layer {
                    $(Layer::$layer => !self.$list.is_empty(),)*
                    Layer::Node => false,
                }
            }

            /// Adds `others` behind these. A service stays if its trait is there already.
            pub fn append(&mut self, others: Self) {
                $(self.$list.extend(others.$list);)*
                self.services.add(&others.services);
            }

            /// Where each part lies, with its layer.
            pub fn places(&self) -> Vec<(Layer, Place)> {
                let mut places = Vec::new();
                $(places.extend(self.$list.iter().map(|part| (Layer::$layer, place(part))));)*
                places
            }

            /// Keeps the parts whose place `keep` wants, and all services.
            pub fn retain(&mut self, keep: impl Fn(Place) -> bool) {
                $(self.$list.retain(|part| keep(place(part)));)*
            }
        }
    };
}

layers! {
    /// Adds a transport.
    Transport: transport, transports, Transport;
    /// Adds a protector.
    Protector: protector, protectors, Protector;
    /// Adds a security protocol.
    Security: security, securities, Security;
    /// Adds a muxer.
    Muxer: muxer, muxers, Muxer;
    /// Adds a negotiator.
    Negotiator: negotiator, negotiators, Negotiator;
    /// Adds a router.
    Routing: router, routers, Router;
    /// Adds a discovery.
    Discovery: discovery, discoveries, Discovery;
    /// Adds a way through NATs.
    Nat: nat, nats, Nat;
    /// Adds an application protocol.
    Protocol: protocol, protocols, Protocol;
}

impl Parts {
    /// No parts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service, which others find by its trait `S`.
    #[must_use]
    pub fn service<S: ?Sized + Send + Sync + 'static>(mut self, service: Arc<S>) -> Self {
        self.services.insert(service);
        self
    }
}
