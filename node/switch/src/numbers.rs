//! The metrics of the switch itself.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use stackwire_core::{Counter, Gauge, Metrics, Role};

/// The metrics of a network, and those of them that the switch counts.
pub(crate) struct Numbers {
    pub(crate) all: Metrics,
    connections: [Gauge; 2],
    opened: [Counter; 2],
    pub(crate) refused: Counter,
    pub(crate) dials_failed: Counter,
    pub(crate) streams_inbound: Counter,
    pub(crate) streams_outbound: Counter,
    /// By limit: as many as the config has.
    limits_met: Mutex<BTreeMap<&'static str, Counter>>,
}

impl Default for Numbers {
    fn default() -> Self {
        let all = Metrics::default();
        // The registry is new, and these names are few and good.
        let counter =
            |name, help, labels: &[(&'static str, &'static str)]| all.counter(name, help, labels).unwrap_or_default();
        let roles = ["dialer", "listener"];
        let (live, opened) = ("stackwire_connections", "stackwire_connections_opened");
        let streams =
            |direction| counter("stackwire_streams_opened", "Streams that were opened", &[("direction", direction)]);
        Self {
            connections: roles
                .map(|role| all.gauge(live, "Live connections, by our side", &[("role", role)]).unwrap_or_default()),
            opened: roles.map(|role| counter(opened, "Connections that came about, by our side", &[("role", role)])),
            refused: counter("stackwire_incoming_failed", "Connections of others that did not come about", &[]),
            dials_failed: counter("stackwire_dials_failed", "Dials that came to nothing", &[]),
            streams_inbound: streams("inbound"),
            streams_outbound: streams("outbound"),
            limits_met: Mutex::default(),
            all,
        }
    }
}

impl Numbers {
    pub(crate) fn connected(&self, role: Role) {
        self.connections[index(role)].inc();
        self.opened[index(role)].inc();
    }

    /// Something was refused because of `limit`.
    pub(crate) fn limit_met(&self, limit: &'static str) {
        let (name, help) = ("stackwire_limits_met", "What was refused because of a limit");
        let counter = || self.all.counter(name, help, &[("limit", limit)]).unwrap_or_default();
        self.limits_met.lock().entry(limit).or_insert_with(counter).inc();
    }

    pub(crate) fn disconnected(&self, role: Role) {
        self.connections[index(role)].dec();
    }
}

fn index(role: Role) -> usize {
    match role {
        Role::Dialer => 0,
        Role::Listener => 1,
    }
}
