//! The life of a connection in the node: taken in, served, closed when idle, taken out.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{Either, select},
};
use stackwire_core::{
    ConnectionInfo, Driver, Env, Error, Event, Gate as _, Kind, Layer, PeerId, Reason, Reservation, Result, Role,
    SessionExt,
};
use stackwire_upgrade::Upgraded;

use crate::{
    active_config::ActiveConfig,
    admission::Host,
    capacity::{Newcomer, Verdict},
    connection::{Connection, Made, Origin},
    external,
    refusals::Who,
    serve,
    shared::{Shared, State},
    spares::{Seen, spares},
    traffic::Watched,
    trusted,
};

/// How long a peer has to take the word that its connection is refused, or makes room for another.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long after a dial of ours a connection of its peer may arrive that was dialed at the same time.
const MEETING: Duration = Duration::from_secs(10);

/// A connection that has come about, before the node knows of it.
pub(crate) struct Reached {
    pub(crate) upgraded: Upgraded,
    pub(crate) watched: Watched,
    /// What it has of the node's descriptors.
    pub(crate) descriptors: Reservation,
}

/// Takes a connection into the node that was upgraded under `active`, and starts its tasks. Gives the one that there is if that
/// is to be used instead. Fails where a limit is met or the gate refuses it, which the peer is told, or the node is closing.
///
/// Of two connections that two nodes dial at the same time, the one that the greater peer id has dialed goes. Who dialed it
/// gives it up, so that never both go.
pub(crate) fn adopt(
    shared: &Arc<Shared>,
    active: &Arc<ActiveConfig>,
    reached: Reached,
    origin: Origin,
) -> Result<Arc<Connection>> {
    let Reached { upgraded, watched, descriptors } = reached;
    let Upgraded { peer: key, session, driver, negotiators, path, budget, claims, binding, .. } = upgraded;
    let peer = key.peer_id();
    if peer == shared.peer_id() {
        return Err(Error::new(Kind::AddressInvalid, "who answers is this node itself").at(Layer::Node, "connections"));
    }
    let allowed =
        shared.check_ban(&peer).and_then(|()| shared.gate.secured(path.role, &key, &path.remote).map_err(Error::from));
    let id = shared.next_connection_id();
    let host = (path.role == Role::Listener).then(|| Host::of(&path.remote));
    let claims = trusted::with_role(&shared.trust.current(), &key, claims);
    let info = Arc::new(ConnectionInfo::new(id, peer, path).with_claims(claims).with_binding(binding));
    let since = shared.env.now();
    budget.join(&shared.scopes.peer(&peer));
    if let (Some(throttle), Some(rate)) = (&watched.throttle, shared.paces.bytes_of_peer(peer)) {
        throttle.add(rate);
    }
    let connection =
        Connection::new(Made { info, key, session, watched, budget, descriptors, negotiators, host, origin, since });
    let admitted = allowed.and_then(|()| admit(shared, &connection));
    match admitted {
        Ok(Admitted::New { leaving }) => leaving.iter().for_each(|leaving| make_room(shared, leaving)),
        Ok(Admitted::Instead(other)) => {
            refuse(shared, &connection, driver, Reason::Supplanted);
            return Ok(other);
        }
        Err(error) => {
            shared.refused(&error, host.map_or(Who::Us, |_| Who::Peer(peer)));
            let reason = match error.kind() {
                Kind::LimitExceeded { .. } => Reason::ResourceLimit,
                Kind::Gated { reason } => *reason,
                _ => Reason::Shutdown,
            };
            refuse(shared, &connection, driver, reason);
            return Err(error);
        }
    }

    let mut tasks = connection.tasks.lock();
    let (this, node) = (connection.clone(), shared.clone());
    tasks.push(shared.env.spawn("driver", async move {
        // A driver that panics is a bug; a connection that nobody takes out afterwards would be another.
        let driving = AssertUnwindSafe(driver).catch_unwind();
        let result = match this.unless_given_up(driving).await {
            Ok(driven) => {
                driven.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the connection's driver panicked")))
            }
            Err(given_up) => Err(given_up),
        };
        end(&node, &this, result);
    }));
    let (this, node) = (connection.clone(), shared.clone());
    tasks.push(shared.env.spawn("acceptor", async move { accept(&node, &this).await }));
    drop(tasks);
    watch_idle(shared, &connection);
    if !Arc::ptr_eq(active, &shared.active()) {
        shared.outdated.notify_one();
    }
    Ok(connection)
}

