//! The configs of our stacks.

use std::fmt::Write as _;

/// One of our stacks: a name, and what is in it, most wanted first.
pub struct Ours {
    /// As rows and command lines call it.
    pub name: &'static str,
    transport: &'static str,
    transport_options: &'static str,
    security: &'static [&'static str],
    muxer: &'static [&'static str],
    /// Whether it is measured how long polls take.
    pub watched: bool,
}

/// Every stack of ours that can be measured.
pub const STACKS: [Ours; 9] = [
    tcp("ours-tcp-noise-yamux", &["noise"], &["yamux"]),
    tcp("ours-tcp-tls-yamux", &["tls"], &["yamux"]),
    tcp("ours-tcp-noise-priority", &["noise"], &["priority"]),
    tcp("ours-tcp-tls-priority", &["tls"], &["priority"]),
    tcp("ours-tcp-plaintext-yamux", &["plaintext"], &["yamux"]),
    // The order of the embedded default of the program `stackwire`: what two such nodes agree on over tcp.
    tcp("ours-best", &["tls", "noise"], &["priority", "yamux", "mplex"]),
    Ours { watched: true, ..tcp("ours-watched", &["noise"], &["yamux"]) },
    Ours { transport_options: "busy_poll_us = 0\n", ..tcp("ours-asleep", &["noise"], &["yamux"]) },
    Ours { transport: "quic", ..tcp("ours-quic", &[], &[]) },
];

const fn tcp(name: &'static str, security: &'static [&'static str], muxer: &'static [&'static str]) -> Ours {
    Ours { name, transport: "tcp", transport_options: "", security, muxer, watched: false }
}

/// Bounds that would stop a measurement rather than an attacker. Everything that decides speed keeps its default.
const LIFTED: &str = "
[node.limits]
max_connections = 1000000
max_connections_per_peer = 1000000
max_connections_per_host = 1000000
max_connections_per_path = 1000000
max_connections_per_subnet = 1000000
max_pending_incoming = 4096
max_pending_incoming_per_host = 4096
max_pending_dials = 4096
max_streams_per_connection = 65536
";

impl Ours {
    /// The stack of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        STACKS.iter().find(|stack| stack.name == name)
    }

    /// The config of a node that only dials.
    pub fn config(&self) -> String {
        let mut text = LIFTED.to_string();
        let mut section = |layer: &str, name: &str, options: &str| {
            let _ = write!(text, "[[{layer}]]\nuse = \"{name}\"\n{options}");
        };
        section("transport", self.transport, self.transport_options);
        for name in self.security {
            section("security", name, if *name == "plaintext" { "insecure = true\n" } else { "" });
        }
        for name in self.muxer {
            section("muxer", name, muxer_options(name));
        }
        text
    }

    /// The multiaddr of a socket.
    pub fn address(&self, socket: std::net::SocketAddr) -> String {
        let ip = if socket.is_ipv4() { "ip4" } else { "ip6" };
        match self.transport {
            "quic" => format!("/{ip}/{}/udp/{}/quic-v1", socket.ip(), socket.port()),
            tcp => format!("/{ip}/{}/{tcp}/{}", socket.ip(), socket.port()),
        }
    }
}

fn muxer_options(name: &str) -> &'static str {
    match name {
        "priority" => "max_unaccepted = 1024\n",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use stackwire_config::Plan;
    use stackwire_node::Catalogue;

    use super::*;

    #[test]
    fn every_config_is_good_and_listens_where_asked() {
        let catalogue = Catalogue::linked().expect("the bundle's plug-ins have different names");
        for stack in STACKS {
            let plan = Plan::parse(&stack.config(), &catalogue).unwrap_or_else(|e| panic!("{}: {e}", stack.name));
            let address = stack.address(([127, 0, 0, 1], 4001).into()).parse().expect("a multiaddr");
            assert!(plan.stack().parts.transports[0].can_listen(&address), "{}: {address}", stack.name);
        }
    }
}
