//! What the switch tells the peer book, and what follows from that.

use std::{sync::Arc, time::Duration};

use stackwire_core::{
    Conduct, Error, Event, Kind, Layer, Multiaddr, Note, PeerId, Reason, Refusal, Result, Retry,
    address::{self, Origin},
};
use stackwire_peers::Fact;

use crate::{goodbye, shared::Shared};

/// Changes of the book that follow each other so quickly are written down together.
const FLUSH: Duration = Duration::from_secs(5);
/// What is due is looked at so often at most, and at least: the clock may be set.
const MOMENT: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
/// How long a stopping node may take to write the book down.
const LAST_FLUSH: Duration = Duration::from_secs(5);

impl Shared {
    /// Puts into the book, and teaches the routers, where `peer` is, as `origin` says.
    pub(crate) fn add_addresses(self: &Arc<Self>, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        if peer == self.peer_id() {
            return;
        }
        self.book.add_addresses(peer, addresses, origin, self.env.unix_time());
        self.tell_of_bans();
        let bare: Vec<Multiaddr> = addresses.iter().map(|address| address::split_peer(address).0).collect();
        for router in &self.active().stack.parts.routers {
            router.add_addresses(peer, &bare, origin);
        }
    }

    /// Has the book and the routers forget where `peer` is, as far as only `origin` has named it.
    pub(crate) fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.book.remove_addresses(peer, addresses, origin, self.env.unix_time());
        for router in &self.active().stack.parts.routers {
            router.remove_addresses(peer, addresses, origin);
        }
    }

    /// Notes something about a peer; who is banned is disconnected.
    pub(crate) fn note(self: &Arc<Self>, peer: &PeerId, note: Note) -> Result<()> {
        let noted = self.book.note(peer, note, self.env.unix_time());
        self.tell_of_bans();
        noted
    }

    /// Takes note of how a peer behaves; who is not to be borne any longer is disconnected.
    pub(crate) fn report(self: &Arc<Self>, peer: &PeerId, conduct: Conduct) {
        let is_borne = self.book.report(peer, conduct, self.env.unix_time());
        self.tell_of_bans();
        if !is_borne {
            // Where there was no room for a ban it goes, too.
            goodbye::close_all(self, peer, Reason::ProtocolViolation, "it has broken protocols again and again");
        }
    }

    /// Fails where `peer` is banned, and says until when.
    pub(crate) fn check_ban(&self, peer: &PeerId) -> Result<()> {
        let Some(ban) = self.book.ban(peer, self.env.unix_time()) else { return Ok(()) };
        let retry = if ban.until.is_some() { Retry::Later } else { Retry::Never };
        let refusal = Refusal::gated(format!("peer {peer} is {ban}"));
        Err(Error::new(Kind::Gated { reason: refusal.reason }, refusal.detail)
            .at(Layer::Node, "peers")
            .retry_advice(retry))
    }

    /// Tells of bans that have begun or ended, and disconnects the banned.
    fn tell_of_bans(self: &Arc<Self>) {
        let mut banned = Vec::new();
        {
            let _one_at_a_time = self.telling.lock();
            for fact in self.book.take_facts() {
                match fact {
                    Fact::Banned { peer, ban, struck } => {
                        self.events.emit(|| Event::Banned { peer, until: ban.until, why: ban.why.clone() });
                        banned.push((peer, ban, struck));
                    }
                    Fact::Unbanned { peer } => self.events.emit(|| Event::Unbanned { peer }),
                }
            }
        }
        for (peer, ban, struck) in banned {
            let reason = if struck { Reason::ProtocolViolation } else { Reason::Gated };
            goodbye::close_all(self, &peer, reason, &ban.to_string());
        }
    }

    /// Writes the book down, if it is to outlive us. When it returns `Ok`, all that was known before is durable.
    pub(crate) async fn save_book(&self) -> Result<()> {
        match &self.shelf {
            Some(store) => self.book.save(&**store).await,
            None => Ok(()),
        }
    }

    /// As [`Shared::save_book`], of a node that stops.
    pub(crate) async fn save_book_at_last(&self) {
        if let Err(error) = self.env.timeout(LAST_FLUSH, "writing the peer book down", self.save_book()).await {
            tracing::warn!(%error, "the newest of the peer book is lost");
        }
    }
}

/// Does what is due in the book, and follows whom the node trusts. Runs as long as the node does.
pub(crate) async fn watch(shared: &Arc<Shared>) {
    let env = &shared.env;
    let mut trusted = shared.trust.current();
    if trusted.revision() > 0 {
        shared.book.set_trusted(trusted.clone(), env.unix_time());
    }
    loop {
        let now = env.unix_time();
        shared.book.tick(now);
        shared.tell_of_bans();
        let pause = shared.book.wakes_at().map(|at| at.saturating_sub(now).clamp(MOMENT, LONGEST));
        let sleep = async {
            match pause {
                Some(pause) => env.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            newer = shared.trust.changed(trusted.revision()) => {
                trusted = newer;
                shared.book.set_trusted(trusted.clone(), env.unix_time());
            }
            () = sleep => {}
            () = shared.book.woken() => {}
        }
    }
}

/// Writes down what changes in the book: bans at once, the rest together every few seconds. Runs as long as the node does.
pub(crate) async fn keep(shared: &Arc<Shared>) {
    let mut is_failing = false;
    loop {
        shared.book.needs_saving().await;
        tokio::select! {
            biased;
            () = shared.env.sleep(FLUSH) => {}
            // A store that fails is not asked at once again.
            () = shared.book.needs_saving_at_once(), if !is_failing => {}
        }
        let saved = shared.save_book().await;
        if let Err(error) = &saved
            && !is_failing
        {
            tracing::warn!(%error, "the peer book can't be written down; what is new in it is kept in memory, and tried again");
        }
        is_failing = saved.is_err();
    }
}
