//! Who is connected with whom, and why.

use std::collections::BTreeMap;

use stackwire_node::{ConnectionInfo, PeerId, Role, trust::PeerRole};

use crate::member::Member;

const HEAD: [&str; 7] = ["node", "network", "with", "role", "path", "direction", "reason"];

/// A table of the connections that these have, each as both sides see it.
pub fn of(members: &[&Member]) -> String {
    let ids = |member: &Member| member.node.networks().iter().map(|it| it.peer_id()).collect::<Vec<_>>();
    let names: BTreeMap<PeerId, &str> =
        members.iter().flat_map(|member| ids(member).into_iter().map(|id| (id, member.name))).collect();
    let mut rows = vec![HEAD.map(String::from)];
    for member in members {
        for network in member.node.networks() {
            let mut connections = network.connections();
            connections.sort_by_key(|it| names.get(&it.peer));
            rows.extend(connections.iter().map(|connection| {
                let direction = if connection.path.role == Role::Dialer { "outbound" } else { "inbound" };
                [
                    member.name.to_string(),
                    network.name().to_string(),
                    names.get(&connection.peer).unwrap_or(&"?").to_string(),
                    connection.claims.role.name().to_string(),
                    connection.path.to_string(),
                    direction.to_string(),
                    reason(member, connection),
                ]
            }));
        }
    }
    aligned(&rows)
}

fn reason(member: &Member, connection: &ConnectionInfo) -> String {
    let whom = match connection.claims.role {
        _ if member.must_have.contains(&connection.peer) => "must-have",
        PeerRole::Unknown => "anybody may dial",
        _ => "trusted set",
    };
    let how = if connection.path.role == Role::Dialer { "dialed by us" } else { "it has dialed us" };
    format!("{whom}, {how}")
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
