//! `peers`: whom a node knows that does not run.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use serde_json::{Value, json};
use stackwire_config::Plan;
use stackwire_node::{DEFAULT_NETWORK, Env, KnownAddress, Peer, PeerRole, TokioRuntime, address::Origin, known_peers};

use crate::{
    args::Peers,
    failure::Failure,
    output::{DIM, Output, Table, count, ms, plain},
    stack,
};

pub fn run(args: Peers, out: &Output) -> ExitCode {
    out.finish(show(args, out))
}

fn show(args: Peers, out: &Output) -> Result<Value, Failure> {
    let env = Env::new(TokioRuntime::new());
    let (folder, network) = place(args)?;
    let (peers, skipped) = known_peers(&folder, &network, &env)?;
    let now = env.unix_time();
    if !skipped.is_none() {
        out.complain(format_args!("warning: {skipped}"));
    }
    let mut table = Table::new(&["peer", "seen", "addresses", "role", "worth", "protected", "score", "latency", "ban"]);
    for peer in peers.iter() {
        table.row(row(peer, now));
    }
    let total = count(peers.len() as u64, "peer", "peers");
    out.text(format!(
        "{}{DIM}{total} known to network {network} of {}{DIM:#}",
        table.render(),
        plain(folder.display())
    ));
    let all: Vec<Value> = peers.iter().map(|peer| report(peer, now)).collect();
    Ok(json!({
        "network": network,
        "peers": all,
        "skipped": { "newer": skipped.newer, "damaged": skipped.damaged },
    }))
}

/// The folder, and the network whose peers they are.
fn place(args: Peers) -> Result<(PathBuf, String), Failure> {
    let Some(config) = &args.config else {
        return Ok((args.data_dir.unwrap_or_default(), args.network.unwrap_or_else(|| DEFAULT_NETWORK.to_string())));
    };
    let text = stack::read_config(config)?;
    let plan = Plan::parse_in(stack::folder_of(config), &text, &stack::catalogue()?)
        .map_err(|error| Failure::in_config(config, error))?;
    let network = args.network.unwrap_or_else(|| plan.name().to_string());
    match args.data_dir.or(plan.settings.data_dir) {
        Some(folder) => Ok((folder, network)),
        None => {
            let why = format!("{} names no `data_dir`: its node keeps its peers in memory", config.display());
            Err(Failure::usage(why))
        }
    }
}

fn row(peer: &Peer, now: Duration) -> [String; 9] {
    let none = || "-".to_string();
    let best = peer.dial_order(now).first().map_or_else(none, |known| plain(&known.address));
    let protected: Vec<&str> = peer.protected.iter().map(|reason| &**reason).collect();
    [
        peer.id.to_string(),
        peer.seen.map_or_else(none, |seen| ago(now.saturating_sub(seen))),
        format!("{} {best}", peer.addresses.len()),
        if peer.role == PeerRole::Unknown { none() } else { peer.role.to_string() },
        if peer.tags.is_empty() { none() } else { peer.worth(now).to_string() },
        if protected.is_empty() { none() } else { plain(protected.join(", ")) },
        if peer.score == 0.0 { none() } else { format!("{:+.1}", peer.score) },
        peer.latency.map_or_else(none, |latency| format!("{:.1} ms", ms(latency.smoothed))),
        peer.ban.as_ref().map_or_else(none, plain),
    ]
}

/// A time that has passed, as people say it.
fn ago(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..120 => format!("{secs} s ago"),
        secs @ 120..7200 => format!("{} min ago", secs / 60),
        secs @ 7200..172_800 => format!("{} h ago", secs / 3600),
        secs => format!("{} days ago", secs / 86_400),
    }
}

fn report(peer: &Peer, now: Duration) -> Value {
    let secs = |time: Option<Duration>| time.map(|time| time.as_secs());
    let tags: serde_json::Map<String, Value> = peer
        .tags
        .iter()
        .map(|(name, tag)| {
            (
                name.to_string(),
                json!({ "weight": tag.weight_at(now), "until_secs": secs(tag.fades.map(|fades| fades.until)) }),
            )
        })
        .collect();
    json!({
        "peer": peer.id.to_string(),
        "seen_secs": secs(peer.seen),
        "addresses": peer.dial_order(now).into_iter().map(address).collect::<Vec<_>>(),
        "record_seq": peer.record.as_ref().map(|record| record.seq),
        "role": peer.role,
        "tags": tags,
        "protected": peer.protected,
        "score": peer.score,
        "strikes": peer.strikes,
        "latency_ms": peer.latency.map(|latency| ms(latency.smoothed)),
        "ban": peer.ban.as_ref().map(|ban| json!({ "until_secs": secs(ban.until), "why": ban.why })),
        "metadata": peer.metadata.iter().map(|(key, value)| (key.to_string(), value.len().into())).collect::<serde_json::Map<_, Value>>(),
    })
}

fn address(known: &KnownAddress) -> Value {
    let secs = |time: Option<Duration>| time.map(|time| time.as_secs());
    let origin = match known.origin {
        Origin::Operator => "operator",
        Origin::Name => "name",
        Origin::Peer(_) => "peer",
    };
    json!({
        "address": known.address.to_string(),
        "origin": origin,
        "signed": known.signed,
        "expires_secs": secs(known.expires),
        "succeeded_secs": secs(known.succeeded),
        "failed_secs": secs(known.failed),
    })
}
