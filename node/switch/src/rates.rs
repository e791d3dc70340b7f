//! How often things may happen that others cause, by peer and by host.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use stackwire_config::Rates;
use stackwire_core::{Error, Kind, PeerId, RateLimiter, Result};
use stackwire_wrap::Rate;

use crate::admission::Host;

/// Peers and hosts that are counted one by one.
const MAX_KEYS: usize = 16 * 1024;
/// So many seconds' worth may come at once.
const BURST: u64 = 4;

/// What has happened of late.
pub(crate) struct Paces(Mutex<All>);

struct All {
    rates: Rates,
    handshakes: Option<RateLimiter<Host>>,
    streams: Option<RateLimiter<PeerId>>,
    messages: Option<RateLimiter<PeerId>>,
    hosts: Shared<Host>,
    peers: Shared<PeerId>,
}

impl All {
    fn new(rates: Rates) -> Self {
        Self {
            rates,
            handshakes: limiter(rates.handshakes_per_host),
            streams: limiter(rates.streams_per_peer),
            messages: limiter(rates.messages_per_peer),
            hosts: Shared::default(),
            peers: Shared::default(),
        }
    }
}

impl Paces {
    pub(crate) fn new(rates: Rates) -> Self {
        Self(Mutex::new(All::new(rates)))
    }

    /// Takes new rates. Connections that there are keep the pace of their bytes.
    pub(crate) fn configure(&self, rates: Rates) {
        let mut all = self.0.lock();
        if all.rates != rates {
            *all = All::new(rates);
        }
    }

    /// A host begins a handshake with us.
    pub(crate) fn handshake(&self, host: Host, now: Instant) -> Result<()> {
        if host.is_near() {
            return Ok(());
        }
        let mut all = self.0.lock();
        let max = all.rates.handshakes_per_host;
        once_more(all.handshakes.as_mut(), host, now, "handshakes_per_host", max)
    }

    /// A peer opens a stream.
    pub(crate) fn stream(&self, peer: PeerId, now: Instant) -> Result<()> {
        let mut all = self.0.lock();
        let max = all.rates.streams_per_peer;
        once_more(all.streams.as_mut(), peer, now, "streams_per_peer", max)
    }

    /// A message of a peer has arrived.
    pub(crate) fn message(&self, peer: PeerId, now: Instant) -> Result<()> {
        let mut all = self.0.lock();
        let max = all.rates.messages_per_peer;
        once_more(all.messages.as_mut(), peer, now, "messages_per_peer", max)
    }

    /// Whether the bytes of any connection have a pace.
    pub(crate) fn of_bytes(&self) -> bool {
        let rates = self.0.lock().rates;
        rates.bytes_per_host > 0 || rates.bytes_per_peer > 0
    }

    /// The pace of a host's bytes, if it has one.
    pub(crate) fn bytes_of_host(&self, host: Host) -> Option<Arc<Rate>> {
        let mut all = self.0.lock();
        let per_second = all.rates.bytes_per_host;
        (per_second > 0).then(|| all.hosts.get(host, per_second))
    }

    /// The pace of a peer's bytes, if it has one.
    pub(crate) fn bytes_of_peer(&self, peer: PeerId) -> Option<Arc<Rate>> {
        let mut all = self.0.lock();
        let per_second = all.rates.bytes_per_peer;
        (per_second > 0).then(|| all.peers.get(peer, per_second))
    }
}

fn limiter<K: Eq + std::hash::Hash>(per_second: u64) -> Option<RateLimiter<K>> {
    let burst = u32::try_from(per_second.saturating_mul(BURST)).unwrap_or(u32::MAX);
    let period = |per_second: u64| Duration::from_secs_f64(1.0 / per_second as f64);
    (per_second > 0).then(|| RateLimiter::new(burst, period(per_second), MAX_KEYS))
}

fn once_more<K: Eq + std::hash::Hash>(
    limiter: Option<&mut RateLimiter<K>>,
    key: K,
    now: Instant,
    limit: &'static str,
    max: u64,
) -> Result<()> {
    match limiter.is_none_or(|limiter| limiter.allows(key, now)) {
        true => Ok(()),
        false => Err(Error::new(Kind::LimitExceeded { limit, max }, "counting what others do in a second")),
    }
}

/// Rates that live as long as the connections that share them.
struct Shared<K>(BTreeMap<K, Weak<Rate>>);

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Shared<K> {
    fn get(&mut self, key: K, per_second: u64) -> Arc<Rate> {
        if self.0.len() >= MAX_KEYS {
            self.0.retain(|_, rate| rate.strong_count() > 0);
        }
        let known = self.0.entry(key).or_default();
        known.upgrade().unwrap_or_else(|| {
            let rate = Rate::new(per_second);
            *known = Arc::downgrade(&rate);
            rate
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "only differences count")]
    fn a_host_has_its_handshakes_and_near_ones_any_number() {
        let paces = Paces::new(Rates { handshakes_per_host: 5, ..Rates::default() });
        let (far, near) = (Host::V4([198, 51, 100, 1].into()), Host::V4([127, 0, 0, 1].into()));
        let now = Instant::now();
        let taken = |host, now| (0..100).filter(|_| paces.handshake(host, now).is_ok()).count();
        assert_eq!((taken(far, now), taken(near, now), taken(Host::Machine, now)), (20, 100, 100));
        assert_eq!(taken(far, now + Duration::from_secs(1)), 5);
        let error = paces.handshake(far, now).unwrap_err();
        assert!(error.to_string().contains("handshakes_per_host = 5"), "{error}");
        paces.configure(Rates { handshakes_per_host: 0, ..Rates::default() });
        assert_eq!(taken(far, now), 100, "0 is no limit");
    }

    #[test]
    fn connections_of_a_host_share_a_rate_as_long_as_there_are_any() {
        let paces = Paces::new(Rates { bytes_per_host: 1000, ..Rates::default() });
        let host = Host::V4([198, 51, 100, 1].into());
        let one = paces.bytes_of_host(host).unwrap();
        assert!(Arc::ptr_eq(&one, &paces.bytes_of_host(host).unwrap()));
        let peer = stackwire_core::Keypair::ed25519_from_seed([1; 32]).peer_id();
        assert!(paces.bytes_of_peer(peer).is_none() && paces.of_bytes());
    }
}
