//! A set of validators is changed under load: one leaves, one joins, and those that stay lose no message.
//!
//! ```text
//!   v1 ── v2        validators: a `validator` network, for validators only (mutual), and a `vfn` network,
//!   │ ╲  ╱ │        which anybody may dial (server-only); each with an identity of its own
//!   v4 ── v3  … v5
//!   f1    f2        full nodes: each must have its two validators, and serves the public
//!     ╲  ╱
//!    client         dials the full nodes
//! ```
//!
//! It ends by itself with the exit code 1 unless everything is as promised.

mod load;
mod member;
mod table;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use load::Load;
use member::{CHECK, Member};
use stackwire_bundle as _; // links the plug-ins that the configs name
use stackwire_node::{Catalogue, Network, Peers, Result, trust::PeerRole};
use tokio::time::{sleep, timeout};

/// How long messages go to and fro before the set changes, and after.
const UNDER_LOAD: Duration = Duration::from_secs(2);
/// Whatever takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(10);

struct Cast {
    /// v1 to v5. The first four are the set at first; v4 leaves, and v5 takes its place.
    validators: Vec<Member>,
    full_nodes: Vec<Member>,
    client: Member,
}

const BEFORE: [usize; 4] = [0, 1, 2, 3];
const AFTER: [usize; 4] = [0, 1, 2, 4];
const LEAVES: usize = 3;
const JOINS: usize = 4;

impl Cast {
    async fn start(load: &Load) -> Result<Self> {
        let catalogue = Catalogue::linked()?;
        let mut validators = Vec::new();
        for name in ["v1", "v2", "v3", "v4", "v5"] {
            validators.push(Member::validator(name, load, &catalogue).await?);
        }
        let full_nodes = vec![Member::full_node("f1", &catalogue).await?, Member::full_node("f2", &catalogue).await?];
        Ok(Self { validators, full_nodes, client: Member::client("client", &catalogue).await? })
    }

    /// Every validator that is concerned learns who is in the set, then whom to have connections with. Whoever is dialed by
    /// a peer that it does not know yet refuses it, and rests for a minute.
    async fn agree(&self, set: [usize; 4]) -> Result<()> {
        let members = || set.iter().map(|index| &self.validators[*index]);
        for member in members() {
            let others = members().filter(|other| other.name != member.name);
            member.trust("validator", others, PeerRole::Validator)?;
        }
        for member in members() {
            let others = members().filter(|other| other.name != member.name);
            member.network("validator").want("set", others.flat_map(|other| other.addresses("validator"))).await?;
        }
        Ok(())
    }

    /// Full node `index` follows these two validators, and no others any more.
    fn follow(&mut self, index: usize, validators: [usize; 2]) -> Result<()> {
        let (full_node, validators) = (&mut self.full_nodes[index], validators.map(|it| &self.validators[it]));
        for validator in validators {
            validator.trust("vfn", [&*full_node], PeerRole::ValidatorFullNode)?;
        }
        full_node.trust("vfn", validators, PeerRole::Upstream)?;
        full_node.must_have("vfn", validators)
    }

    /// The client wants both full nodes.
    async fn serve_the_public(&self) -> Result<()> {
        self.client.trust("public", &self.full_nodes, PeerRole::Upstream)?;
        let addresses = self.full_nodes.iter().flat_map(|it| it.addresses("public"));
        self.client.network("public").want("full nodes", addresses).await
    }

    /// Until all of the set are connected with each other, and everybody else with whom they follow.
    async fn connected(&self, set: [usize; 4], followed: [[usize; 2]; 2]) {
        for one in set.map(|index| &self.validators[index]) {
            for other in set.map(|index| &self.validators[index]).into_iter().filter(|other| other.name != one.name) {
                let id = other.network("validator").peer_id();
                until(&one.network("validator"), |peers| peers.is_connected(&id)).await;
            }
        }
        for (full_node, followed) in self.full_nodes.iter().zip(followed) {
            for id in followed.map(|it| self.validators[it].network("vfn").peer_id()) {
                until(&full_node.network("vfn"), |peers| peers.is_connected(&id)).await;
            }
            let id = full_node.network("public").peer_id();
            until(&self.client.network("public"), |peers| peers.is_connected(&id)).await;
        }
    }

