//! The pages of the book: every peer, and all that is derived from them, changed together.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::Duration,
};

use stackwire_core::{Peer, PeerId, PeerRole, Peers, PublicKey, Result, trust::TrustedPeers};

use crate::{
    bounds::{Bounds, MAX_PEER, exceeded},
    conduct::Since,
    draft::{Cause, Change, Draft, Fact, Save, is_worth_a_page, settle, wakes_at},
    order::{Class, Learnt, Order, Place},
    size,
};

/// Every peer that is known, and what follows from it.
#[derive(Default)]
pub(crate) struct Pages {
    /// What readers see. It is changed here first.
    pub(crate) peers: Peers,
    pub(crate) bounds: Bounds,
    pub(crate) trusted: Arc<TrustedPeers>,
    /// What has not been written down, and is to be soon.
    pub(crate) unsaved: BTreeSet<PeerId>,
    /// What is written down when something else is: it changes all the time.
    pub(crate) unsaved_at_leisure: BTreeSet<PeerId>,
    /// Something is to be written down at once.
    pub(crate) urgent: bool,
    /// What has happened to bans, until somebody tells of it.
    pub(crate) facts: Vec<Fact>,
    sides: BTreeMap<PeerId, Side>,
    order: Order,
    wakes: BTreeSet<(Duration, PeerId)>,
    /// The one that ends first comes first.
    bans: BTreeSet<(Duration, PeerId)>,
    bytes: usize,
    /// When a peer was last learnt of.
    learnt: Learnt,
}

/// What the book knows of a peer and does not show.
#[derive(Clone, Copy)]
struct Side {
    place: Place,
    since: Since,
    bytes: usize,
    wakes_at: Option<Duration>,
}

impl Pages {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Changes what is known of a peer, all of it or, on an error, nothing. What has expired is dropped with it, and a peer of
    /// whom nothing is left to know is forgotten. Whether anything has changed.
    pub(crate) fn edit(
        &mut self,
        id: PeerId,
        now: Duration,
        cause: Cause,
        change: impl FnOnce(&mut Draft, &Bounds) -> Result<Change>,
    ) -> Result<bool> {
        let old = self.peers.get(&id).cloned();
        let side = self.sides.get(&id).copied();
        let mut draft = match (&old, side) {
            (Some(peer), Some(side)) => Draft::of((**peer).clone(), side.since, side.place.learnt),
            _ => Draft {
                peer: self.stranger(id),
                since: Since::default(),
                learnt: (now, 0),
                is_new: true,
                learnt_anew: true,
            },
        };
        draft.since.settle(&mut draft.peer, now);
        let Change::Made(save) = change(&mut draft, &self.bounds)? else { return Ok(false) };
        if draft.learnt_anew {
            draft.learnt = self.next_learnt(now);
        }
        settle(&mut draft, now);
        let ban = (old.as_ref().and_then(|old| old.ban.clone()), draft.peer.ban.clone());
        if is_worth_a_page(&draft.peer) {
            self.put(draft, side, cause)?;
        } else if side.is_some() {
            self.take_out(&id);
        } else {
            return Ok(false);
        }
        if let (Some(_), None) = ban {
            self.facts.push(Fact::Unbanned { peer: id });
        }
        match save {
            Save::AtOnce => {
                self.urgent = true;
                self.unsaved.insert(id);
            }
            Save::Soon => drop(self.unsaved.insert(id)),
            Save::AtLeisure => drop(self.unsaved_at_leisure.insert(id)),
            Save::Never => {}
        }
        self.keep_bans_within_bounds();
        Ok(true)
    }

    fn stranger(&self, id: PeerId) -> Peer {
        let mut peer = Peer::new(id);
        peer.role = self.role(&id);
        peer
    }

    /// A moment after all others, whatever the clock says.
    fn next_learnt(&mut self, now: Duration) -> Learnt {
        self.learnt = (self.learnt.0.max(now), self.learnt.1 + 1);
        self.learnt
    }

    /// Puts a peer back in that was written down; what has expired meanwhile is dropped.
    pub(crate) fn restore(&mut self, peer: Peer, since: Since, learnt: Duration, now: Duration) {
        let id = peer.id;
        if self.sides.contains_key(&id) {
            return;
        }
        let learnt = (learnt.min(now), self.next_learnt(Duration::ZERO).1);
        let mut draft = Draft { peer, since, learnt, is_new: true, learnt_anew: false };
        draft.peer.role = self.role(&id);
        settle(&mut draft, now);
        // Fails only where it is larger than a peer may be.
        if !is_worth_a_page(&draft.peer) || self.put(draft, None, Cause::Fact).is_err() {
            self.unsaved.insert(id);
        }
    }

