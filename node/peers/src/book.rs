//! The book.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use stackwire_core::{
    Ban, Conduct, ConnectionInfo, Multiaddr, Note, PeerId, PeerRole, Peers, RemoteInfo, Result, address::Origin,
    trust::TrustedPeers,
};
use tokio::sync::{Notify, watch};

use crate::{
    addresses,
    bounds::{Bounds, exceeded},
    conduct,
    draft::{Cause, Change, Draft, Fact, Save},
    notes,
    pages::Pages,
    record,
};

/// Peers for which one [`PeerBook::tick`] does what is due: others wait for the book meanwhile.
const MAX_DUE: usize = 1024;
const STRUCK: &str = "it has broken protocols again and again";

/// Whom a node knows, connected or not. Times are unix times.
///
/// Whatever changes it is quick, and whoever reads takes a snapshot, which costs neither a lock nor a copy. What peers can
/// cause is bounded: see [`Bounds`].
#[derive(Default)]
pub struct PeerBook {
    pub(crate) pages: Mutex<Pages>,
    /// What the pages show, for readers. Stored under the lock of the pages.
    current: ArcSwap<Peers>,
    /// Its revision, for those who wait for a newer one. Sent under the lock of the pages.
    revision: watch::Sender<u64>,
    /// Something changes by itself earlier than it did.
    woken: Notify,
    /// Something is to be written down.
    pub(crate) unsaved: Notify,
    /// … at once.
    pub(crate) urgent: Notify,
    /// One writes at a time.
    pub(crate) saving: tokio::sync::Mutex<()>,
}

impl PeerBook {
    /// A book that knows nobody.
    pub fn new(bounds: Bounds) -> Self {
        Self { pages: Mutex::new(Pages::new(bounds)), ..Self::default() }
    }

    /// Takes other bounds. Who is beyond them is forgotten, in the order in which others would make them leave.
    pub fn configure(&self, bounds: Bounds, now: Duration) {
        self.change(|pages| {
            let fewer = bounds.addresses < pages.bounds.addresses;
            pages.bounds = bounds;
            let all: Vec<PeerId> = pages.peers.iter().filter(|_| fewer).map(|peer| peer.id).collect();
            for id in all {
                // It only shrinks, so it does not fail.
                let _ = pages.edit(id, now, Cause::Fact, |draft, bounds| {
                    let before = draft.peer.addresses.len();
                    addresses::trim(&mut draft.peer, bounds);
                    Ok(made(draft.peer.addresses.len() < before, Save::Soon))
                });
            }
            pages.keep_within_bounds();
        });
    }

    /// A connection has come about. Its peer is in the book from now on, whether there is room or not.
    pub fn connected(&self, connection: Arc<ConnectionInfo>, now: Duration) {
        let peer = connection.peer;
        self.edit(peer, now, Cause::Fact, |draft, _| {
            draft.peer.connections.push(connection);
            seen(draft, now);
            Ok(Change::Made(Save::Soon))
        });
    }

    /// A connection has ended. With the last one goes what the peer has told about itself; of its addresses some stay for a
    /// while.
    pub fn disconnected(&self, connection: &ConnectionInfo, now: Duration) {
        self.change(|pages| {
            let known = |pages: &Pages| pages.peers.get(&connection.peer).is_some_and(|peer| peer.is_connected());
            if !known(pages) {
                return;
            }
            // A fact does not fail.
            let _ = pages.edit(connection.peer, now, Cause::Fact, |draft, bounds| {
                draft.peer.connections.retain(|other| other.id != connection.id);
                seen(draft, now);
                if !draft.peer.is_connected() {
                    draft.peer.remote = None;
                    addresses::leave(&mut draft.peer, now, bounds);
                }
                Ok(Change::Made(Save::Soon))
            });
            pages.keep_within_bounds();
        });
    }

    /// A peer has told about itself. `false` if it is not connected (any more): then nothing is kept.
    pub fn identified(&self, peer: &PeerId, info: Arc<RemoteInfo>, now: Duration) -> bool {
        self.edit(*peer, now, Cause::Fact, |draft, _| {
            if !draft.peer.is_connected() {
                return Ok(Change::None);
            }
            draft.peer.remote = Some(info);
            Ok(Change::Made(Save::Never))
        })
    }

