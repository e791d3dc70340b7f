//! Any facts in any order: bounds hold, snapshots stay, revisions grow, restarts forget nothing that lasts.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use stackwire_core::{Conduct, Note, Peer, Peers, Tag, Violation, identity::PeerRecord};
use stackwire_store::Storage;

use super::*;
use crate::{Bounds, PeerBook};

#[derive(Clone, Debug)]
enum Step {
    Add(u16, Vec<u16>, Origin),
    Remove(u16, Vec<u16>, Origin),
    Dialed(u16, u16, bool),
    Connected(u16),
    Disconnected(u16),
    Note(u16, Note),
    Report(u16, bool),
    Wait(u64),
    Restart,
}

const PEERS: u16 = 12;

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..PEERS;
    let origin =
        prop_oneof![Just(Origin::Operator), Just(Origin::Name), Just(WORLD), Just(Origin::Peer(Reach::Network))];
    let ports = proptest::collection::vec(0_u16..12, 0..8);
    let name = prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(Arc::<str>::from);
    let tag = (name.clone(), -5..5_i32, proptest::option::of(0_u64..5000)).prop_map(|(name, weight, fades)| {
        let tag = fades.map_or(Tag::lasting(weight), |time| Tag::fading(weight, secs(0), secs(time)));
        Note::Tag(name, tag)
    });
    let note = prop_oneof![
        tag,
        name.clone().prop_map(Note::Untag),
        name.clone().prop_map(Note::Protect),
        name.clone().prop_map(Note::Unprotect),
        proptest::option::of(0_u64..5000).prop_map(|term| Note::Ban { term: term.map(secs), why: "spam".into() }),
        Just(Note::Unban),
        (name, proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5000)))
            .prop_map(|(key, value)| Note::Metadata(key, value.map(Into::into))),
        (0_u64..9).prop_map(|time| Note::RoundTrip(secs(time))),
        (0..PEERS, 0_u64..5, ports.clone()).prop_map(|(signer, seq, ports)| {
            let addresses: Vec<Multiaddr> = ports.into_iter().map(at).collect();
            Note::Record(PeerRecord::seal(&key(signer), seq, &addresses).encode().into())
        }),
    ];
    prop_oneof![
        4 => (peer.clone(), ports.clone(), origin.clone()).prop_map(|(p, a, o)| Step::Add(p, a, o)),
        1 => (peer.clone(), ports, origin).prop_map(|(p, a, o)| Step::Remove(p, a, o)),
        2 => (peer.clone(), 0_u16..12, any::<bool>()).prop_map(|(p, a, led)| Step::Dialed(p, a, led)),
        2 => peer.clone().prop_map(Step::Connected),
        2 => peer.clone().prop_map(Step::Disconnected),
        6 => (peer.clone(), note).prop_map(|(p, note)| Step::Note(p, note)),
        2 => (peer, any::<bool>()).prop_map(|(p, broke)| Step::Report(p, broke)),
        2 => (0_u64..4000).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

/// What of a peer is the same after a restart.
fn lasting(peer: &Peer) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        peer.addresses.clone(),
        peer.record.clone(),
        peer.tags.clone(),
        peer.protected.clone(),
        (peer.strikes, peer.ban.clone(), peer.latency, peer.seen),
        peer.metadata.clone(),
    )
}

fn all(peers: &Peers) -> Vec<String> {
    peers.iter().map(|peer| format!("{peer:?}")).collect()
}

fn bounds() -> Bounds {
    Bounds { peers: 8, addresses: 5, bytes: 24 << 10, per_source: 3, bans: 2, ..Bounds::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_snapshots_stay_and_restarts_forget_nothing(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Storage::memory().namespace("peers", bounds().of_store()).unwrap();
        let mut book = PeerBook::new(bounds());
        let (mut now, mut ids) = (secs(1000), 0);
        let mut connections: BTreeMap<u16, Vec<Arc<ConnectionInfo>>> = BTreeMap::new();
        let mut snapshots: Vec<(Arc<Peers>, Vec<String>)> = Vec::new();
        for step in steps {
            let before = book.snapshot();
            let ports = |ports: Vec<u16>| ports.into_iter().map(at).collect::<Vec<_>>();
            match step {
                Step::Add(n, addresses, origin) => book.add_addresses(peer(n), &ports(addresses), origin, now),
                Step::Remove(n, addresses, origin) => book.remove_addresses(peer(n), &ports(addresses), origin, now),
                Step::Dialed(n, address, led) => book.dialed(peer(n), &at(address), led, now),
                Step::Connected(n) => {
                    ids += 1;
                    connections.entry(n).or_default().push(connection(ids, n));
                    book.connected(connection(ids, n), now);
                }
                Step::Disconnected(n) => {
                    if let Some(gone) = connections.get_mut(&n).and_then(Vec::pop) {
                        book.disconnected(&gone, now);
                    }
                }
                Step::Note(n, note) => {
                    let tried = (book.note(&peer(n), note.clone(), now), book.snapshot());
                    if tried.0.is_err() {
                        prop_assert_eq!(tried.1.revision(), before.revision(), "{:?}", note);
                    }
                }
                Step::Report(n, broke) => {
                    let conduct = if broke { Conduct::Broke(Violation::Flood) } else { Conduct::Useful };
                    book.report(&peer(n), conduct, now);
                }
                Step::Wait(time) => {
                    now += secs(time);
                    book.tick(now);
                    prop_assert!(book.wakes_at().is_none_or(|at| at > now));
                }
                Step::Restart => {
                    connections.values_mut().flat_map(std::mem::take).for_each(|gone| book.disconnected(&gone, now));
                    book.tick(now);
                    runtime.block_on(book.save(&*store)).unwrap();
                    let old = book.snapshot();
                    let (again, skipped) = PeerBook::open(&*store, bounds(), now).unwrap();
                    prop_assert!(skipped.is_none());
                    let new = again.snapshot();
                    let ids = |peers: &Peers| peers.iter().map(|peer| peer.id).collect::<Vec<_>>();
                    prop_assert_eq!(ids(&old), ids(&new));
                    for peer in old.iter() {
                        let again = new.get(&peer.id).unwrap();
                        prop_assert_eq!(lasting(peer), lasting(again));
                        prop_assert!((peer.score - again.score).abs() < 0.001);
                    }
                    again.pages.lock().check();
                    prop_assert_eq!(store.usage().entries, new.len() as u64);
                    book = again;
                    snapshots.clear();
                    continue;
                }
            }
            book.pages.lock().check();
            let after = book.snapshot();
            let connected: Vec<u16> = connections.iter().filter(|(_, all)| !all.is_empty()).map(|(n, _)| *n).collect();
            prop_assert!(connected.iter().all(|n| after.is_connected(&peer(*n))));
            prop_assert_eq!(after.iter().filter(|peer| peer.is_connected()).count(), connected.len());
            prop_assert_eq!(after.revision() > before.revision(), !Arc::ptr_eq(&before, &after));
            snapshots.push((after.clone(), all(&after)));
        }
        for (snapshot, was) in snapshots {
            prop_assert_eq!(all(&snapshot), was, "a snapshot stays what it is");
        }
    }
}
