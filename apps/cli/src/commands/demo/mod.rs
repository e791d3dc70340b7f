//! `demo`: five nodes with five different mixes negotiate, talk and move a file.

mod courier;
mod nodes;
mod report;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::{Value, json};
use stackwire_node::{Error, Kind, Result};

use super::stop;
use crate::{
    args::Demo,
    output::{BAD, DIM, GOOD, HEAD, Output, Table, bytes, mbits, ms},
};
use courier::Parcel;
use nodes::{Member, Village};

/// Bytes of the file that is made where none is named.
const GENERATED: u64 = 64 << 20;
/// How long the nodes may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(args: Demo, out: &Output) -> ExitCode {
    out.finish(stop::unless_wanted(out, demo(args.file, out)).await)
}

async fn demo(file: Option<PathBuf>, out: &Output) -> Result<Value> {
    // First, so that a file that can't be read is known before anything else happens.
    let parcel = match file {
        Some(file) => Parcel::of_file(file, out).await?,
        None => Parcel::generated(GENERATED),
    };

    out.text(format!("{HEAD}Five nodes, each with its own mix{HEAD:#} {DIM}(order is preference){DIM:#}"));
    let village = Village::start().await?;
    let mut table = Table::new(&["node", "listens on", "security", "muxers", "seeds"]);
    for member in &village.members {
        table.row(member.row());
    }
    out.text(table.render());

    out.text(format!("{HEAD}They find each other by seeds, and negotiate{HEAD:#} {DIM}(ms, round trips){DIM:#}"));
    let waiting = village.all_connected();
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .map_err(|_| Error::new(Kind::Timeout { limit: PATIENCE }, "waiting for the five nodes to find each other"))?;
    let connections = village.dialed();
    out.text(report::connections(&village, &connections));

    out.text(format!("{HEAD}Everyone pings everyone{HEAD:#} {DIM}(ms, there and back){DIM:#}"));
    let pings = pings(&village, out).await?;

    out.text(format!("{HEAD}A file goes through all of them{HEAD:#}"));
    let took = courier::send(&village, &parcel, out).await?;
    out.text(format!(
        "{GOOD}✓{GOOD:#} {} over {}, hash checked by every node: {DIM}blake3 {}{DIM:#}, {:.0} Mbit/s\n",
        bytes(parcel.size()),
        village.names().join(" → "),
        parcel.short_hash(),
        mbits(parcel.size(), took)
    ));

    out.text(format!("{HEAD}And a pair with nothing in common{HEAD:#}"));
    let refused = refused(&village).await?;
    out.text(format!("{BAD}✗{BAD:#} anna dials finn, who takes plaintext only:\n  {refused}\n"));
    let report = json!({
        "nodes": village.members.iter().map(Member::describe).collect::<Vec<_>>(),
        "connections": report::describe(&village, &connections),
        "pings": pings,
        "file": {
            "bytes": parcel.size(), "blake3": parcel.hash(), "ms": ms(took), "hops": village.members.len() - 1,
        },
        "refused": { "dialer": "anna", "listener": "finn", "error": refused },
    });
    village.shutdown().await;
    out.text(format!("{GOOD}done{GOOD:#}: try `stackwire matrix` for every mix there is, `stackwire run` for a node."));
    Ok(report)
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
            let mut stream = from.node.open_stream(to.node.peer_id(), &[stackwire_protocol_ping::ID.into()]).await?;
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
