//! What was negotiated for a connection, why, and what it cost.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use crate::{Layer, Multiaddr, ProtocolId, Role};

/// How a connection came to be what it is. Every connection has one; it can be asked of the node, the CLI and events.
#[derive(Clone, Debug, Serialize)]
pub struct Path {
    /// Which side we are.
    pub role: Role,
    /// Our end, where the transport knows it.
    #[serde(serialize_with = "option_text")]
    pub local: Option<Multiaddr>,
    /// The peer's end.
    #[serde(serialize_with = "text")]
    pub remote: Multiaddr,
    /// Whether another peer carries the bytes.
    pub relayed: bool,
    /// From the transport upwards, one entry a layer that was upgraded.
    pub rungs: Vec<Rung>,
}

/// One layer of a connection.
#[derive(Clone, Debug, Serialize)]
pub struct Rung {
    /// The layer.
    pub layer: Layer,
    /// The plug-in that fills it, by its config name.
    pub plugin: String,
    /// The id it was negotiated by, where it was.
    pub protocol: Option<ProtocolId>,
    /// Why it and no other.
    pub chosen: Chosen,
    /// Round trips we waited for, negotiation included.
    pub round_trips: u8,
    /// Time it took, negotiation included.
    #[serde(rename = "ms", serialize_with = "millis")]
    pub took: Duration,
}

/// Why a layer is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Chosen {
    /// The address names it.
    Address,
    /// The config puts it on every connection.
    Config,
    /// We proposed `offered` in this order (as dialer), or chose among ours by the dialer's order (as listener).
    Negotiated {
        /// The negotiator's name.
        by: &'static str,
        /// What our side offers, most wanted first.
        offered: Arc<[ProtocolId]>,
    },
    /// Agreed inside the security handshake, at no extra round trip.
    InHandshake {
        /// What our side offers, most wanted first.
        offered: Arc<[ProtocolId]>,
    },
    /// The transport brings it along.
    Transport,
    /// The muxer's own wire format names it, so that nothing is negotiated.
    Muxer,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (how, offered) = match self {
            Chosen::Address => return f.write_str("named by the address"),
            Chosen::Config => return f.write_str("named by the config"),
            Chosen::Transport => return f.write_str("part of the transport"),
            Chosen::Muxer => return f.write_str("named by the muxer"),
            Chosen::Negotiated { by, offered } => (*by, offered),
            Chosen::InHandshake { offered } => ("in the security handshake", offered),
        };
        let offered: Vec<&str> = offered.iter().map(ProtocolId::as_str).collect();
        match offered.as_slice() {
            [only] => write!(f, "{how}, our only offer {only}"),
            several => write!(f, "{how}, first in common of {}", several.join(", ")),
        }
    }
}

impl Path {
    /// The rung of `layer`, if the connection has one.
    pub fn rung(&self, layer: Layer) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.layer == layer)
    }

    /// The name of the plug-in that fills `layer`, or `-`.
    pub fn plugin(&self, layer: Layer) -> &str {
        self.rung(layer).map_or("-", |rung| rung.plugin.as_str())
    }

    /// Round trips from the first packet until streams could be opened.
    pub fn round_trips(&self) -> u32 {
        self.rungs.iter().map(|rung| u32::from(rung.round_trips)).sum()
    }

    /// Time from the first packet until streams could be opened.
    pub fn took(&self) -> Duration {
        self.rungs.iter().map(|rung| rung.took).sum()
    }
}

/// `tcp / noise / yamux`
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rung) in self.rungs.iter().enumerate() {
            if i > 0 {
                f.write_str(" / ")?;
            }
            f.write_str(&rung.plugin)?;
        }
        Ok(())
    }
}

fn text<S: Serializer>(address: &Multiaddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

fn option_text<S: Serializer>(address: &Option<Multiaddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}

fn millis<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64() * 1e3)
}
