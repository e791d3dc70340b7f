//! Who is given up where a host, a peer or the node holds too much.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use stackwire_core::{Error, Kind, PeerId};

use crate::{admission::Host, connection::Connection, refusals::Who, shared::Shared};

/// How long what was given up has to be gone, before anybody looks again.
const PAUSE: Duration = Duration::from_millis(10);

/// Gives up connections as long as the node runs, where somebody holds too much.
pub(crate) async fn watch(shared: &Arc<Shared>) {
    loop {
        shared.scopes.excess().await;
        while let Some((connection, error)) = excessive(shared) {
            shared.refused(&error, Who::Peer(connection.info.peer));
            connection.give_up(error);
        }
        // What was given up is dropped by other tasks.
        shared.env.sleep(PAUSE).await;
    }
}

fn excessive(shared: &Shared) -> Option<(Arc<Connection>, Error)> {
    let most = shared.scopes.most(shared.networks);
    // One that is closing or draining holds what it holds until it has ended.
    let live: Vec<_> = shared.live().into_iter().filter(|it| !it.is_given_up()).collect();
    let holder = |it: &Arc<Connection>| Holder {
        host: Host::of(&it.info.path.remote),
        peer: it.info.peer,
        bytes: it.budget.held() as u64,
    };
    let (index, limit, max) = greediest(&live.iter().map(holder).collect::<Vec<_>>(), most)?;
    let error = Error::new(Kind::LimitExceeded { limit, max }, "holding what waits to be sent to a peer or read by us");
    Some((live[index].clone(), error))
}

/// How many bytes may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) host: u64,
    pub(crate) peer: u64,
    pub(crate) network: u64,
}

/// Who holds so much: a connection.
#[derive(Clone, Copy, Debug)]
struct Holder {
    host: Host,
    peer: PeerId,
    bytes: u64,
}

/// Which of those that hold so much goes first, and because of which limit; `None` where none must.
fn greediest(held: &[Holder], most: Most) -> Option<(usize, &'static str, u64)> {
    let mut hosts: BTreeMap<Host, u64> = BTreeMap::new();
    let mut peers: BTreeMap<PeerId, u64> = BTreeMap::new();
    for Holder { host, peer, bytes } in held {
        *hosts.entry(*host).or_default() += bytes;
        *peers.entry(*peer).or_default() += bytes;
    }
    let largest = |of: &dyn Fn(&Holder) -> bool| {
        let candidates = held.iter().enumerate().filter(|(_, one)| one.bytes > 0 && of(one));
        candidates.max_by_key(|(_, one)| one.bytes).map(|(index, _)| index)
    };
    if let Some(index) = largest(&|one| peers[&one.peer] > most.peer) {
        return Some((index, "max_memory_per_peer", most.peer));
    }
    if let Some(index) = largest(&|one| hosts[&one.host] > most.host) {
        return Some((index, "max_memory_per_host", most.host));
    }
    if hosts.values().sum::<u64>() > most.network {
        let greedy = hosts.values().copied().max()?;
        return largest(&|one| hosts[&one.host] == greedy).map(|index| (index, "max_memory", most.network));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_core::Keypair;

    use super::*;

    const MOST: Most = Most { host: 200, peer: 180, network: 500 };

    fn host(n: u8) -> Host {
        Host::V4([192, 0, 2, n].into())
    }

    /// Connections with so many bytes, each from a host and with a peer.
    fn held(all: &[(u8, u8, u64)]) -> Vec<Holder> {
        let peer = |n: u8| Keypair::ed25519_from_seed([n; 32]).peer_id();
        all.iter().map(|(of, n, bytes)| Holder { host: host(*of), peer: peer(*n), bytes: *bytes }).collect()
    }

    #[test]
    fn the_largest_of_the_greediest_goes() {
        let goes = |all: &[(u8, u8, u64)]| greediest(&held(all), MOST);
        assert_eq!(goes(&[(1, 1, 180), (2, 2, 180), (3, 3, 100)]), None);
        assert_eq!(goes(&[(1, 1, 150), (2, 2, 90), (2, 3, 111)]), Some((2, "max_memory_per_host", 200)));
        assert_eq!(goes(&[(1, 1, 90), (2, 1, 91), (3, 3, 150)]), Some((1, "max_memory_per_peer", 180)));
        assert_eq!(goes(&[(1, 1, 150), (2, 2, 90), (2, 3, 100), (3, 4, 161)]), Some((2, "max_memory", 500)));
    }

    proptest! {
        #[test]
        fn as_few_go_as_must(amounts in proptest::collection::vec((0_u8..4, 0_u8..6, 0_u64..120), 0..30)) {
            let mut held = held(&amounts);
            let over = |held: &[Holder]| {
                let sum = |of: &dyn Fn(&Holder) -> bool| held.iter().filter(|one| of(one)).map(|one| one.bytes).sum::<u64>();
                (0..4).any(|n| sum(&|one| one.host == host(n)) > MOST.host)
                    || held.iter().any(|other| sum(&|one| one.peer == other.peer) > MOST.peer)
                    || sum(&|_| true) > MOST.network
            };
            while let Some((index, ..)) = greediest(&held, MOST) {
                prop_assert!(over(&held));
                held.remove(index);
            }
            prop_assert!(!over(&held));
        }
    }
}