    /// Whether a ban of `id` until then has a place: there is room, or another one ends earlier.
    pub(crate) fn has_room_for_ban(&self, id: &PeerId, until: Option<Duration>) -> bool {
        let until = until.unwrap_or(Duration::MAX);
        let is_banned = self.peers.get(id).is_some_and(|peer| peer.ban.is_some());
        let earlier = self.bans.first().is_some_and(|(first, _)| *first < until);
        is_banned || self.bans.len() < self.bounds.bans || earlier
    }

    /// What `id` is in its network.
    fn role(&self, id: &PeerId) -> PeerRole {
        let by_key = || PublicKey::of_peer(id).and_then(|key| self.trusted.of_identity(&key));
        match self.trusted.is_empty() {
            true => PeerRole::Unknown,
            false => self.trusted.of_peer(id).or_else(by_key).map_or(PeerRole::Unknown, |peer| peer.role),
        }
    }

    /// Whom the node trusts has changed.
    pub(crate) fn set_trusted(&mut self, trusted: Arc<TrustedPeers>, now: Duration) {
        self.trusted = trusted;
        let all: Vec<(PeerId, PeerRole)> = self.peers.iter().map(|peer| (peer.id, peer.role)).collect();
        for (id, before) in all {
            let role = self.role(&id);
            if role != before {
                // Fails for nobody: a fact asks for no room.
                let _ = self.edit(id, now, Cause::Fact, |draft, _| {
                    draft.peer.role = role;
                    Ok(Change::Made(Save::Never))
                });
            }
        }
    }

    /// Puts a peer in its place, and forgets others where there is no room.
    fn put(&mut self, draft: Draft, before: Option<Side>, cause: Cause) -> Result<()> {
        let Draft { peer, since, learnt, .. } = draft;
        let (id, bytes) = (peer.id, size::of(&peer));
        if bytes > MAX_PEER {
            return Err(exceeded("bytes of a peer", MAX_PEER));
        }
        let place = Place::of(&peer, learnt);
        let wakes_at = wakes_at(&peer, &since);
        let side = Side { place, since, bytes, wakes_at };
        if let Some(before) = before {
            self.order.remove(id, before.place);
        }
        let most = match cause {
            Cause::Strangers | Cause::Fact => Class::Told,
            Cause::Ours => place.class.min(Class::Held),
        };
        let room = self.room(&id, &side, before, most);
        match (room, before, cause) {
            (Ok(leaving), ..) => leaving.iter().for_each(|leaving| self.forget(leaving)),
            (Err(_), _, Cause::Fact) => {}
            (Err(error), Some(before), _) => {
                self.order.insert(id, before.place);
                return Err(error);
            }
            (Err(error), None, _) => return Err(error),
        }
        if let Some(before) = before {
            self.unlist(&id, before);
        }
        self.bytes += bytes;
        self.order.insert(id, place);
        self.wakes.extend(wakes_at.map(|at| (at, id)));
        self.bans.extend(peer.ban.as_ref().map(|ban| (ban.until.unwrap_or(Duration::MAX), id)));
        self.sides.insert(id, side);
        self.peers = self.peers.with(Arc::new(peer));
        Ok(())
    }

    /// Who must leave for `side`, which takes the place of `before`. Fails where those up to the class `most` are too few.
    fn room(&self, id: &PeerId, side: &Side, before: Option<Side>, most: Class) -> Result<Vec<PeerId>> {
        let Bounds { peers, bytes, per_source, .. } = self.bounds;
        let mut leaving = Vec::new();
        let mut count = self.sides.len() + usize::from(before.is_none());
        let had = before.map_or(0, |before| before.bytes);
        let mut held = self.bytes - had + side.bytes;
        if let Some(source) = side.place.source()
            && self.order.of_source(source) >= per_source
        {
            match self.order.first_of_source(source) {
                Some(first) => leaving.push(first),
                None => return Err(exceeded("peers of which peers have told", per_source)),
            }
        }
        for first in &leaving {
            (count, held) = (count - 1, held - self.sides.get(first).map_or(0, |side| side.bytes));
        }
        // What does not grow needs no room.
        let many = |count: usize| before.is_none() && count > peers;
        let much = |held: usize| side.bytes > had && held > bytes;
        for next in self.order.up_to(most).filter(|next| next != id) {
            if !many(count) && !much(held) {
                break;
            }
            if !leaving.contains(&next) {
                (count, held) = (count - 1, held - self.sides.get(&next).map_or(0, |side| side.bytes));
                leaving.push(next);
            }
        }
        match () {
            () if many(count) => Err(exceeded("peers in the book", peers)),
            () if much(held) => Err(exceeded("bytes of the peer book", bytes)),
            () => Ok(leaving),
        }
    }

