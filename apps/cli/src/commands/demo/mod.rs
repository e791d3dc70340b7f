//! `demo`: five nodes with five different mixes negotiate, talk, move a file, and get better while they run.

mod courier;
mod nodes;
mod parcel;
mod report;
mod upgrade;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::{Value, json};
use stackwire_node::{Error, Kind, Result};

use super::stop;
use crate::{
    args::Demo,
    output::{BAD, DIM, GOOD, HEAD, Output, Table, bytes, mbits, ms, page_width, wrap_lines},
};
use nodes::{Member, Village};
use parcel::Parcel;

/// Bytes of the file that is made where none is named.
const GENERATED: u64 = 64 << 20;
/// How long the nodes may take to find each other, and to get better.
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

    out.text(format!("{HEAD}They find each other by seeds, and negotiate{HEAD:#}"));
    in_time("waiting for the five nodes to find each other", async {
        village.all_connected().await;
        Ok(())
    })
    .await?;
    let connections = village.dialed();
    out.text(report::connections(&village, &connections));

    out.text(format!("{HEAD}Everyone pings everyone{HEAD:#} {DIM}(ms, there and back){DIM:#}"));
    let pings = pings(&village, out).await?;

    let [first, second, .., last] = village.members.as_slice() else {
        return Err(Error::new(Kind::Internal, "nobody to send to"));
    };
    let hops = village.members.len() - 1;
    out.text(format!("{HEAD}A file goes through all of them{HEAD:#}"));
    let took = parcel.send(first, second, last, out).await?;
    let mut file = parcel.describe(took);
    file["hops"] = hops.into();
    out.text(format!("{}, hash checked by every node", sent(&village.names(), &parcel, took)));
    out.text(format!("  {DIM}a chain: {hops} hops one after the other, five nodes that share this machine{DIM:#}\n"));

    out.text(format!("{HEAD}The same file goes straight from one to another{HEAD:#}"));
    let connection = last.dialed(first)?;
    let took = parcel.send(first, last, last, out).await?;
    let mut pair = parcel.describe(took);
    pair["from"] = first.name.into();
    pair["to"] = last.name.into();
    pair["connection"] = json!(connection);
    out.text(sent(&[first.name, last.name], &parcel, took));
    out.text(format!("  {DIM}a pair: one hop over {}, nobody in between{DIM:#}\n", connection.path));

    out.text(format!("{HEAD}One of them gets a better config while bytes flow{HEAD:#}"));
    let upgrade = in_time("waiting for a connection to get better", upgrade::upgrade(last, first)).await?;
    out.text(upgrade.text());

    out.text(format!("{HEAD}And a pair with nothing in common{HEAD:#}"));
    let refused = refused(&village).await?;
    let why = wrap_lines(&refused.to_string(), page_width().saturating_sub(2)).join("\n  ");
    out.text(format!("{BAD}✗{BAD:#} anna dials finn, who takes plaintext only:\n  {why}\n"));
    let report = json!({
        "nodes": village.members.iter().map(Member::describe).collect::<Vec<_>>(),
        "connections": report::describe(&village, &connections),
        "pings": pings,
        "file": file,
        "pair": pair,
        "upgrade": upgrade.describe(),
        "refused": { "dialer": "anna", "listener": "finn", "error": refused },
    });
    village.shutdown().await;
    out.text(format!(
        "{GOOD}done{GOOD:#}: try `stackwire matrix` for every mix there is,\n`stackwire run` for a node."
    ));
    Ok(report)
}

/// Does what must not take for ever.
async fn in_time<T>(what: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(Kind::Timeout { limit: PATIENCE }, what);
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

/// What was sent by which way, and how fast.
fn sent(way: &[&str], parcel: &Parcel, took: Duration) -> String {
    format!(
        "{GOOD}✓{GOOD:#} {} over {}: {HEAD}{:.0} Mbit/s{HEAD:#}\n  {DIM}blake3 {}{DIM:#}",
        bytes(parcel.size()),
        way.join(" → "),
        mbits(parcel.size(), took),
        parcel::short(parcel.hash()),
    )
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
