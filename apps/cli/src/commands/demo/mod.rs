//! `demo`: five nodes with five different mixes negotiate, talk and move a file.

mod courier;
mod nodes;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use serde_json::{Value, json};
use stackwire_node::{Chosen, ConnectionInfo, Error, Kind, Layer, Multiaddr, Path, ProtocolId, Result, address};

use crate::{
    args::Demo,
    output::{BAD, DIM, GOOD, HEAD, Output, Table, bytes, mbits, millis, ms},
};
use courier::Parcel;
use nodes::{Member, Village};

/// Bytes of the file that is made where none is named.
const GENERATED: u64 = 64 << 20;
/// How long the nodes may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(args: Demo, out: &Output) -> ExitCode {
    let result = tokio::select! {
        result = demo(args.file, out) => result,
        _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Closed, "interrupted")),
    };
    out.finish(None, result)
}

async fn demo(file: Option<PathBuf>, out: &Output) -> Result<Value> {
    out.text(format!("{HEAD}Five nodes, each with its own mix{HEAD:#} {DIM}(order is preference){DIM:#}"));
    let village = Village::start().await?;
    let mut table = Table::new(&["node", "listens on", "security", "muxers", "seeds"]);
    for member in &village.members {
        table.row(member.describe());
    }
    out.text(table.render());

    out.text(format!("{HEAD}They find each other by seeds, and negotiate{HEAD:#}"));
    let waiting = village.all_connected();
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .map_err(|_| Error::new(Kind::Timeout { limit: PATIENCE }, "waiting for the five nodes to find each other"))?;
    let connections = village.dialed();
    out.text(connection_table(&village, &connections));

    out.text(format!("{HEAD}Everyone pings everyone{HEAD:#} {DIM}(ms, there and back){DIM:#}"));
    let pings = pings(&village, out).await?;

    out.text(format!("{HEAD}A file goes through all of them{HEAD:#}"));
    let parcel = match file {
        Some(file) => Parcel::of_file(file).await?,
        None => Parcel::generated(GENERATED),
    };
    let route = village.names().join(" → ");
    let (size, took) = courier::send(&village, &parcel, out).await?;
    out.text(format!(
        "{GOOD}✓{GOOD:#} {} over {route}, hash checked by every node: {DIM}blake3 {}{DIM:#}, {:.0} Mbit/s\n",
        bytes(size),
        parcel.short_hash(),
        mbits(size, took)
    ));

    out.text(format!("{HEAD}And a pair with nothing in common{HEAD:#}"));
    let refused = refused(&village).await?;
    out.text(format!("{BAD}✗{BAD:#} anna dials finn, who takes plaintext only:\n  {refused}\n"));
    village.shutdown().await;
    out.text(format!("{GOOD}done{GOOD:#}: try `stackwire matrix` for every mix there is, `stackwire run` for a node."));
    Ok(json!({
        "connections": connections,
        "pings": pings,
        "file": { "bytes": size, "blake3": parcel.hash(), "seconds": took.as_secs_f64(), "hops": village.members.len() - 1 },
        "refused": refused,
    }))
}

fn connection_table(village: &Village, connections: &[(String, Arc<ConnectionInfo>)]) -> String {
    let head = [
        "dialer → listener",
        "transport",
        "ms",
        "security",
        "ms",
        "muxer",
        "ms",
        "protocols it serves",
        "trips",
        "why: first in common of",
    ];
    let mut table = Table::new(&head);
    for (dialer, connection) in connections {
        let path = &connection.path;
        let listener = village.name_of(&connection.peer);
        let mut row = vec![format!("{dialer} → {listener}")];
        for layer in [Layer::Transport, Layer::Security, Layer::Muxer] {
            let rung = path.rung(layer);
            row.push(match rung {
                Some(rung) if layer == Layer::Transport => form(&path.remote, &rung.plugin),
                Some(rung) => rung.protocol.as_ref().map_or(rung.plugin.clone(), nodes::short),
                None => "-".to_string(),
            });
            row.push(rung.map_or_else(|| "-".to_string(), millis));
        }
        row.push(village.protocols(&connection.peer));
        row.push(path.round_trips().to_string());
        row.push(why(path));
        table.row(row);
    }
    table.render()
}

/// The transport as the address spells it: `tcp`, `tcp/ws`, `tcp/tls/ws`, `memory`.
fn form(address: &Multiaddr, plugin: &str) -> String {
    let parts = address.iter().filter(|part| address::ip_of(&Multiaddr::from(part.clone())).is_none());
    let names: Vec<&str> = parts.map(|part| part.tag()).collect();
    if names.is_empty() { plugin.to_string() } else { names.join("/") }
}

/// Why the security protocol and the muxer are what they are, in a few words.
fn why(path: &Path) -> String {
    let of = |layer| match path.rung(layer).map(|rung| &rung.chosen) {
        Some(Chosen::Negotiated { offered, .. } | Chosen::InHandshake { offered }) if offered.len() == 1 => {
            "only offer".to_string()
        }
        Some(Chosen::Negotiated { offered, .. }) => shorts(offered),
        Some(Chosen::InHandshake { offered }) => {
            format!("{} (in the handshake)", shorts(offered))
        }
        Some(other) => other.to_string(),
        None => "-".to_string(),
    };
    format!("{}; {}", of(Layer::Security), of(Layer::Muxer))
}

fn shorts(ids: &[ProtocolId]) -> String {
    ids.iter().map(nodes::short).collect::<Vec<_>>().join(", ")
}

async fn pings(village: &Village, out: &Output) -> Result<Value> {
    let names = village.names();
    let mut table = Table::new(&[&["from \\ to"], names.as_slice()].concat());
    let mut all = Vec::new();
    for from in &village.members {
        let mut row = vec![from.name.to_string()];
        for to in &village.members {
            if from.name == to.name {
                row.push("·".to_string());
                continue;
            }
            let mut stream = from.node.open_stream(to.node.peer_id(), &["/ipfs/ping/1.0.0".into()]).await?;
            let time = stackwire_protocol_ping::ping(&mut stream, from.node.env()).await?;
            row.push(format!("{:.2}", ms(time)));
            all.push(json!({ "from": from.name, "to": to.name, "ms": ms(time) }));
        }
        table.row(row);
    }
    out.text(table.render());
    Ok(Value::Array(all))
}

async fn refused(village: &Village) -> Result<Error> {
    let stranger = Member::stranger().await?;
    let address = stranger.address()?;
    let result = village.members[0].node.connect(&address).await;
    stranger.node.shutdown().await;
    match result {
        Err(error) => Ok(error),
        Ok(_) => Err(Error::new(Kind::Internal, "two nodes with nothing in common connected")),
    }
}
