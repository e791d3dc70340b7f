//! What is noted about one peer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use stackwire_core::{Ban, Latency, Note, Peer, Result, Tag};

use crate::{
    bounds::{MAX_KEYS, MAX_METADATA, MAX_METADATA_VALUE, MAX_NAME, MAX_REASONS, MAX_TAGS, MAX_WHY, exceeded},
    size,
};

/// Writes `note` down. Whether that has changed anything. Fails with `LimitExceeded` where a bound is met; then nothing has.
pub(crate) fn apply(peer: &mut Peer, note: Note, now: Duration) -> Result<bool> {
    match note {
        Note::Tag(name, tag) => put_tag(peer, name, tag),
        Note::Untag(name) => Ok(peer.tags.remove(&name).is_some()),
        Note::Protect(reason) => protect(peer, reason),
        Note::Unprotect(reason) => Ok(peer.protected.remove(&reason)),
        Note::Ban { term, why } => {
            peer.ban = Some(ban(term, &why, now));
            Ok(true)
        }
        Note::Unban => {
            let was = peer.ban.take().is_some() || peer.strikes > 0;
            peer.strikes = 0;
            Ok(was)
        }
        Note::Metadata(key, Some(value)) => put_metadata(peer, key, &value),
        Note::Metadata(key, None) => Ok(peer.metadata.remove(&key).is_some()),
        Note::RoundTrip(time) => {
            let time = time.min(MAX_ROUND_TRIP);
            peer.latency = Some(peer.latency.map_or_else(|| Latency::first(time), |known| known.with(time)));
            Ok(true)
        }
        // Records are verified before the book is locked.
        Note::Record(_) => Ok(false),
        // Notes that are not known here.
        _ => Ok(false),
    }
}

/// Whatever takes longer took so long.
pub(crate) const MAX_ROUND_TRIP: Duration = Duration::from_secs(600);

/// A ban from `now` on. A term beyond all time has no end.
pub(crate) fn ban(term: Option<Duration>, why: &str, now: Duration) -> Ban {
    Ban { until: term.and_then(|term| now.checked_add(term)), why: why[..why.floor_char_boundary(MAX_WHY)].into() }
}

/// Whether a tag of this name still fits.
pub(crate) fn put_tag(peer: &mut Peer, name: Arc<str>, tag: Tag) -> Result<bool> {
    check("bytes of a tag's name", name.len(), MAX_NAME)?;
    if !peer.tags.contains_key(&name) {
        check("tags of a peer", peer.tags.len() + 1, MAX_TAGS)?;
    }
    Ok(peer.tags.insert(name, tag) != Some(tag))
}

pub(crate) fn protect(peer: &mut Peer, reason: Arc<str>) -> Result<bool> {
    check("bytes of a reason to protect a peer", reason.len(), MAX_NAME)?;
    if !peer.protected.contains(&reason) {
        check("reasons to protect a peer", peer.protected.len() + 1, MAX_REASONS)?;
    }
    Ok(peer.protected.insert(reason))
}

pub(crate) fn put_metadata(peer: &mut Peer, key: Arc<str>, value: &Bytes) -> Result<bool> {
    check("bytes of a key of metadata", key.len(), MAX_NAME)?;
    check("bytes of a value of metadata", value.len(), MAX_METADATA_VALUE)?;
    let known = peer.metadata.get(&key);
    if known == Some(value) {
        return Ok(false);
    }
    if known.is_none() {
        check("keys of metadata of a peer", peer.metadata.len() + 1, MAX_KEYS)?;
    }
    let before = known.map_or(0, |known| known.len());
    check("bytes of metadata of a peer", size::of_metadata(peer) - before + value.len(), MAX_METADATA + KEYS)?;
    // A slice would keep all of the memory that it was cut from.
    peer.metadata.insert(key, Bytes::copy_from_slice(value));
    Ok(true)
}

/// What the keys take beside the values.
const KEYS: usize = MAX_KEYS * (MAX_NAME + 96);

fn check(limit: &'static str, is: usize, max: usize) -> Result<()> {
    if is <= max { Ok(()) } else { Err(exceeded(limit, max)) }
}
