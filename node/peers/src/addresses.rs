//! The addresses of one peer: learnt, tried, kept, forgotten.

use std::{cmp::Reverse, time::Duration};

use stackwire_core::{
    KnownAddress, Multiaddr, Peer,
    address::{self, Origin},
    identity::is_name_of,
};

use crate::{
    bounds::{Bounds, KEPT, MAX_ADDRESS_BYTES, MAX_NAMED, MAX_TOLD, STALE},
    size,
};

/// Puts `addresses` in front, in their order. Whether there were any that can be kept: of this peer, not too long, and where
/// whoever named them may lead us.
pub(crate) fn add(peer: &mut Peer, addresses: &[Multiaddr], origin: Origin, now: Duration, bounds: &Bounds) -> bool {
    let new: Vec<Multiaddr> = of_peer(peer, addresses, origin).take(bounds.addresses).collect();
    for address in new.iter().rev() {
        put_first(peer, address, origin, now, bounds);
    }
    trim(peer, bounds);
    !new.is_empty()
}

/// Takes the addresses of a record that the peer has signed in the place of all that peers have told of it, apart from those
/// that have worked.
pub(crate) fn certify(peer: &mut Peer, signed: &[Multiaddr], origin: Origin, now: Duration, bounds: &Bounds) {
    let signed: Vec<Multiaddr> = of_peer(peer, signed, origin).take(bounds.addresses).collect();
    peer.addresses.iter_mut().for_each(|known| known.signed = false);
    peer.addresses.retain(|known| !known.is_told() || known.succeeded.is_some() || signed.contains(&known.address));
    for address in signed.iter().rev() {
        put_first(peer, address, origin, now, bounds).signed = true;
    }
    trim(peer, bounds);
}

/// Forgets addresses that nobody but `origin` has named. What the peer has signed stays.
pub(crate) fn remove(peer: &mut Peer, addresses: &[Multiaddr], origin: Origin) -> bool {
    let before = peer.addresses.len();
    let id = peer.id;
    let named = |known: &KnownAddress| {
        addresses.iter().any(|address| bare(&id, address).is_some_and(|address| address == known.address))
    };
    peer.addresses.retain(|known| known.origin != origin || known.signed || !named(known));
    peer.addresses.len() < before
}

/// A dial of `address` has led to the peer, or nowhere. Whether the address is known.
pub(crate) fn dialed(peer: &mut Peer, address: &Multiaddr, led: bool, now: Duration, bounds: &Bounds) -> bool {
    let Some(known) = peer.addresses.iter_mut().find(|known| known.address == *address) else { return false };
    if led {
        (known.succeeded, known.expires) = (Some(now), None);
    } else {
        known.failed = Some(now);
        let stale = known.succeeded.is_none_or(|last| now.saturating_sub(last) > STALE);
        if stale && known.origin != Origin::Operator && known.expires.is_none() {
            known.expires = Some(now + bounds.told);
        }
    }
    true
}

/// The last connection with the peer has ended.
pub(crate) fn leave(peer: &mut Peer, now: Duration, bounds: &Bounds) {
    let mut room = KEPT;
    for index in order(peer) {
        let known = &mut peer.addresses[index];
        if !is_lasting(known) {
            // Those beyond have expired already.
            known.expires = Some(if room > 0 { now + bounds.left } else { Duration::ZERO });
            room = room.saturating_sub(1);
        }
    }
    expire(peer, now);
}

/// Forgets what has expired.
pub(crate) fn expire(peer: &mut Peer, now: Duration) {
    peer.addresses.retain(|known| known.expires.is_none_or(|until| now < until));
}

/// Keeps the best within the bounds.
pub(crate) fn trim(peer: &mut Peer, bounds: &Bounds) {
    let bytes: usize = peer.addresses.iter().map(|known| size::of_address(&known.address)).sum();
    if peer.addresses.len() <= bounds.addresses && bytes <= MAX_ADDRESS_BYTES {
        return;
    }
    let (mut stays, mut count, mut bytes) = (vec![false; peer.addresses.len()], 0, 0);
    for index in order(peer) {
        let size = size::of_address(&peer.addresses[index].address);
        if count < bounds.addresses && bytes + size <= MAX_ADDRESS_BYTES {
            (count, bytes, stays[index]) = (count + 1, bytes + size, true);
        }
    }
    let mut stays = stays.into_iter();
    peer.addresses.retain(|_| stays.next().unwrap_or_default());
}

/// Where its addresses lie, the ones that are worth most first.
fn order(peer: &Peer) -> Vec<usize> {
    let worth = |known: &KnownAddress| match (known.is_told(), known.succeeded, known.signed) {
        (false, ..) => 3,
        (true, Some(_), _) => 2,
        (true, None, true) => 1,
        (true, None, false) => 0,
    };
    let mut order: Vec<usize> = (0..peer.addresses.len()).collect();
    order.sort_by_key(|index| Reverse(worth(&peer.addresses[*index])));
    order
}

/// Whether it stays for as long as there is room.
fn is_lasting(known: &KnownAddress) -> bool {
    known.origin == Origin::Operator || known.expires.is_none()
}

fn put_first<'a>(
    peer: &'a mut Peer,
    address: &Multiaddr,
    origin: Origin,
    now: Duration,
    bounds: &Bounds,
) -> &'a mut KnownAddress {
    let before = peer.addresses.iter().position(|known| known.address == *address).map(|at| peer.addresses.remove(at));
    let was_lasting = before.as_ref().is_some_and(is_lasting);
    let mut known = before.unwrap_or_else(|| KnownAddress::new(address.clone(), origin));
    known.origin = known.origin.min(origin);
    known.expires = match was_lasting || known.origin == Origin::Operator {
        true => None,
        false => known.expires.max(Some(now + bounds.told)),
    };
    peer.addresses.insert(0, known);
    &mut peer.addresses[0]
}

/// Those of `addresses` that can be kept, without `/p2p/…`, each once.
fn of_peer<'a>(peer: &Peer, addresses: &'a [Multiaddr], origin: Origin) -> impl Iterator<Item = Multiaddr> + use<'a> {
    let (id, mut seen) = (peer.id, Vec::new());
    let fits = move |address: &Multiaddr| match origin {
        Origin::Peer(_) => address.to_vec().len() <= MAX_TOLD && origin.admits(address),
        _ => address.to_vec().len() <= MAX_NAMED,
    };
    addresses.iter().filter_map(move |address| bare(&id, address)).filter(fits).filter(move |address| {
        let new = !seen.contains(address);
        seen.push(address.clone());
        new
    })
}

/// The address without `/p2p/…`; `None` where nothing is left, or it is somebody else's.
fn bare(peer: &stackwire_core::PeerId, address: &Multiaddr) -> Option<Multiaddr> {
    let (rest, of) = address::split_peer(address);
    (!rest.is_empty() && of.is_none_or(|of| is_name_of(&of, peer))).then_some(rest)
}