    /// What `peer` told about itself, most recently.
    pub fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.current.load().get(peer)?.remote.clone()
    }

    /// Learns addresses of `peer` that `origin` has named, the best first. A trailing `/p2p/…` is taken off; an address of
    /// somebody else is ignored, as is one with nothing else in it, one that is longer than any needs to be, and one that
    /// leads where `origin` may not lead us. Where there is no room nothing is learnt.
    pub fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin, now: Duration) {
        let cause = if matches!(origin, Origin::Peer(_)) { Cause::Strangers } else { Cause::Ours };
        self.edit(peer, now, cause, |draft, bounds| {
            let any = addresses::add(&mut draft.peer, addresses, origin, now, bounds);
            draft.learnt_anew |= any;
            Ok(made(any, Save::Soon))
        });
    }

    /// Forgets `addresses` of `peer`, as far as nobody but `origin` has named them. What the peer has signed stays.
    pub fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin, now: Duration) {
        self.edit(peer, now, Cause::Fact, |draft, _| {
            Ok(made(addresses::remove(&mut draft.peer, addresses, origin), Save::Soon))
        });
    }

    /// A dial of `address` has led to `peer`, or nowhere. Ignored where that is no address of it that the book knows.
    pub fn dialed(&self, peer: PeerId, address: &Multiaddr, led: bool, now: Duration) {
        self.edit(peer, now, Cause::Fact, |draft, bounds| {
            draft.learnt_anew |= led;
            Ok(made(addresses::dialed(&mut draft.peer, address, led, now, bounds), Save::Soon))
        });
    }

    /// Takes note of how `peer` behaves. Whether it is to be borne any longer: a peer that has broken protocols more than
    /// sixteen times, of which one is forgiven in a minute, is banned, unless it is trusted or protected.
    pub fn report(&self, peer: &PeerId, conduct: Conduct, now: Duration) -> bool {
        self.change(|pages| {
            let ban = notes::ban(Some(pages.bounds.ban), STRUCK, now);
            let has_room = pages.has_room_for_ban(peer, ban.until);
            let (mut is_borne, mut is_banned) = (true, false);
            let noted = pages.edit(*peer, now, Cause::Strangers, |draft, _| {
                is_borne = conduct::report(&mut draft.peer, conduct);
                // Whom somebody trusts or holds on to is for the operator to ban.
                let is_stranger = draft.peer.role == PeerRole::Unknown && draft.peer.protected.is_empty();
                is_banned = !is_borne && is_stranger && has_room && draft.peer.ban.is_none();
                if is_banned {
                    draft.peer.ban = Some(ban.clone());
                }
                Ok(Change::Made(match conduct {
                    _ if is_banned => Save::AtOnce,
                    Conduct::Broke(_) => Save::Soon,
                    _ => Save::AtLeisure,
                }))
            });
            if is_banned && noted.is_ok() {
                pages.facts.push(Fact::Banned { peer: *peer, ban, struck: true });
            }
            is_borne
        })
    }

    /// Notes something about a peer. Fails with `LimitExceeded` where a bound is met, and with `PeerMisbehaved` and
    /// `BadProof` for a record that is not the peer's; then nothing has changed.
    pub fn note(&self, peer: &PeerId, note: Note, now: Duration) -> Result<()> {
        if let Note::Record(envelope) = &note {
            let known = self.current.load().get(peer).and_then(|peer| peer.record.clone());
            if known.is_some_and(|known| known.envelope == *envelope) {
                return Ok(());
            }
            // Before the book is locked: to verify takes a while.
            let verified = record::verify(peer, envelope)?;
            let edit = |pages: &mut Pages| {
                pages.edit(*peer, now, Cause::Strangers, |draft, bounds| {
                    let taken = record::take(&mut draft.peer, &verified, now, bounds);
                    draft.learnt_anew |= taken;
                    Ok(made(taken, Save::Soon))
                })
            };
            return self.change(edit).map(drop);
        }
        let save = match note {
            Note::Ban { .. } | Note::Unban => Save::AtOnce,
            Note::RoundTrip(_) => Save::AtLeisure,
            _ => Save::Soon,
        };
        self.change(|pages| {
            let ban = match &note {
                Note::Ban { term, why } => Some(notes::ban(*term, why, now)),
                _ => None,
            };
            if ban.as_ref().is_some_and(|ban| !pages.has_room_for_ban(peer, ban.until)) {
                return Err(exceeded("peers that are banned", pages.bounds.bans));
            }
            // To measure a peer is no reason to know it.
            let only_known = matches!(note, Note::RoundTrip(_));
            pages.edit(*peer, now, Cause::Ours, |draft, _| match only_known && draft.is_new {
                true => Ok(Change::None),
                false => Ok(made(notes::apply(&mut draft.peer, note, now)?, save)),
            })?;
            pages.facts.extend(ban.map(|ban| Fact::Banned { peer: *peer, ban, struck: false }));
            Ok(())
        })
    }

    /// Whom the node trusts is this now: the peers' roles follow.
    pub fn set_trusted(&self, trusted: Arc<TrustedPeers>, now: Duration) {
        self.change(|pages| pages.set_trusted(trusted, now));
    }

    /// The ban of `peer`, if it holds at `now`.
    pub fn ban(&self, peer: &PeerId, now: Duration) -> Option<Ban> {
        self.current.load().get(peer)?.ban.clone().filter(|ban| ban.holds(now))
    }

    /// Does what is due at `now`: addresses, tags and bans end, scores and strikes move back. Does some of it where there is
    /// much; [`PeerBook::wakes_at`] has then passed.
    pub fn tick(&self, now: Duration) {
        self.change(|pages| {
            for id in pages.due(now, MAX_DUE) {
                // A fact does not fail.
                let _ = pages.edit(id, now, Cause::Fact, |_, _| Ok(Change::Made(Save::Never)));
            }
        });
    }

    /// When [`PeerBook::tick`] is to be called next; `None`: nothing changes by itself.
    pub fn wakes_at(&self) -> Option<Duration> {
        self.pages.lock().wakes_at()
    }

    /// Waits until [`PeerBook::wakes_at`] is earlier than it was, for one who waits. Cancel-safe.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    /// What has happened to bans since this was last asked. Whoever changes the book asks.
    pub fn take_facts(&self) -> Vec<Fact> {
        std::mem::take(&mut self.pages.lock().facts)
    }

    /// Whom the node knows now. Costs no lock and no copy.
    pub fn snapshot(&self) -> Arc<Peers> {
        self.current.load_full()
    }

    /// Waits for a snapshot that is newer than `revision`. Several changes may be in one; none is left out. Cancel-safe.
    pub async fn after(&self, revision: u64) -> Arc<Peers> {
        let mut revisions = self.revision.subscribe();
        // Fails only without a sender, which is ours.
        let _ = revisions.wait_for(|now| *now > revision).await;
        self.snapshot()
    }

    fn edit(
        &self,
        peer: PeerId,
        now: Duration,
        cause: Cause,
        change: impl FnOnce(&mut Draft, &Bounds) -> Result<Change>,
    ) -> bool {
        // A change that finds no room is none.
        self.change(|pages| pages.edit(peer, now, cause, change)).unwrap_or(false)
    }

    /// Changes the pages, and shows what has changed to readers and to those who wait.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Pages) -> T) -> T {
        let mut pages = self.pages.lock();
        let (revision, wakes_at) = (pages.peers.revision(), pages.wakes_at());
        let result = change(&mut pages);
        if pages.peers.revision() != revision {
            self.current.store(Arc::new(pages.peers.clone()));
            self.revision.send_replace(pages.peers.revision());
        }
        if pages.wakes_at().is_some_and(|at| wakes_at.is_none_or(|before| at < before)) {
            self.woken.notify_one();
        }
        if !pages.unsaved.is_empty() {
            self.unsaved.notify_one();
        }
        if pages.urgent {
            self.urgent.notify_one();
        }
        result
    }
}

/// There is, or was, a connection.
fn seen(draft: &mut Draft, now: Duration) {
    draft.peer.seen = Some(now);
    draft.learnt_anew = true;
}

fn made(any: bool, save: Save) -> Change {
    if any { Change::Made(save) } else { Change::None }
}
