//! `run`

use std::process::ExitCode;

use futures::{FutureExt, StreamExt};
use serde_json::json;
use stackwire_node::{Event, Node, Result};

use super::{reload::Reloads, stop};
use crate::{
    args::Run,
    output::{BAD, DIM, GOOD, Output, ms},
    stack,
};

pub async fn run(args: Run, out: &Output) -> ExitCode {
    match serve(args, out).await {
        Ok(()) => {
            out.object(&json!({ "event": "stopped" }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            out.object(&json!({ "event": "error", "error": error }));
            out.complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Run, out: &Output) -> Result<()> {
    let plan = stack::plan(&args.stack, Some(&args.listen))?;
    let (node, mut events) = Node::watched(plan.stack()).await?;
    out.text(format!("{GOOD}running{GOOD:#} as {}; Ctrl-C stops", node.peer_id()));
    if node.addresses().is_empty() {
        out.text("listening nowhere: it only dials; `--listen` names an address");
    }
    let mut reloads = Reloads::of(args.stack.config.as_deref().filter(|_| args.watch))?;
    let stop = stop::wanted(out);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            // The signal is waited for before anybody reads that we listen.
            biased;
            () = &mut stop => break,
            () = reloads.next() => reload(&node, &args, out).await,
            Some(event) = events.next() => show(&event, out),
        }
    }
    out.text("stopping: open streams get their time to finish");
    let watching = async {
        while let Some(event) = events.next().await {
            show(&event, out);
        }
    };
    tokio::select! {
        () = node.shutdown() => {}
        () = watching => {}
        // A second Ctrl-C does not wait.
        () = stop::asked() => {}
    }
    while let Some(Some(event)) = events.next().now_or_never() {
        show(&event, out);
    }
    Ok(())
}

/// Takes the config anew; where it is wrong the node goes on as it is.
async fn reload(node: &Node, args: &Run, out: &Output) {
    let configuring = async { node.configure_as(stack::plan(&args.stack, Some(&args.listen))?).await };
    match configuring.await {
        Ok(changes) => {
            out.object(&json!({ "event": "reloaded", "changes": changes }));
            let (new, old) = (changes.listening.len(), changes.closed.len());
            out.text(format!(
                "{GOOD}configured{GOOD:#}    {new} addresses new, {old} closed, {} connections to upgrade",
                changes.upgrading
            ));
        }
        Err(error) => {
            out.object(&json!({ "event": "not_reloaded", "error": error }));
            out.complain(&error);
            out.text("the config in force stays");
        }
    }
}

fn show(event: &Event, out: &Output) {
    if !matches!(event, Event::LocalChanged | Event::Configured) {
        out.object(event);
        out.text(line(event));
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::Listening { address } => format!("{GOOD}listening{GOOD:#}     {address}"),
        Event::ListenerClosed { address, error } => format!("{BAD}not listening{BAD:#} {address}{}", because(error)),
        Event::Connected { connection: c } => {
            let took = ms(c.path.took());
            format!("{GOOD}connected{GOOD:#}     {} {} {} {DIM}{took:.1} ms{DIM:#}", c.id, c.peer, c.path)
        }
        Event::Disconnected { connection, peer, reason, .. } => format!("disconnected  {connection} {peer}: {reason}"),
        Event::IncomingFailed { remote, error } => format!("{BAD}refused{BAD:#}       {remote}: {error}"),
        Event::DialFailed { error, .. } => format!("{BAD}not reached{BAD:#}   {error}"),
        Event::StreamOpened { connection, protocol, role, .. } => {
            let who = if *role == stackwire_node::Role::Dialer { "ours" } else { "theirs" };
            format!("stream        {connection} {protocol} {DIM}{who}{DIM:#}")
        }
        Event::StreamFailed { connection, protocol, error, .. } => {
            let protocol = protocol.as_ref().map_or("-", |p| p.as_str());
            format!("{BAD}stream failed{BAD:#} {connection} {protocol}: {error}")
        }
        Event::Identified { peer, info } => format!("identified    {peer} {}", info.agent),
        Event::Pinged { peer, round_trip } => format!("ping          {peer} {:.2} ms", ms(*round_trip)),
        Event::Discovered { candidate } => format!("discovered    {} by {}", candidate.address, candidate.source),
        Event::Upgraded { peer, from, to } => format!("{GOOD}upgraded{GOOD:#}      {from} to {to} {peer}"),
        Event::Missed { count } => format!("{DIM}{count} events went by unseen{DIM:#}"),
        other => format!("{other:?}"),
    }
}

fn because(error: &Option<stackwire_node::Error>) -> String {
    error.as_ref().map_or_else(String::new, |error| format!(": {error}"))
}
