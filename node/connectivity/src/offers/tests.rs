use std::time::Duration;

use super::*;

const A: Source = Source::Discovery("a");
const B: Source = Source::Discovery("b");

/// A moment to begin with. Only differences count.
#[allow(clippy::disallowed_methods, reason = "this crate has no clock; its tests need one instant")]
fn now() -> Instant {
    Instant::now()
}

fn address(n: usize) -> Multiaddr {
    format!("/memory/{}", n + 1).parse().unwrap()
}

fn whom(n: usize) -> Whom {
    Whom::Address(address(n))
}

fn gone(n: usize) -> Gone {
    Gone { whom: whom(n), address: address(n), origin: Origin::Operator }
}

fn offer(offers: &mut Offers, n: usize, source: &Source, until: Option<Instant>) -> bool {
    offers.offer((&whom(n), &address(n)), source, Origin::Operator, until)
}

#[test]
fn a_candidate_is_gone_when_its_last_source_withdraws_it() {
    let mut offers = Offers::default();
    assert!(offer(&mut offers, 1, &A, None) && offer(&mut offers, 1, &B, None) && offer(&mut offers, 2, &A, None));
    let of_a: BTreeSet<_> = offers.of(&A).into_iter().collect();
    assert_eq!(of_a, [1, 2].map(|n| (whom(n), address(n))).into());
    assert_eq!(offers.of(&B), [(whom(1), address(1))]);
    assert_eq!(offers.withdraw(&whom(1), &address(1), &A), None);
    assert_eq!(offers.withdraw(&whom(1), &address(1), &A), None, "it had not offered it");
    assert_eq!(offers.withdraw(&whom(1), &address(1), &B), Some(gone(1)));
    assert_eq!(offers.withdraw(&whom(1), &address(1), &B), None);
    assert_eq!((offers.has(&whom(1)), offers.has(&whom(2)), offers.count), (false, true, 1));
}

#[test]
fn a_peer_has_the_addresses_of_all_who_name_it() {
    let peer = Whom::Peer(stackwire_core::Keypair::ed25519_from_seed([1; 32]).peer_id());
    let mut offers = Offers::default();
    for (n, source, origin) in [(1, A, Origin::Name), (2, B, Origin::Operator), (1, B, Origin::Operator)] {
        assert!(offers.offer((&peer, &address(n)), &source, origin, None));
    }
    let all = |offers: &Offers| -> Vec<_> {
        offers.get(&peer).iter().map(|offered| (offered.address.clone(), offered.origin())).collect()
    };
    assert_eq!(all(&offers), [(address(1), Origin::Operator), (address(2), Origin::Operator)]);
    assert!(offers.is_operators(&peer));
    // One source takes back only what is its own.
    assert_eq!(offers.withdraw(&peer, &address(1), &B), None);
    assert!(offers.withdraw(&peer, &address(2), &B).is_some());
    assert_eq!(all(&offers), [(address(1), Origin::Name)]);
    assert!(!offers.is_operators(&peer));
    for n in 0..MAX_ADDRESSES {
        offers.offer((&peer, &address(n)), &A, Origin::Operator, None);
    }
    assert!(!offers.offer((&peer, &address(MAX_ADDRESSES)), &A, Origin::Operator, None), "it has enough addresses");
}

#[test]
fn an_offer_ends_at_its_last_time() {
    let start = now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut offers = Offers::default();
    offer(&mut offers, 1, &A, Some(at(10)));
    offer(&mut offers, 2, &A, Some(at(10)));
    offer(&mut offers, 2, &B, None);
    assert_eq!(offers.next_end(), Some(at(10)));
    offer(&mut offers, 1, &A, Some(at(20)));
    assert_eq!(offers.expire(at(10)), [], "one was renewed, and another source vouches for the other");
    assert_eq!((offers.of(&A), offers.of(&B)), (vec![(whom(1), address(1))], vec![(whom(2), address(2))]));
    assert_eq!(offers.expire(at(20)), [gone(1)]);
    assert_eq!(offers.next_end(), None);
}

#[test]
fn there_are_so_many_and_no_more() {
    let start = now();
    let mut offers = Offers::default();
    for n in 0..MAX_STRANGE {
        assert!(offers.offer((&whom(n), &address(n)), &A, Origin::Name, None));
    }
    let one_more = (&whom(MAX_STRANGE), &address(MAX_STRANGE));
    assert!(!offers.offer(one_more, &A, Origin::Name, None), "the rest is the operator's");
    for n in MAX_STRANGE..MAX_OFFERS {
        assert!(offer(&mut offers, n, &A, None));
    }
    assert!(!offer(&mut offers, MAX_OFFERS, &A, None) && !offer(&mut offers, 1, &B, None));
    for n in 0..5 * MAX_OFFERS {
        let until = start + Duration::from_secs(n as u64);
        assert!(offer(&mut offers, n % 7, &A, Some(until)));
        assert!(offers.ends.len() <= 2 * MAX_OFFERS + 1);
    }
}
