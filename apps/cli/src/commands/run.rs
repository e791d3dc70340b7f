//! `run`

use std::process::ExitCode;

use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use stackwire_node::{Ban, Builder, DEFAULT_NETWORK as DEFAULT, Direction, Event, Node};

use super::{holdings, reload::Reloads, stop};
use crate::{
    args::Run,
    failure::Failure,
    memory,
    output::{BAD, DIM, GOOD, Output, count, ms, plain},
    stack,
};

pub async fn run(args: Run, out: &Output) -> ExitCode {
    // In a task beside the node's own: to wake the program's first thread for each event would cost more than to show it.
    let serving = tokio::spawn({
        let out = out.clone();
        async move { serve(args, &out).await }
    });
    match serving.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
        Ok(()) => {
            out.object(&json!({ "event": "stopped" }));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tell("error", &failure, out);
            ExitCode::from(failure.code())
        }
    }
}

/// What went wrong, as an event.
fn tell(event: &str, failure: &Failure, out: &Output) {
    let mut report = json!({ "event": event });
    failure.tell(&mut report);
    out.object(&report);
    out.complain(failure);
}

async fn serve(args: Run, out: &Output) -> Result<(), Failure> {
    let stop = stop::wanted(out);
    tokio::pin!(stop);
    // Before the node starts, too: a SIGHUP that nobody waits for ends the program.
    let mut reloads = Reloads::of(args.stack.config.as_deref().filter(|_| args.watch))?;
    let mut asked = holdings::Asked::new()?;
    let starting = async {
        let stack = stack::plan(&args.stack, Some(&args.listen))?.stack();
        Ok::<_, Failure>(Builder::from(stack).start_watched_all().await?)
    };
    let (node, mut events) = tokio::select! {
        // The signal is waited for before anything else begins.
        biased;
        () = &mut stop => return Ok(()),
        started = starting => started?,
    };
    for network in node.networks() {
        let (name, peer) = (network.name(), network.peer_id());
        out.object(&of(name, json!({ "event": "running", "peer": peer.to_string() })));
        out.text(format!("{}{GOOD}running{GOOD:#} as {peer}; Ctrl-C stops", prefix(name)));
    }
    if node.networks().iter().all(|network| network.addresses().is_empty()) {
        out.text("listening nowhere: it only dials; `--listen` names an address");
    }
    let giving_back = memory::give_back();
    tokio::pin!(giving_back);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = reloads.next() => tokio::select! {
                biased;
                () = &mut stop => break,
                () = reload(&node, &args, out) => {}
            },
            // Before the events, which may come without a pause.
            _ = &mut giving_back => {}
            () = asked.next() => holdings::show(&node, out),
            Some((network, event)) = events.next() => show(&network, &event, out),
        }
    }
    out.text("stopping: open streams get their time to finish");
    stop::leaving();
    let watching = async {
        while let Some((network, event)) = events.next().await {
            show(&network, &event, out);
        }
        // What the node writes down last takes longer than its events.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = node.shutdown() => {}
        () = watching => {}
    }
    while let Some(Some((network, event))) = events.next().now_or_never() {
        show(&network, &event, out);
    }
    Ok(())
}

/// Takes the config anew; where it is wrong the node goes on as it is.
async fn reload(node: &Node, args: &Run, out: &Output) {
    let configuring = async {
        let plan = stack::plan(&args.stack, Some(&args.listen))?;
        Ok::<_, Failure>(node.reload_as(plan).await?)
    };
    match configuring.await {
        Ok(changes) => {
            out.object(&json!({ "event": "reloaded", "changes": changes }));
            let (new, old) = (changes.listening.len(), changes.closed.len());
            let new = count(new as u64, "address", "addresses");
            let upgrading = count(changes.upgrading as u64, "connection", "connections");
            out.text(format!("{GOOD}configured{GOOD:#}    {new} new, {old} closed, {upgrading} to upgrade"));
        }
        Err(failure) => {
            tell("not_reloaded", &failure, out);
            out.text("the config in force stays");
        }
    }
}