    /// Takes a peer out of all lists but the order.
    fn unlist(&mut self, id: &PeerId, side: Side) {
        self.bytes -= side.bytes;
        if let Some(at) = side.wakes_at {
            self.wakes.remove(&(at, *id));
        }
        if let Some(ban) = self.peers.get(id).and_then(|peer| peer.ban.as_ref()) {
            self.bans.remove(&(ban.until.unwrap_or(Duration::MAX), *id));
        }
    }

    fn take_out(&mut self, id: &PeerId) {
        if let Some(side) = self.sides.remove(id) {
            self.order.remove(*id, side.place);
            self.unlist(id, side);
            self.peers = self.peers.without(id);
            self.unsaved_at_leisure.remove(id);
            self.unsaved.insert(*id);
        }
    }

    /// Forgets a peer for others.
    pub(crate) fn forget(&mut self, id: &PeerId) {
        if self.peers.get(id).is_some_and(|peer| peer.ban.is_some()) {
            self.facts.push(Fact::Unbanned { peer: *id });
        }
        self.take_out(id);
    }

    /// Lifts the bans that end first where there are too many.
    fn keep_bans_within_bounds(&mut self) {
        while self.bans.len() > self.bounds.bans {
            let first = self.bans.first().map(|(_, id)| *id);
            let Some((id, side)) = first.and_then(|id| Some((id, *self.sides.get(&id)?))) else { return };
            let Some(mut peer) = self.peers.get(&id).map(|peer| (**peer).clone()) else { return };
            peer.ban = None;
            self.facts.push(Fact::Unbanned { peer: id });
            if is_worth_a_page(&peer) {
                // Fails for nobody: it only shrinks.
                let _ = self.put(Draft::of(peer, side.since, side.place.learnt), Some(side), Cause::Fact);
                self.unsaved.insert(id);
            } else {
                self.take_out(&id);
            }
        }
    }

    /// Forgets those that are beyond the bounds, whoever they are but connected.
    pub(crate) fn keep_within_bounds(&mut self) {
        while let Some(source) = self.order.beyond_share(self.bounds.per_source) {
            let Some(first) = self.order.first_of_source(source) else { break };
            self.forget(&first);
        }
        while self.sides.len() > self.bounds.peers || self.bytes > self.bounds.bytes {
            let Some(first) = self.order.up_to(Class::Held).next() else { break };
            self.forget(&first);
        }
        self.keep_bans_within_bounds();
    }

    /// When something changes by itself next.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Those for whom something changes by itself at `now`, at most `count`.
    pub(crate) fn due(&self, now: Duration, count: usize) -> Vec<PeerId> {
        self.wakes.iter().take_while(|(at, _)| *at <= now).take(count).map(|(_, id)| *id).collect()
    }

    /// What is known of a peer, to be written down.
    pub(crate) fn page(&self, id: &PeerId) -> Option<(Arc<Peer>, Since, Duration)> {
        let side = self.sides.get(id)?;
        Some((self.peers.get(id)?.clone(), side.since, side.place.learnt.0))
    }

    /// All ids, once each, of what has changed since it was written down.
    pub(crate) fn take_unsaved(&mut self) -> BTreeSet<PeerId> {
        self.urgent = false;
        let mut all = mem::take(&mut self.unsaved);
        all.append(&mut self.unsaved_at_leisure);
        all
    }

    /// Panics where what is derived is not what follows from the peers.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        assert_eq!(self.peers.len(), self.sides.len());
        let mut bytes = 0;
        let (mut bans, mut connected, mut base) = (0, 0, 0);
        for peer in self.peers.iter() {
            let side = &self.sides[&peer.id];
            assert_eq!(side.place, Place::of(peer, side.place.learnt));
            assert_eq!((side.bytes, side.wakes_at), (size::of(peer), wakes_at(peer, &side.since)));
            assert!(side.bytes <= MAX_PEER && peer.addresses.len() <= self.bounds.addresses);
            assert!(side.wakes_at.is_none_or(|at| self.wakes.contains(&(at, peer.id))));
            bytes += side.bytes;
            bans += usize::from(peer.ban.is_some());
            connected += usize::from(peer.is_connected());
            base += if peer.is_connected() { size::PEER } else { 0 };
        }
        assert_eq!((bytes, bans), (self.bytes, self.bans.len()));
        assert_eq!(self.order.len(), self.peers.len() - connected);
        assert!(self.wakes.len() <= self.peers.len());
        assert!(self.peers.len() <= self.bounds.peers + connected && bans <= self.bounds.bans);
        assert!(bytes <= self.bounds.bytes + base, "{bytes} of {}", self.bounds.bytes);
        assert!(self.order.beyond_share(self.bounds.per_source).is_none());
    }
}
