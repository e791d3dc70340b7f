//! What a node runs.

use std::{collections::HashSet, fmt, sync::Arc};

use stackwire_core::{Discovery, Muxer, Negotiator, Protector, Protocol, Router, Security, Transport};
use stackwire_plugin::Built;

use crate::{Plan, Settings};

/// A stack: settings and the plug-ins of every layer, each in order of preference.
///
/// [`Plan::stack`](crate::Plan::stack) makes one of text; code may as well fill one in by hand, or add to one of text.
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

    /// Adds the plug-ins of `code`, which no text names. Each takes the place of the plug-in of the text that has its
    /// name, or that answers to one of its ids on the wire; where there is none it comes last in its layer. What else
    /// code has added stays beside it.
    pub fn add(&mut self, code: Stack) {
        let text = self.of_text();
        merge(&mut self.transports, code.transports, &text, |a, b| a.name() == b.name());
        merge(&mut self.protectors, code.protectors, &text, |a, b| a.name() == b.name());
        merge(&mut self.negotiators, code.negotiators, &text, |a, b| a.name() == b.name());
        merge(&mut self.securities, code.securities, &text, |a, b| a.name() == b.name() || a.id() == b.id());
        merge(&mut self.muxers, code.muxers, &text, |a, b| a.name() == b.name() || a.id() == b.id());
        merge(&mut self.routers, code.routers, &text, |a, b| a.name() == b.name());
        merge(&mut self.discoveries, code.discoveries, &text, |a, b| a.name() == b.name());
        merge(&mut self.protocols, code.protocols, &text, |a, b| a.ids().iter().any(|id| b.ids().contains(id)));
    }

    /// The plug-ins that are not of the stack's text: those that code has put in.
    pub fn code(&self) -> Stack {
        let text = self.of_text();
        Stack {
            transports: others(&self.transports, &text),
            protectors: others(&self.protectors, &text),
            negotiators: others(&self.negotiators, &text),
            securities: others(&self.securities, &text),
            muxers: others(&self.muxers, &text),
            routers: others(&self.routers, &text),
            discoveries: others(&self.discoveries, &text),
            protocols: others(&self.protocols, &text),
            ..Stack::default()
        }
    }

    /// Which plug-ins the text has made.
    fn of_text(&self) -> HashSet<Place> {
        self.plan.iter().flat_map(|plan| &plan.layers).map(|plugin| place_of(&plugin.built)).collect()
    }
}

/// Where a plug-in lies in memory, which no two that are alive have in common.
type Place = usize;

fn place<T: ?Sized>(plugin: &Arc<T>) -> Place {
    Arc::as_ptr(plugin).cast::<()>() as usize
}

fn place_of(built: &Built) -> Place {
    match built {
        Built::Transport(plugin) => place(plugin),
        Built::Protector(plugin) => place(plugin),
        Built::Security(plugin) => place(plugin),
        Built::Muxer(plugin) => place(plugin),
        Built::Negotiator(plugin) => place(plugin),
        Built::Router(plugin) => place(plugin),
        Built::Discovery(plugin) => place(plugin),
        Built::Protocol(plugin) => place(plugin),
    }
}

fn others<T: ?Sized>(plugins: &[Arc<T>], text: &HashSet<Place>) -> Vec<Arc<T>> {
    plugins.iter().filter(|plugin| !text.contains(&place(plugin))).cloned().collect()
}

/// Puts each of `code` where the first plug-in of the text stands that it replaces, or at the end.
fn merge<T: ?Sized>(plugins: &mut Vec<Arc<T>>, code: Vec<Arc<T>>, text: &HashSet<Place>, same: fn(&T, &T) -> bool) {
    for new in code {
        let gives_way = |old: &Arc<T>| text.contains(&place(old)) && same(old, &new);
        let at = plugins.iter().position(gives_way).unwrap_or(plugins.len());
        plugins.insert(at, new.clone());
        let mut index = 0;
        plugins.retain(|old| {
            index += 1;
            index == at + 1 || !gives_way(old)
        });
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