/// What becomes of a connection that has come about.
enum Admitted {
    /// It is taken in, and this one leaves for it.
    New { leaving: Option<Arc<Connection>> },
    /// This one is used instead.
    Instead(Arc<Connection>),
}

/// Makes a connection known. All under one lock, so that two that come about at once see each other.
fn admit(shared: &Shared, connection: &Arc<Connection>) -> Result<Admitted> {
    let ConnectionInfo { id, peer, .. } = *connection.info;
    let mut state = shared.state.lock();
    shared.check_open()?;
    // Once more, under the lock: who is banned after this finds the connection and closes it.
    shared.check_ban(&peer)?;
    // Under the lock, so that whoever looks at all connections after a change of the set finds those that were judged before.
    let authentication = shared.active().stack.settings.trust.authentication;
    let trusted = shared.trust.current();
    trusted::may_have(authentication, &trusted, connection.info.path.role, &connection.key, &connection.info.claims)?;
    // Both sides compare the same two names.
    let we_give_way = shared.peer_id() > peer;
    if let Origin::Dialed(began) = connection.origin {
        let instead = state.with(&peer).filter(|other| other.is_usable()).find(|other| match other.origin {
            Origin::Inbound => other.since < began || we_give_way,
            Origin::Dialed(_) | Origin::Fresh => true,
        });
        if let Some(other) = instead {
            return Ok(Admitted::Instead(other.clone()));
        }
    }
    let others: Vec<&ConnectionInfo> = state.with(&peer).map(|other| &*other.info).collect();
    shared.gate.connected(&connection.info, &others)?;
    let leaving = room_for(shared, &state, connection.host, Some(&peer))?;
    if connection.origin == Origin::Inbound && we_give_way {
        let met = |other: &&Arc<Connection>| {
            matches!(other.origin, Origin::Dialed(_))
                && connection.since.saturating_duration_since(other.since) < MEETING
        };
        for spare in state.with(&peer).filter(met) {
            *spare.spare.lock() =
                Some((connection.since, "the peer had dialed at the same time, and its connection stays"));
            shared.outdated.notify_one();
        }
    }
    if let Some(leaving) = &leaving {
        state.population.remove(leaving.info.id, leaving.host);
    }
    state.population.add(id, connection.host);
    state.connections.insert(id, connection.clone());
    let ids = state.by_peer.entry(peer).or_default();
    let is_new = ids.is_empty();
    ids.push(id);
    mark_spares(shared, &state, connection);
    shared.book.connected(connection.info.clone(), shared.env.unix_time());
    shared.metrics.connected(connection.info.path.role);
    if is_new {
        shared.events.emit(|| Event::NewPeer { peer });
    }
    // Before anybody can find it: the first event of a connection is that there is one.
    shared.events.emit(|| Event::Connected { connection: connection.info.clone() });
    Ok(Admitted::New { leaving })
}

/// Has the spare ones of a peer's connections drained, now that `newest` is there. A node of ours that has dialed one of them
/// gives it up itself; the time is for that.
fn mark_spares(shared: &Shared, state: &State, newest: &Connection) {
    let seen = |one: &Arc<Connection>| {
        let path = &one.info.path;
        Seen { id: one.info.id, role: path.role, relayed: path.relayed }
    };
    let counted = |one: &&Arc<Connection>| one.is_usable() && one.origin != Origin::Fresh;
    let all: Vec<Seen> = state.with(&newest.info.peer).filter(counted).map(seen).collect();
    let max = shared.active().stack.settings.limits.max_connections_per_path;
    for id in spares(&all, shared.peer_id() > newest.info.peer, max) {
        if let Some(spare) = state.connections.get(&id) {
            let why = "there is another connection with the peer, which stays";
            spare.spare.lock().get_or_insert((newest.since + MEETING, why));
            shared.outdated.notify_one();
        }
    }
}