/// In front of what is told of a network; nothing for the one network of most nodes.
pub(super) fn prefix(network: &str) -> String {
    if network == DEFAULT { String::new() } else { format!("{DIM}{network}{DIM:#} ") }
}

/// `report` of a network.
pub(super) fn of(network: &str, mut report: Value) -> Value {
    if network != DEFAULT {
        report["network"] = network.into();
    }
    report
}

fn show(network: &str, event: &Event, out: &Output) {
    if !matches!(event, Event::LocalChanged | Event::Configured) {
        match (out.json, network == DEFAULT) {
            (true, true) => out.object(event),
            (true, false) => out.object(&of(network, json!(event))),
            (false, _) => out.text(prefix(network) + &line(event)),
        }
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::Listening { address } => format!("{GOOD}listening{GOOD:#}     {}", plain(address)),
        Event::ListenerClosed { address, error } => {
            format!("{BAD}not listening{BAD:#} {}{}", plain(address), because(error))
        }
        Event::ExternalAddress { address, source, confidence } => {
            let who = if *confidence > 1 { format!("{source} by {confidence}") } else { (*source).to_string() };
            format!("{GOOD}reachable{GOOD:#}     {} {DIM}{who}{DIM:#}", plain(address))
        }
        Event::ExternalAddressGone { address, source } => {
            format!("{BAD}not reachable{BAD:#} {} {DIM}{source}{DIM:#}", plain(address))
        }
        Event::Connected { connection: c } => {
            let took = ms(c.path.took());
            format!("{GOOD}connected{GOOD:#}     {} {} {} {DIM}{took:.1} ms{DIM:#}", c.id, c.peer, plain(&c.path))
        }
        Event::Disconnected { connection, peer, end } => {
            format!("disconnected  {connection} {peer}: {}", plain(&end.detail))
        }
        Event::IncomingFailed { remote, error } => {
            format!("{BAD}refused{BAD:#}       {}: {error}", plain(remote))
        }
        Event::DialFailed { error, .. } => format!("{BAD}not reached{BAD:#}   {error}"),
        Event::StreamOpened { connection, protocol, direction, .. } => {
            let direction = match direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            };
            format!("stream        {connection} {} {DIM}{direction}{DIM:#}", plain(protocol))
        }
        Event::StreamFailed { connection, protocol, error, .. } => {
            let protocol = protocol.as_ref().map_or_else(|| "-".to_string(), plain);
            format!("{BAD}stream failed{BAD:#} {connection} {protocol}: {error}")
        }
        Event::Identified { peer, info } => format!("identified    {peer} {}", plain(&info.agent)),
        Event::Pinged { peer, round_trip } => format!("ping          {peer} {:.2} ms", ms(*round_trip)),
        Event::Discovered { candidate } => {
            format!("discovered    {} by {}", plain(&candidate.address), candidate.source)
        }
        Event::Banned { peer, until, why } => {
            let ban = Ban { until: *until, why: why.clone() };
            format!("{BAD}banned{BAD:#}        {peer} {}", plain(ban))
        }
        Event::Unbanned { peer } => format!("unbanned      {peer}"),
        Event::Upgraded { peer, from, to } => format!("{GOOD}upgraded{GOOD:#}      {from} to {to} {peer}"),
        Event::NewPeer { peer } => format!("{GOOD}new peer{GOOD:#}      {peer}"),
        Event::LostPeer { peer } => format!("lost peer     {peer}"),
        Event::LimitReached { help, .. } => format!("{BAD}limit met{BAD:#}     {}", plain(help)),
        Event::Lagged { count: missed } => format!("{DIM}{} went by unseen{DIM:#}", count(*missed, "event", "events")),
        other => plain(format_args!("{other:?}")),
    }
}

fn because(error: &Option<stackwire_node::Error>) -> String {
    error.as_ref().map_or_else(String::new, |error| format!(": {error}"))
}
