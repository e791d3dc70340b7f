//! Does what [`Connectivity`] decides: dials, gives dials up, disconnects; and tells it what comes of that.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde::{Serialize, Serializer};
use stackwire_connectivity::{Action, Connectivity, Facts, Outcome, Said, Wanted, Whom};
use stackwire_core::{DialOptions, Event, Host, Multiaddr, PeerId, PluginEvent, Reason, Retry, address::Origin};
use stackwire_switch::Switch;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::connector::BACKLOG;

/// Who tells of [`ConnectivityChange`]s, as `source` of their events.
pub const CONNECTIVITY: &str = "connectivity";
/// Changes of the peers that come within this time are looked at together.
const PAUSE: Duration = Duration::from_millis(100);

/// What the node does about whom it is connected with, beside dialing. Told as [`Event::Plugin`] of [`CONNECTIVITY`].
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[non_exhaustive]
pub enum ConnectivityChange {
    /// It disconnects a peer: there are too many, or it is none of those that are wanted.
    Disconnecting {
        /// Whom.
        #[serde(serialize_with = "text")]
        peer: PeerId,
        /// Why, as the peer is told.
        reason: Reason,
        /// Why, in words.
        detail: String,
    },
    /// It does not dial a peer any more, until somebody names it anew.
    Abandoned {
        /// Whom: a peer, or an address without one.
        #[serde(serialize_with = "text")]
        whom: Whom,
        /// Attempts that have failed in a row.
        failures: u32,
    },
}

impl PluginEvent for ConnectivityChange {}

fn text<T: std::fmt::Display, S: Serializer>(shown: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(shown)
}

/// Does what is decided.
pub(crate) struct Follower {
    switch: Switch,
    host: Host,
    connectivity: Connectivity,
    attempts: FuturesUnordered<BoxFuture<'static, (u64, Outcome)>>,
    /// Gives a running attempt up.
    stops: BTreeMap<u64, CancellationToken>,
}

impl Follower {
    pub(crate) fn new(switch: Switch) -> Self {
        let env = switch.env().clone();
        let connectivity = Connectivity::new(switch.peer_id(), move || u64::from_be_bytes(env.random()));
        let host = switch.host();
        Self { switch, host, connectivity, attempts: FuturesUnordered::new(), stops: BTreeMap::new() }
    }

    /// Runs until the node stops.
    pub(crate) async fn follow(mut self, mut said: mpsc::Receiver<Said>, mut wanted: watch::Receiver<Wanted>) {
        let env = self.switch.env().clone();
        // Vital events are not lost, whatever else there is.
        let ended = |event| async move {
            match event {
                Event::Disconnected { peer, end, .. } => Some((peer, end.by, end.reason)),
                _ => None,
            }
        };
        let mut ends = self.host.connection_events().filter_map(ended).boxed();
        loop {
            let revision = self.decide(&wanted.borrow_and_update());
            let wakes_at = self.connectivity.wakes_at();
            let sleep = async {
                match wakes_at {
                    Some(at) => env.sleep(at.saturating_duration_since(env.now())).await,
                    None => std::future::pending().await,
                }
            };
            let host = self.host.clone();
            let changed = async {
                env.sleep(PAUSE).await;
                host.peers_after(revision).await
            };
            tokio::select! {
                biased;
                Some((attempt, outcome)) = self.attempts.next() => self.ended(attempt, outcome),
                word = said.recv() => match word {
                    Some(word) => self.hear(word, &mut said),
                    None => return,
                },
                end = ends.next() => match end {
                    Some((peer, by, reason)) => self.connectivity.lost(peer, by, reason, env.now()),
                    None => return,
                },
                changed = wanted.changed() => if changed.is_err() { return },
                _ = changed => {}
                () = sleep => {}
            }
        }
    }

    /// Decides, and does so. Gives the revision of the peers that it has seen.
    fn decide(&mut self, wanted: &Wanted) -> u64 {
        let (peers, trust, switch) = (self.host.peers(), self.host.trust().current(), &self.switch);
        let streams = |peer: &PeerId| {
            let connections = peers.get(peer).into_iter().flat_map(|peer| &peer.connections);
            let open = connections.filter_map(|info| switch.connection(info.id)).map(|it| it.stats().streams);
            open.sum()
        };
        let facts = Facts {
            now: switch.env().now(),
            unix: switch.env().unix_time(),
            peers: &peers,
            trusted: &trust,
            streams: &streams,
        };
        let actions = self.connectivity.decide(&facts, wanted);
        actions.into_iter().for_each(|action| self.act(action));
        peers.revision()
    }

    fn now(&self) -> Instant {
        self.switch.env().now()
    }

    fn ended(&mut self, attempt: u64, outcome: Outcome) {
        let now = self.now();
        let mut next = Some((attempt, outcome));
        while let Some((attempt, outcome)) = next {
            self.stops.remove(&attempt);
            self.connectivity.ended(attempt, outcome, now);
            next = self.attempts.next().now_or_never().flatten();
        }
    }

    /// Hears a word and those that wait behind it: they are looked at together.
    fn hear(&mut self, first: Said, more: &mut mpsc::Receiver<Said>) {
        let now = self.now();
        let behind = std::iter::from_fn(|| more.try_recv().ok()).take(BACKLOG);
        for said in std::iter::once(first).chain(behind) {
            let offered = match &said {
                Said::Offer(_, candidate) => std::slice::from_ref(candidate),
                Said::Replace(_, candidates) => candidates,
                Said::Withdraw(..) | Said::Discoveries(_) => &[],
            };
            for candidate in offered {
                self.switch.emit(|| Event::Discovered { candidate: candidate.clone() });
            }
            self.connectivity.hear(said, now);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Learn { peer, address, origin } => self.switch.add_addresses(peer, &[address], origin),
            Action::Forget { peer, address, origin } => self.switch.remove_addresses(peer, &[address], origin),
            Action::Dial { attempt, whom, addresses, origin } => {
                let stop = CancellationToken::new();
                self.stops.insert(attempt, stop.clone());
                let dial = dial(self.switch.clone(), whom, addresses, origin);
                self.attempts.push(Box::pin(async move {
                    (attempt, stop.run_until_cancelled(dial).await.unwrap_or(Outcome::GivenUp))
                }));
            }
            Action::GiveUp { attempt } => {
                if let Some(stop) = self.stops.get(&attempt) {
                    stop.cancel();
                }
            }
            Action::Disconnect { peer, reason, detail } => {
                self.host.disconnect(&peer, reason, &detail);
                self.tell(ConnectivityChange::Disconnecting { peer, reason, detail });
            }
            Action::Abandoned { whom, failures } => self.tell(ConnectivityChange::Abandoned { whom, failures }),
        }
    }

    fn tell(&self, change: ConnectivityChange) {
        self.switch.emit(|| Event::Plugin { source: CONNECTIVITY, fact: std::sync::Arc::new(change) });
    }
}

async fn dial(switch: Switch, whom: Whom, addresses: Vec<Multiaddr>, origin: Origin) -> Outcome {
    let options = DialOptions::new().at(addresses, origin).in_background();
    match switch.connect(whom.peer(), options).await {
        Ok(connection) => Outcome::Connected(connection.info().peer),
        Err(error) if error.retry() == Retry::Never => Outcome::Hopeless,
        Err(_) => Outcome::Failed,
    }
}
