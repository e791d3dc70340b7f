//! The layers, by name.

use std::fmt;

use serde::Serialize;

/// A layer of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Moves bytes between machines.
    Transport,
    /// Hides a pipe from everyone outside a private network, below every negotiation.
    Protector,
    /// Proves identities and encrypts.
    Security,
    /// Makes streams out of one pipe.
    Muxer,
    /// Chooses among offers.
    Negotiator,
    /// Answers how a peer, key or service is reached.
    Routing,
    /// Volunteers candidates nobody asked for.
    Discovery,
    /// Opens a way in through NATs and firewalls.
    Nat,
    /// An application protocol.
    Protocol,
    /// The node that runs the stack.
    Node,
}

impl Layer {
    /// The layer's name as configs and reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Transport => "transport",
            Layer::Protector => "protector",
            Layer::Security => "security",
            Layer::Muxer => "muxer",
            Layer::Negotiator => "negotiator",
            Layer::Routing => "routing",
            Layer::Discovery => "discovery",
            Layer::Nat => "nat",
            Layer::Protocol => "protocol",
            Layer::Node => "node",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
