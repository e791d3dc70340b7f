//! A change of one peer: what it is about, why, and what follows for the peer itself.

use std::time::Duration;

use stackwire_core::{Ban, Peer, PeerId};

use crate::{addresses, conduct::Since, order::Learnt};

/// A peer that is being changed.
pub(crate) struct Draft {
    pub(crate) peer: Peer,
    pub(crate) since: Since,
    pub(crate) learnt: Learnt,
    /// Whether the book did not know it.
    pub(crate) is_new: bool,
    /// Set it where somebody has just learnt of the peer.
    pub(crate) learnt_anew: bool,
}

/// Who changes something, which says who may be forgotten for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// What peers do and say: only those leave that only peers told of. Fails where there is no room.
    Strangers,
    /// The operator or the application. Nobody leaves who is worth more than the peer that it is about.
    Ours,
    /// It has happened, whether there is room or not.
    Fact,
}

/// When a change is to be written down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Save {
    AtOnce,
    Soon,
    AtLeisure,
    /// It follows from what was written.
    Never,
}

/// What becomes of a draft.
pub(crate) enum Change {
    None,
    Made(Save),
}

/// Something about bans that others are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A peer is refused from now on.
    Banned {
        /// Who.
        peer: PeerId,
        /// Until when, and why.
        ban: Ban,
        /// Whether it was the book's decision, because the peer had broken protocols too often.
        struck: bool,
    },
    /// A peer is refused no more.
    Unbanned {
        /// Who.
        peer: PeerId,
    },
}

impl Draft {
    /// A peer that the book knows.
    pub(crate) fn of(peer: Peer, since: Since, learnt: Learnt) -> Self {
        Self { peer, since, learnt, is_new: false, learnt_anew: false }
    }
}

/// Drops what has expired.
pub(crate) fn settle(draft: &mut Draft, now: Duration) {
    draft.since.settle(&mut draft.peer, now);
    let peer = &mut draft.peer;
    peer.ban.take_if(|ban| !ban.holds(now));
    peer.tags.retain(|_, tag| tag.fades.is_none_or(|fading| now < fading.until));
    if !peer.is_connected() {
        addresses::expire(peer, now);
        if !peer.addresses.iter().any(|known| known.signed) {
            peer.record = None;
        }
    }
}

/// When something of a peer changes by itself next.
pub(crate) fn wakes_at(peer: &Peer, since: &Since) -> Option<Duration> {
    let ban = peer.ban.as_ref().and_then(|ban| ban.until);
    let tags = peer.tags.values().filter_map(|tag| Some(tag.fades?.until));
    let lasting = peer.is_connected();
    let addresses = peer.addresses.iter().filter(|_| !lasting).filter_map(|known| known.expires);
    addresses.chain(tags).chain(ban).chain(since.wakes_at(peer)).min()
}

/// Whether anything is known of a peer that is worth to be kept.
pub(crate) fn is_worth_a_page(peer: &Peer) -> bool {
    peer.is_connected() || is_worth_saving(peer)
}

/// Whether anything is known of it that survives its connections.
pub(crate) fn is_worth_saving(peer: &Peer) -> bool {
    let held = peer.ban.is_some() || !peer.tags.is_empty() || !peer.protected.is_empty() || !peer.metadata.is_empty();
    held || !peer.addresses.is_empty() || peer.strikes > 0 || peer.score != 0.0
}
