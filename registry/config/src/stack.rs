//! What a node runs.

use std::{fmt, sync::Arc};

use stackwire_core::{Discovery, Muxer, Negotiator, Protector, Protocol, Router, Security, Transport};
use stackwire_plugin::Built;

use crate::{Plan, Settings};

/// A stack: settings and the plug-ins of every layer, each in order of preference.
///
/// [`Plan::stack`](crate::Plan::stack) makes one of text; code may as well fill one in by hand.
#[derive(Clone, Default)]
pub struct Stack {
    /// The `[node]` section.
    pub settings: Settings,
    /// Transports.
    pub transports: Vec<Arc<dyn Transport>>,
    /// What raw pipes are wrapped in.
    pub protectors: Vec<Arc<dyn Protector>>,
    /// Negotiators.
    pub negotiators: Vec<Arc<dyn Negotiator>>,
    /// Security protocols.
    pub securities: Vec<Arc<dyn Security>>,
    /// Muxers.
    pub muxers: Vec<Arc<dyn Muxer>>,
    /// Routers.
    pub routers: Vec<Arc<dyn Router>>,
    /// Discoveries.
    pub discoveries: Vec<Arc<dyn Discovery>>,
    /// Application protocols.
    pub protocols: Vec<Arc<dyn Protocol>>,
    /// The config it was made of, where it was.
    pub plan: Option<Arc<Plan>>,
}

impl Stack {
    /// Adds a plug-in to the end of its layer.
    pub(crate) fn push(&mut self, built: Built) {
        match built {
            Built::Transport(transport) => self.transports.push(transport),
            Built::Security(security) => self.securities.push(security),
            Built::Muxer(muxer) => self.muxers.push(muxer),
            Built::Router(router) => self.routers.push(router),
            Built::Discovery(discovery) => self.discoveries.push(discovery),
            Built::Protocol(protocol) => self.protocols.push(protocol),
            Built::Protector(protector) => self.protectors.push(protector),
            Built::Negotiator(negotiator) => self.negotiators.push(negotiator),
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("settings", &self.settings)
            .field("transports", &Vec::from_iter(self.transports.iter().map(|t| t.name())))
            .field("protectors", &Vec::from_iter(self.protectors.iter().map(|p| p.name())))
            .field("negotiators", &Vec::from_iter(self.negotiators.iter().map(|n| n.name())))
            .field("securities", &Vec::from_iter(self.securities.iter().map(|s| s.name())))
            .field("muxers", &Vec::from_iter(self.muxers.iter().map(|m| m.name())))
            .field("routers", &Vec::from_iter(self.routers.iter().map(|r| r.name())))
            .field("discoveries", &Vec::from_iter(self.discoveries.iter().map(|d| d.name())))
            .field("protocols", &Vec::from_iter(self.protocols.iter().map(|p| p.ids())))
            .finish()
    }
}
