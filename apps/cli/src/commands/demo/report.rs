//! Who negotiated what with whom, and why.

use std::sync::Arc;

use serde_json::{Value, json};
use stackwire_node::{Chosen, ConnectionInfo, Layer, Multiaddr, Path, address};

use super::nodes::Village;
use crate::output::{DIM, Table, ms};

/// The connections, each with the name of who dialed it, as a table.
pub(super) fn connections(village: &Village, connections: &[(&str, Arc<ConnectionInfo>)]) -> String {
    let head = ["who dials whom", "transport", "security", "muxer", "ms", "trips", "dialer's wish"];
    let mut table = Table::new(&head);
    for (dialer, ConnectionInfo { peer, path, .. }) in connections.iter().map(|(dialer, c)| (dialer, &**c)) {
        let plugin = |layer| path.plugin(layer).to_string();
        table.row([
            format!("{dialer} → {}", village.name_of(peer)),
            form(&path.remote, path.plugin(Layer::Transport)),
            plugin(Layer::Security),
            plugin(Layer::Muxer) + if in_handshake(path) { "*" } else { "" },
            format!("{:.2}", ms(path.took())),
            path.round_trips().to_string(),
            wish(path),
        ]);
    }
    let notes = "trips: round trips until streams could be opened\n\
                 dialer's wish: which of its security protocols and muxers the listener has too\n\
                 *: agreed inside the security handshake, at no extra round trip";
    format!("{}{DIM}{notes}{DIM:#}\n{}", table.render(), served(village))
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

/// The transport as the address spells it: `tcp`, `udp/quic-v1`, `tcp/tls/ws`, `memory`.
fn form(address: &Multiaddr, plugin: &str) -> String {
    let parts = address.iter().filter(|part| address::ip_of(&Multiaddr::from(part.clone())).is_none());
    let names: Vec<&str> = parts.map(|part| part.tag()).collect();
    if names.is_empty() { plugin.to_string() } else { names.join("/") }
}

fn in_handshake(path: &Path) -> bool {
    path.rung(Layer::Muxer).is_some_and(|rung| matches!(rung.chosen, Chosen::InHandshake { .. }))
}

/// Which of the dialer's wishes came true at the security protocol and at the muxer: the first that the listener shares.
fn wish(path: &Path) -> String {
    let place = |layer| {
        let rung = path.rung(layer)?;
        let (Chosen::Negotiated { offered, .. } | Chosen::InHandshake { offered }) = &rung.chosen else { return None };
        let place = offered.iter().position(|id| Some(id) == rung.protocol.as_ref())?;
        Some(ordinal(place + 1))
    };
    let places: Vec<String> = [Layer::Security, Layer::Muxer].into_iter().filter_map(place).collect();
    if places.is_empty() { "its own".to_string() } else { places.join(", ") }
}

fn ordinal(place: usize) -> String {
    let ending = ["th", "st", "nd", "rd"].get(place).unwrap_or(&"th");
    format!("{place}{ending}")
}