/// Who must leave, if anybody, for one more connection with `peer`, if known, that comes from `host`, if we do not dial.
/// Fails where there is no room.
pub(crate) fn room_for(
    shared: &Shared,
    state: &State,
    host: Option<Host>,
    peer: Option<&PeerId>,
) -> Result<Option<Arc<Connection>>> {
    let active = shared.active();
    let with_peer = peer.and_then(|peer| state.by_peer.get(peer)).map_or(0, Vec::len);
    let trusted = shared.trust.current();
    let trusts = |peer: &PeerId| trusted.of_peer(peer).is_some();
    // Whom we trust stays, used or not.
    let unused = |it: &Arc<Connection>| !it.is_leaving() && it.streams.is_idle() && !trusts(&it.info.peer);
    let unused = |id| state.connections.get(&id).is_some_and(unused);
    let newcomer = Newcomer { host, with_peer, trusted: peer.is_some_and(trusts) };
    let verdict = state.population.verdict(newcomer, &active.stack.settings.limits, unused);
    match verdict {
        Verdict::Room => Ok(None),
        Verdict::InsteadOf(id) => Ok(state.connections.get(&id).cloned()),
        Verdict::Refused(kind) => Err(Error::new(kind, "taking in a connection")),
    }
}

/// Tells the peer of a connection that was not taken in why.
fn refuse(shared: &Shared, connection: &Connection, driver: Driver, reason: Reason) {
    let Ok(permit) = shared.farewells.clone().try_acquire_owned() else { return };
    let (session, env) = (connection.session.clone(), shared.env.clone());
    session.close(reason.code().0);
    shared.env.spawn_detached("refusal", async move {
        // However it ends, it was refused.
        let _ = env.timeout(FAREWELL, "refusing a connection", driver).await;
        drop((session, permit));
    });
}

/// Closes a connection that nobody uses, in whose place another has come.
fn make_room(shared: &Arc<Shared>, leaving: &Arc<Connection>) {
    leaving.close(Reason::GarbageCollected, "nobody used it, and another connection needed its place");
    let permit = shared.farewells.clone().try_acquire_owned();
    let (node, leaving) = (shared.clone(), leaving.clone());
    shared.env.spawn_detached("room for another", async move {
        if permit.is_ok() {
            let late = node.env.sleep(FAREWELL);
            select(std::pin::pin!(leaving.ended.cancelled()), late).await;
        }
        end(&node, &leaving, Ok(()));
    });
}

async fn accept(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    if connection.session.names_protocols() {
        while let Ok((protocol, pipe)) = connection.session.accept_named().await {
            serve::serve_named(shared, connection, protocol, pipe);
        }
        return;
    }
    while let Ok(pipe) = connection.session.accept().await {
        serve::serve(shared, connection, pipe);
    }
}

/// Closes `connection` when it is idle, as the configuration says now.
pub(crate) fn watch_idle(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let mut idle = connection.idle.lock();
    // Asked for under the lock: of two that come at once the later one knows the newer configuration.
    *idle = shared.active().stack.settings.timeouts.idle.map(|limit| {
        let (this, env) = (connection.clone(), shared.env.clone());
        shared.env.spawn("idle watch", async move {
            let ended = this.ended.clone();
            ended.run_until_cancelled(close_when_idle(&env, &this, limit)).await;
        })
    });
}

async fn close_when_idle(env: &Env, connection: &Connection, limit: Duration) {
    loop {
        connection.streams.idle().await;
        let busy = connection.streams.changed(true);
        if let Either::Right(_) = select(std::pin::pin!(busy), env.sleep(limit)).await
            && connection.close_if_idle()
        {
            return;
        }
    }
}

/// Takes an ended connection out of the node and says how it ended. Harmless when repeated.
pub(crate) fn end(shared: &Shared, connection: &Connection, result: Result<()>) {
    let (id, peer) = (connection.info.id, connection.info.peer);
    {
        let mut state = shared.state.lock();
        if state.connections.remove(&id).is_none() {
            return;
        }
        state.population.remove(id, connection.host);
        let ids = state.by_peer.entry(peer).or_default();
        ids.retain(|other| *other != id);
        let is_last = ids.is_empty();
        if is_last {
            state.by_peer.remove(&peer);
        }
        shared.book.disconnected(&connection.info, shared.env.unix_time());
        shared.metrics.disconnected(connection.info.path.role);
        // Under the lock, so that a peer that comes back is new after it was lost.
        connection.finish(result, |end| {
            shared.events.emit(|| Event::Disconnected { connection: id, peer, end: end.clone() });
        });
        if is_last {
            shared.events.emit(|| Event::LostPeer { peer });
        }
    }
    external::ended(shared, id);
    // The tasks hold the connection, and the connection the tasks: ending them lets both go.
    connection.abort();
}

/// Ends every connection at once: nobody hears a good-bye.
pub(crate) fn end_all(shared: &Shared) {
    for connection in shared.live() {
        connection.close(Reason::Shutdown, "the node has stopped");
        end(shared, &connection, Ok(()));
    }
}