    /// Until nobody else is connected with this validator.
    async fn is_gone(&self, index: usize) {
        for network in ["validator", "vfn"] {
            let id = self.validators[index].network(network).peer_id();
            for other in self.others(index).filter_map(|it| it.node.network(network)) {
                until(&other, |peers| !peers.is_connected(&id)).await;
            }
        }
    }

    fn others(&self, index: usize) -> impl Iterator<Item = &Member> {
        let validators = self.validators.iter().enumerate().filter(move |(it, _)| *it != index).map(|(_, it)| it);
        validators.chain(&self.full_nodes)
    }

    fn members(&self) -> Vec<&Member> {
        self.validators.iter().chain(&self.full_nodes).chain([&self.client]).collect()
    }
}

/// Until the peers of a network are so.
async fn until(network: &Network, so: impl Fn(&Peers) -> bool) {
    let mut peers = network.peers();
    while !so(&peers) {
        peers = network.peers_after(peers.revision()).await;
    }
}

/// How long it takes; `None`: too long.
async fn took(began: Instant, work: impl Future<Output = ()>) -> Option<Duration> {
    timeout(PATIENCE, work).await.ok().map(|()| began.elapsed())
}

fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_string(), |time| format!("{} ms", time.as_millis()))
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let load = Load::default();
    let mut cast = Cast::start(&load).await?;
    let mut broken = Vec::new();

    cast.agree(BEFORE).await?;
    cast.follow(0, [0, 1])?;
    cast.follow(1, [2, 3])?;
    cast.serve_the_public().await?;
    if took(Instant::now(), cast.connected(BEFORE, [[0, 1], [2, 3]])).await.is_none() {
        broken.push("not all were connected at first".to_string());
    }
    let at = |set: [usize; 4]| set.map(|index| &cast.validators[index]);
    load.send_among(&at(BEFORE));
    // Those who have dialed each other at once give one of the two connections up meanwhile.
    sleep(UNDER_LOAD).await;
    println!("Before: v1, v2, v3 and v4 are the validators\n\n{}", table::of(&cast.members()));

    // v4 is told nothing: it goes on to send, and so to dial, and nobody takes it in.
    let began = Instant::now();
    cast.agree(AFTER).await?;
    cast.follow(1, [2, JOINS])?;
    let (gone, joined) =
        tokio::join!(took(began, cast.is_gone(LEAVES)), took(began, cast.connected(AFTER, [[0, 1], [2, JOINS]])));
    if gone.is_none_or(|gone| gone > CHECK) {
        broken.push(format!("v4 is gone after {}, and a check comes every {} ms", millis(gone), CHECK.as_millis()));
    }
    if joined.is_none() {
        broken.push("v5 is not connected with all".to_string());
    }
    let at = |set: [usize; 4]| set.map(|index| &cast.validators[index]);
    load.send_among(&at(AFTER));
    sleep(UNDER_LOAD).await;
    let figures = load.end(&at(AFTER)).await;
    broken.extend(figures.problems());
    // Whom it has just dialed refuses it at once.
    let alone = async {
        for network in cast.validators[LEAVES].node.networks() {
            until(&network, |peers| peers.iter().all(|peer| !peer.is_connected())).await;
        }
        cast.is_gone(LEAVES).await;
    };
    if timeout(CHECK, alone).await.is_err() {
        broken.push("v4 is back".to_string());
    }
    println!("After: v4 has left, v5 has joined\n\n{}", table::of(&cast.members()));
    println!(
        "{} messages among v1, v2, v3 and v5, {} lost, {} doubled; v4 gone after {}, v5 joined after {}",
        figures.sent,
        figures.lost,
        figures.doubled,
        millis(gone),
        millis(joined)
    );
    for promise in &broken {
        eprintln!("broken promise: {promise}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
