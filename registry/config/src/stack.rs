//! What a node runs.

use std::{collections::HashSet, fmt, sync::Arc};

use stackwire_plugin::{Parts, Place, place};

use crate::{Plan, Settings};

/// A stack: settings and the plug-ins of every layer, each in order of preference.
///
/// [`Plan::stack`](crate::Plan::stack) makes one of text. Code may fill one in by hand, or add to one of text.
#[derive(Clone, Default)]
pub struct Stack {
    /// The `[node]` section.
    pub settings: Settings,
    /// The parts of all plug-ins.
    pub parts: Parts,
    /// The config it was made of, if it was.
    pub plan: Option<Arc<Plan>>,
}

impl Stack {
    /// Adds the plug-ins of `code`, which no text names. Each takes the place of the plug-in of the text that has its
    /// name, or that answers to one of its ids on the wire; where there is none it comes last in its layer. What else
    /// code has added stays beside it.
    pub fn add(&mut self, code: Stack) {
        let text = self.of_text();
        let (own, code) = (&mut self.parts, code.parts);
        merge(&mut own.transports, code.transports, &text, |a, b| a.name() == b.name());
        merge(&mut own.protectors, code.protectors, &text, |a, b| a.name() == b.name());
        merge(&mut own.negotiators, code.negotiators, &text, |a, b| a.name() == b.name());
        merge(&mut own.securities, code.securities, &text, |a, b| a.name() == b.name() || a.id() == b.id());
        merge(&mut own.muxers, code.muxers, &text, |a, b| a.name() == b.name() || a.id() == b.id());
        merge(&mut own.routers, code.routers, &text, |a, b| a.name() == b.name());
        merge(&mut own.discoveries, code.discoveries, &text, |a, b| a.name() == b.name());
        merge(&mut own.nats, code.nats, &text, |a, b| a.name() == b.name());
        merge(&mut own.protocols, code.protocols, &text, |a, b| a.ids().iter().any(|id| b.ids().contains(id)));
        let text_services = std::mem::replace(&mut own.services, code.services);
        own.services.add(&text_services);
    }

    /// The plug-ins that are not of the stack's text: those that code has put in.
    pub fn code(&self) -> Stack {
        let text = self.of_text();
        let mut parts = self.parts.clone();
        parts.retain(|place| !text.contains(&place));
        let of_text = self.plan.iter().flat_map(|plan| &plan.layers).map(|plugin| &plugin.parts.services);
        of_text.for_each(|services| parts.services.remove(services));
        Stack { parts, ..Stack::default() }
    }

    /// Which plug-ins the text has made.
    fn of_text(&self) -> HashSet<Place> {
        self.plan
            .iter()
            .flat_map(|plan| &plan.layers)
            .flat_map(|plugin| plugin.parts.places())
            .map(|(_, at)| at)
            .collect()
    }
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
            .field("transports", &Vec::from_iter(self.parts.transports.iter().map(|t| t.name())))
            .field("protectors", &Vec::from_iter(self.parts.protectors.iter().map(|p| p.name())))
            .field("negotiators", &Vec::from_iter(self.parts.negotiators.iter().map(|n| n.name())))
            .field("securities", &Vec::from_iter(self.parts.securities.iter().map(|s| s.name())))
            .field("muxers", &Vec::from_iter(self.parts.muxers.iter().map(|m| m.name())))
            .field("routers", &Vec::from_iter(self.parts.routers.iter().map(|r| r.name())))
            .field("discoveries", &Vec::from_iter(self.parts.discoveries.iter().map(|d| d.name())))
            .field("nats", &Vec::from_iter(self.parts.nats.iter().map(|n| n.name())))
            .field("protocols", &Vec::from_iter(self.parts.protocols.iter().map(|p| p.ids())))
            .finish()
    }
}
