//! A peer as it is written down, and what is believed of that when it is read.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use stackwire_core::{
    Ban, Fading, KnownAddress, Latency, Peer, PeerId, Tag,
    address::{Origin, Reach},
    store::MAX_VALUE,
};

use crate::{
    addresses,
    bounds::{Bounds, MAX_NAMED, MAX_WHY},
    conduct::{MAX_SCORE, STRIKES, Since},
    draft::is_worth_saving,
    notes::{self, MAX_ROUND_TRIP},
    proto, record, size,
};

/// What the first byte of a value says.
const VERSION: u8 = 1;

/// A peer that was written down, with when it was last learnt of.
pub(crate) type Stored = (Peer, Since, Duration);

/// Why an entry is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// A newer version may know it.
    Version,
    /// Nobody does.
    Damaged,
}

/// The value of a peer; `None` where nothing of it survives its connections.
pub(crate) fn encode(peer: &Peer, since: &Since, learnt: Duration) -> Option<Bytes> {
    if !is_worth_saving(peer) {
        return None;
    }
    let tags = peer.tags.iter().map(|(name, tag)| proto::Tag {
        name: name.to_string(),
        weight: tag.weight,
        since: tag.fades.map(|fading| millis(fading.since)),
        until: tag.fades.map(|fading| millis(fading.until)),
    });
    let metadata =
        peer.metadata.iter().map(|(key, value)| proto::Entry { key: key.to_string(), value: value.to_vec() });
    let message = proto::Peer {
        addresses: peer.addresses.iter().map(address).collect(),
        record: peer.record.as_ref().map(|record| record.envelope.to_vec()),
        tags: tags.collect(),
        protected: peer.protected.iter().map(|reason| reason.to_string()).collect(),
        score: peer.score,
        scored: millis(since.scored),
        strikes: peer.strikes,
        struck: millis(since.struck),
        ban: peer.ban.as_ref().map(|ban| proto::Ban { until: ban.until.map(millis), why: ban.why.to_string() }),
        latency: peer
            .latency
            .map(|latency| proto::Latency { smoothed: micros(latency.smoothed), deviation: micros(latency.deviation) }),
        seen: peer.seen.map(millis),
        metadata: metadata.collect(),
        learnt: millis(learnt),
    };
    let mut value = vec![VERSION];
    value.reserve(message.encoded_len());
    message.encode(&mut value).ok()?;
    (value.len() <= MAX_VALUE).then(|| value.into())
}

/// What stands in the value of `id`. It is not trusted: bounds hold, times are not in the future, a record is verified, and what
/// makes no sense is left out.
pub(crate) fn decode(id: PeerId, value: &[u8], now: Duration, bounds: &Bounds) -> Result<Stored, Unread> {
    let message = match value.split_first() {
        Some((&VERSION, message)) if value.len() <= MAX_VALUE => message,
        Some((1.., _)) if value[0] != VERSION => return Err(Unread::Version),
        _ => return Err(Unread::Damaged),
    };
    let message = proto::Peer::decode(message).map_err(|_| Unread::Damaged)?;
    let past = |millis: u64| Duration::from_millis(millis).min(now);
    let mut peer = Peer::new(id);
    for stored in message.addresses.into_iter().take(bounds.addresses) {
        let known = known(stored, now, bounds);
        peer.addresses.extend(known.filter(|known| peer.addresses.iter().all(|other| other.address != known.address)));
    }
    addresses::trim(&mut peer, bounds);
    take_record(&mut peer, message.record);
    for tag in message.tags {
        let fades = tag.since.zip(tag.until);
        let fades = fades.map(|(since, until)| Fading { since: past(since), until: Duration::from_millis(until) });
        // What is beyond the bounds is left out, here and below.
        let _ = notes::put_tag(&mut peer, tag.name.into(), Tag { weight: tag.weight, fades });
    }
    for reason in message.protected {
        let _ = notes::protect(&mut peer, reason.into());
    }
    for proto::Entry { key, value } in message.metadata {
        let _ = notes::put_metadata(&mut peer, key.into(), &value.into());
    }
    peer.score = if message.score.is_finite() { message.score.clamp(-MAX_SCORE, MAX_SCORE) } else { 0.0 };
    peer.strikes = message.strikes.min(STRIKES);
    peer.ban = message.ban.map(|ban| Ban {
        until: ban.until.map(Duration::from_millis),
        why: ban.why[..ban.why.floor_char_boundary(MAX_WHY)].into(),
    });
    let round_trip = |micros| Duration::from_micros(micros).min(MAX_ROUND_TRIP);
    peer.latency = message
        .latency
        .map(|latency| Latency { smoothed: round_trip(latency.smoothed), deviation: round_trip(latency.deviation) });
    peer.seen = message.seen.map(past);
    let since = Since { scored: past(message.scored), struck: past(message.struck) };
    Ok((peer, since, past(message.learnt)))
}

/// Without a record that holds nothing is signed.
fn take_record(peer: &mut Peer, envelope: Option<Vec<u8>>) {
    let verified = envelope.and_then(|envelope| record::verify(&peer.id, &envelope.into()).ok());
    match verified {
        Some(verified) => peer.record = Some(verified.record),
        None => peer.addresses.iter_mut().for_each(|known| known.signed = false),
    }
}

fn address(known: &KnownAddress) -> proto::Address {
    proto::Address {
        address: known.address.to_string(),
        origin: origin_number(known.origin),
        expires: known.expires.map(millis),
        succeeded: known.succeeded.map(millis),
        failed: known.failed.map(millis),
        signed: known.signed,
    }
}

fn known(stored: proto::Address, now: Duration, bounds: &Bounds) -> Option<KnownAddress> {
    let address = stored.address.parse().ok()?;
    let origin = ORIGINS.get(usize::try_from(stored.origin).ok()?).copied()?;
    if size::of_address(&address) > MAX_NAMED || matches!(origin, Origin::Peer(_)) && !origin.admits(&address) {
        return None;
    }
    let past = |millis: u64| Duration::from_millis(millis).min(now);
    let mut known = KnownAddress::new(address, origin);
    (known.succeeded, known.failed) = (stored.succeeded.map(past), stored.failed.map(past));
    known.signed = stored.signed;
    let latest = now + bounds.told.max(bounds.left);
    known.expires = match stored.expires {
        _ if origin == Origin::Operator => None,
        None if known.succeeded.is_some() => None,
        expires => Some(expires.map_or(latest, Duration::from_millis).min(latest)),
    };
    Some(known)
}

/// The numbers of origins are their places here.
const ORIGINS: [Origin; 7] = [
    Origin::Operator,
    Origin::Name,
    Origin::Peer(Reach::Process),
    Origin::Peer(Reach::Machine),
    Origin::Peer(Reach::Link),
    Origin::Peer(Reach::Network),
    Origin::Peer(Reach::World),
];

fn origin_number(origin: Origin) -> u32 {
    // Those that are unknown here are the least free.
    ORIGINS.iter().position(|known| *known == origin).unwrap_or(ORIGINS.len() - 1) as u32
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
