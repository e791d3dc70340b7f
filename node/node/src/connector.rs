//! Whom a network wants: what discoveries, the application and the config say, on its way to [`Connectivity`].
//!
//! [`Connectivity`]: stackwire_connectivity::Connectivity

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use stackwire_config::Settings;
use stackwire_connectivity::{Backoff, MAX_OFFERS, Outbound, Said, Source, Wanted, Water};
use stackwire_core::{
    Candidate, CandidateSink, Error, Kind, Layer, Multiaddr, PeerId, Result,
    address::{self, Origin},
};
use stackwire_switch::Switch;
use tokio::sync::{mpsc, watch};

use crate::follower::Follower;

/// What sources have said and nobody has looked at.
pub(crate) const BACKLOG: usize = 64;
/// Characters of the name of an application's set.
const MAX_NAME: usize = 64;
/// Peers that the application may say a node must have, and addresses of each.
const MAX_MUST_HAVES: usize = 1024;
const MAX_ADDRESSES: usize = 64;

/// What a network wants. A task sees to it, from the moment on at which anything is wanted.
#[derive(Default)]
pub(crate) struct Connector {
    follower: Mutex<Option<mpsc::Sender<Said>>>,
    must_have: Mutex<MustHave>,
    wanted: watch::Sender<Wanted>,
}

/// Those that are to be had whatever else there is.
#[derive(Default)]
struct MustHave {
    config: Wanted,
    /// Of the application.
    more: BTreeMap<PeerId, Vec<Multiaddr>>,
}

impl Connector {
    /// Follows the settings as they are now.
    pub(crate) fn configure(&self, switch: &Switch, settings: &Settings) {
        self.change(switch, |must_have| {
            must_have.config = wanted(settings);
            Ok(())
        })
        .unwrap_or_else(|error: Error| tracing::error!(%error, "the settings are of no use"));
    }

    /// Must have `peer`, too, which may be at `addresses`. Replaces what was said of it before.
    pub(crate) fn add_must_have(&self, switch: &Switch, peer: PeerId, addresses: &[Multiaddr]) -> Result<()> {
        let addresses: Vec<Multiaddr> = addresses.iter().map(|address| address::split_peer(address).0).collect();
        check("addresses of a must-have", addresses.len(), MAX_ADDRESSES)?;
        self.change(switch, |MustHave { more, .. }| {
            check("must-haves", more.len() + usize::from(!more.contains_key(&peer)), MAX_MUST_HAVES)?;
            more.insert(peer, addresses);
            Ok(())
        })
    }

    /// Need not have `peer` any more, as far as the application is concerned.
    pub(crate) fn remove_must_have(&self, peer: &PeerId) {
        let mut must_have = self.must_have.lock();
        must_have.more.remove(peer);
        self.wanted.send_replace(must_have.wanted());
    }

    /// Wants the peers at `addresses` and no others of this application's set.
    pub(crate) async fn want(&self, switch: &Switch, set: &str, addresses: Vec<Multiaddr>) -> Result<()> {
        check("characters of the name of a set", set.chars().count(), MAX_NAME)?;
        check("candidates of the application", addresses.len(), MAX_OFFERS)?;
        let candidates = addresses.iter().map(candidate).collect::<Result<_>>()?;
        // A set that never was need not be taken back.
        if addresses.is_empty() && self.follower.lock().is_none() {
            return Ok(());
        }
        let said = Said::Replace(Source::Application(set.into()), candidates);
        let sender = self.follower(switch);
        sender.send(said).await.map_err(|_| Error::closed("wanting peers of a node that is stopping"))
    }

    /// Where the discovery called `source` puts its candidates.
    pub(crate) fn sink(&self, switch: &Switch, source: &'static str) -> Sink {
        Sink { source: Source::Discovery(source), sender: self.follower(switch) }
    }

    /// Withdraws what other discoveries than these have offered.
    pub(crate) fn keep_only(&self, switch: &Switch, discoveries: Vec<&'static str>) {
        let follower = self.follower.lock().clone();
        if let Some(sender) = follower {
            switch.keep_until_stopping("connectivity", async move {
                // Fails only if the node is stopping.
                let _ = sender.send(Said::Discoveries(discoveries)).await;
            });
        }
    }

    /// Where the follower listens, which is started unless it runs.
    fn follower(&self, switch: &Switch) -> mpsc::Sender<Said> {
        let mut follower = self.follower.lock();
        let start = || {
            let (sender, receiver) = mpsc::channel(BACKLOG);
            let task = Follower::new(switch.clone()).follow(receiver, self.wanted.subscribe());
            switch.keep_until_stopping("connectivity", task);
            sender
        };
        follower.get_or_insert_with(start).clone()
    }

