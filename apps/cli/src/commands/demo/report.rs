//! Who negotiated what with whom, and why.

use std::sync::Arc;

use serde_json::{Value, json};
use stackwire_node::{Chosen, ConnectionInfo, Layer, Multiaddr, Path, ProtocolId, address};

use super::nodes::{Village, short};
use crate::output::{DIM, Table, millis};

/// The connections, each with the name of who dialed it, as a table.
pub(super) fn connections(village: &Village, connections: &[(&str, Arc<ConnectionInfo>)]) -> String {
    let head =
        ["dialer → listener", "transport", "ms", "security", "ms", "muxer", "ms", "trips", "why: first in common of"];
    let mut table = Table::new(&head);
    for (dialer, connection) in connections {
        let path = &connection.path;
        let mut row = vec![format!("{dialer} → {}", village.name_of(&connection.peer))];
        for layer in [Layer::Transport, Layer::Security, Layer::Muxer] {
            let rung = path.rung(layer);
            row.push(match rung {
                Some(rung) if layer == Layer::Transport => form(&path.remote, &rung.plugin),
                Some(rung) => rung.protocol.as_ref().map_or(rung.plugin.clone(), short),
                None => "-".to_string(),
            });
            row.push(rung.map_or_else(|| "-".to_string(), millis));
        }
        row.push(path.round_trips().to_string());
        row.push(format!("{}; {}", why(path, Layer::Security), why(path, Layer::Muxer)));
        table.row(row);
    }
    format!(
        "{}{DIM}* agreed inside the security handshake, at no extra round trip{DIM:#}\n{}",
        table.render(),
        served(village)
    )
}

/// The same for machines.
pub(super) fn describe(village: &Village, connections: &[(&str, Arc<ConnectionInfo>)]) -> Vec<Value> {
    let describe = |(dialer, connection): &(&str, Arc<ConnectionInfo>)| {
        let listener = village.name_of(&connection.peer);
        json!({ "dialer": dialer, "listener": listener, "connection": connection })
    };
    connections.iter().map(describe).collect()
}

/// The versions of the protocols that are served; the nodes differ below them.
fn served(village: &Village) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for member in &village.members {
        let protocols = village.protocols(&member.node.peer_id());
        match groups.iter_mut().find(|(known, _)| *known == protocols) {
            Some((_, names)) => names.push(member.name),
            None => groups.push((protocols, vec![member.name])),
        }
    }
    let line = |(protocols, names): &(String, Vec<&str>)| {
        let who = if names.len() == village.members.len() { "everyone".to_string() } else { names.join(", ") };
        format!("{DIM}{who} serves {protocols}{DIM:#}\n")
    };
    groups.iter().map(line).collect()
}

/// The transport as the address spells it: `tcp`, `tcp/ws`, `tcp/tls/ws`, `memory`.
fn form(address: &Multiaddr, plugin: &str) -> String {
    let parts = address.iter().filter(|part| address::ip_of(&Multiaddr::from(part.clone())).is_none());
    let names: Vec<&str> = parts.map(|part| part.tag()).collect();
    if names.is_empty() { plugin.to_string() } else { names.join("/") }
}

/// Why a layer is what it is, in a few words: what the dialer offered.
fn why(path: &Path, layer: Layer) -> String {
    let names = |offered: &[ProtocolId]| offered.iter().map(name).collect::<Vec<_>>().join(", ");
    match path.rung(layer).map(|rung| &rung.chosen) {
        Some(Chosen::Negotiated { offered, .. }) => names(offered),
        Some(Chosen::InHandshake { offered }) => format!("{}*", names(offered)),
        Some(other) => other.to_string(),
        None => "-".to_string(),
    }
}

/// An id without its version.
fn name(id: &ProtocolId) -> &str {
    id.as_str().trim_start_matches('/').split('/').next().unwrap_or_default()
}