    fn change(&self, switch: &Switch, change: impl FnOnce(&mut MustHave) -> Result<()>) -> Result<()> {
        let mut must_have = self.must_have.lock();
        change(&mut must_have)?;
        let wanted = must_have.wanted();
        // Otherwise there is nothing to do before a source speaks.
        let acts = !wanted.must_have.is_empty() || wanted.water.is_some() || wanted.exclusive;
        self.wanted.send_replace(wanted);
        if acts {
            self.follower(switch);
        }
        Ok(())
    }
}

impl MustHave {
    fn wanted(&self) -> Wanted {
        let mut wanted = self.config.clone();
        for (peer, addresses) in &self.more {
            let known = wanted.must_have.entry(*peer).or_default();
            let new: Vec<_> = addresses.iter().filter(|address| !known.contains(address)).cloned().collect();
            known.extend(new);
        }
        wanted
    }
}

fn check(limit: &'static str, is: usize, max: usize) -> Result<()> {
    match is <= max {
        true => Ok(()),
        false => Err(failed(Kind::LimitExceeded { limit, max: max as u64 }, "telling whom a node wants")),
    }
}

fn failed(kind: Kind, during: &'static str) -> Error {
    Error::new(kind, during).at(Layer::Node, "connectivity")
}

/// A candidate of the application: an address with or without `/p2p/…`, or only that.
fn candidate(address: &Multiaddr) -> Result<Candidate> {
    let (address, peer) = address::split_peer(address);
    if peer.is_none() && address.is_empty() {
        return Err(failed(Kind::AddressInvalid, "an empty address says nothing of whom is wanted"));
    }
    Ok(Candidate { peer, address, source: "application", origin: Origin::Operator, expires_in: None })
}

/// What the settings want.
fn wanted(settings: &Settings) -> Wanted {
    let config = &settings.connectivity;
    let known = settings.trust.known_roles().unwrap_or_default();
    let mut must_have: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
    for address in &config.must_have {
        // The config has none without a peer.
        if let (address, Some(peer)) = address::split_peer(address) {
            let known = must_have.entry(peer).or_default();
            known.extend(Some(address).filter(|address| !address.is_empty()));
        }
    }
    Wanted {
        outbound: match config.outbound {
            stackwire_config::Outbound::All => Outbound::All,
            stackwire_config::Outbound::Count(count) => Outbound::Count(count),
        },
        must_have,
        water: config.water().map(|(low, high)| Water { low, high }),
        grace: config.grace,
        trim_pause: config.trim,
        check: config.check,
        // The config has no others.
        roles: config.roles.iter().filter_map(|role| known.get(role)).collect(),
        sources: config.sources.clone(),
        backoff: Backoff { first: config.backoff, most: config.backoff_max, give_up: config.give_up },
        exclusive: config.exclusive,
    }
}

/// Takes the candidates of one discovery in.
pub(crate) struct Sink {
    source: Source,
    sender: mpsc::Sender<Said>,
}

impl Sink {
    async fn say(&self, said: Said) {
        // Fails only if the node is stopping.
        let _ = self.sender.send(said).await;
    }
}

#[async_trait]
impl CandidateSink for Sink {
    async fn offer(&self, candidate: Candidate) {
        self.say(Said::Offer(self.source.clone(), candidate)).await;
    }

    async fn withdraw(&self, peer: Option<PeerId>, address: &Multiaddr) {
        self.say(Said::Withdraw(self.source.clone(), peer, address.clone())).await;
    }

    async fn replace(&self, candidates: Vec<Candidate>) {
        self.say(Said::Replace(self.source.clone(), candidates)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both say in their docs what their defaults are.
    #[test]
    fn the_defaults_of_settings_are_those_of_the_policy() {
        assert_eq!(wanted(&Settings::default()), Wanted::default());
    }

    #[test]
    fn addresses_of_one_must_have_are_together() {
        let peer = stackwire_core::Keypair::ed25519_from_seed([1; 32]).peer_id();
        let mut settings = Settings::default();
        let one: Multiaddr = "/memory/1".parse().unwrap();
        settings.connectivity.must_have =
            vec![address::with_peer(&one, peer), address::with_peer(&Multiaddr::empty(), peer)];
        assert_eq!(wanted(&settings).must_have, [(peer, vec![one.clone()])].into());
        let other: Multiaddr = "/memory/2".parse().unwrap();
        let more = [(peer, vec![one.clone(), other.clone()])].into();
        let both = MustHave { config: wanted(&settings), more };
        assert_eq!(both.wanted().must_have, [(peer, vec![one, other])].into());
    }
}
