//! Listening: one task a listener, one a connection that is arriving.
//!
//! A transport that runs over another one's channel shares the port with a listener of that one: it is a *guest* there,
//! and the first bytes of a connection tell whose it is.

use std::sync::{Arc, Weak};

use futures::{StreamExt, future::BoxFuture, stream};
use parking_lot::Mutex;
use stackwire_core::{
    Budget, Error, Event, Gate as _, Incoming, Layer, Listen, Listener, Multiaddr, Opened, Over, Resource, Result,
    Role, Stage, Transport, address, peek,
};
use stackwire_upgrade::Start;
use tokio_util::sync::CancellationToken;

use crate::{
    active_config::ActiveConfig,
    admission,
    arriving::Place,
    connection::Origin,
    life::{self, Reached},
    listener::{Bound, ListenerHandle, host_of, suffix, whose},
    refusals::Who,
    shared::Shared,
    traffic,
};

/// Binds `address`, as a guest where one of `others` already has the port.
pub(crate) async fn bind(
    shared: &Arc<Shared>,
    active: &ActiveConfig,
    address: &Multiaddr,
    others: &[Arc<ListenerHandle>],
    configured: bool,
) -> Result<Bound> {
    shared.check_open()?;
    let bare = address.without_fixed();
    let transport = active.transport(Role::Listener, address, |transport| transport.can_listen(&bare))?.clone();
    let host = host_of(&*transport, address, others);
    let handle = |reachable: Vec<Multiaddr>| {
        Arc::new(ListenerHandle {
            asked: address.clone(),
            configured,
            fixed: active.told(address.fixed(), &shared.identity),
            reachable: Mutex::new(reachable),
            host: host.as_ref().map(Arc::downgrade),
            guests: Mutex::default(),
            arriving: Arc::default(),
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
            transport: transport.clone(),
        })
    };
    if let Some(host) = &host {
        let handle = handle(Vec::new());
        handle.follow(&host.reachable.lock());
        return Ok(Bound { handle, listener: None });
    }
    let listener = open(shared, &*transport, &bare).await?;
    Ok(Bound { handle: handle(listener.addresses()), listener: Some(listener) })
}

/// Has `transport` listen on `address`.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    transport: &dyn Transport,
    address: &Multiaddr,
) -> Result<Box<dyn Listener>> {
    let host = shared.host();
    let listen =
        Listen::new(address, &shared.identity, &shared.env).with_budgets(shared.scopes.for_listener()).with_host(&host);
    transport.listen(listen).await.map_err(|e| e.at(Layer::Transport, transport.name()))
}

/// Whether a connection from `remote` that arrives at `local` may begin its handshake: whether the gate lets it pass, and its
/// host has not begun too many of late. It tells of one that may not.
pub(crate) fn may_pass(shared: &Shared, local: &[Multiaddr], remote: &Multiaddr) -> bool {
    let host = admission::Host::of(remote);
    let paced = || shared.paces.handshake(host, shared.env.now()).inspect_err(|e| shared.refused(e, Who::Host(host)));
    let asked = shared.gate.accept(local, remote).map_err(Error::from).and_then(|()| paced());
    asked.map_err(|error| failed(shared, remote.clone(), error)).is_ok()
}

/// Tells of a connection from `remote` that has not come about.
fn failed(shared: &Shared, remote: Multiaddr, error: Error) {
    shared.metrics.refused.inc();
    shared.events.emit(|| Event::IncomingFailed { remote, error });
}

/// Stops a listener and waits until its address is free.
pub(crate) async fn end(shared: &Shared, listener: &ListenerHandle) {
    shared.listeners.lock().retain(|handle| !std::ptr::eq(&**handle, listener));
    if let Some(host) = listener.host.as_ref().and_then(Weak::upgrade) {
        host.guests.lock().retain(|guest| !std::ptr::eq(&**guest, listener));
        listener.stopped.cancel();
    }
    shared.look_again.notify_one();
    listener.stop.cancel();
    listener.stopped.cancelled().await;
    for address in listener.addresses() {
        let address = address::with_peer(&address, shared.peer_id());
        shared.events.emit(|| Event::ListenerClosed { address, error: None });
    }
}

/// Begins to take connections.
pub(crate) fn start(shared: &Arc<Shared>, bound: Bound) {
    let Bound { handle, listener } = bound;
    shared.listeners.lock().push(handle.clone());
    announce(shared, &handle.addresses());
    if let Some(host) = handle.host.as_ref().and_then(Weak::upgrade) {
        host.guests.lock().push(handle.clone());
    }
    if let Some(listener) = listener {
        let node = shared.clone();
        shared.keep_until(shared.stopping.clone(), "listener", async move { run(&node, &handle, listener).await });
    }
}

fn announce(shared: &Shared, addresses: &[Multiaddr]) {
    for address in addresses {
        shared.events.emit(|| Event::Listening { address: address::with_peer(address, shared.peer_id()) });
    }
    shared.events.emit(|| Event::LocalChanged);
    shared.look_again.notify_one();
}

/// Listens on `address` and returns the addresses it is reachable at, with `/p2p/…`.
pub(crate) async fn listen(shared: &Arc<Shared>, address: &Multiaddr) -> Result<Vec<Multiaddr>> {
    let active = shared.active();
    let others = shared.listeners.lock().clone();
    let bound = bind(shared, &active, address, &others, false).await?;
    let addresses = bound.handle.addresses();
    start(shared, bound);
    Ok(addresses.iter().map(|a| address::with_peer(a, shared.peer_id())).collect())
}

async fn run(shared: &Arc<Shared>, handle: &Arc<ListenerHandle>, listener: Box<dyn Listener>) {
    // However it ends, the address is free then: the guard is dropped after the listener, which arguments would not be.
    let _stopped = handle.stopped.clone().drop_guard();
    let mut listener = listener;
    // A pending stream after its end, so that it is not asked again.
    let mut changes = listener.watch().unwrap_or_else(|| stream::empty().boxed()).chain(stream::pending());
    let error = loop {
        let incoming = tokio::select! {
            () = handle.stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok(incoming) => incoming,
                Err(error) => break error,
            },
            Some(addresses) = changes.next() => {
                moved(shared, handle, addresses);
                continue;
            }
        };
        if !may_pass(shared, &handle.addresses(), &incoming.remote) {
            continue;
        }
        let active = shared.active();
        let place = handle.arriving.admit(&incoming.remote, &active.stack.settings.limits);
        take_in(shared, active, handle, incoming, place);
    };
    let error = error.at(Layer::Transport, handle.transport.name());
    let gone = |other: &Arc<ListenerHandle>| {
        Arc::ptr_eq(other, handle) || other.host.as_ref().is_some_and(|host| host.as_ptr() == Arc::as_ptr(handle))
    };
    let ended: Vec<_> = shared.listeners.lock().extract_if(.., |other| gone(other)).collect();
    shared.look_again.notify_one();
    for address in ended.iter().flat_map(|handle| handle.addresses()) {
        let address = address::with_peer(&address, shared.peer_id());
        shared.events.emit(|| Event::ListenerClosed { address, error: Some(error.clone()) });
    }
    shared.events.emit(|| Event::LocalChanged);
}

/// The machine's addresses have changed, and with them where a listener and its guests are reachable.
fn moved(shared: &Shared, handle: &Arc<ListenerHandle>, addresses: Vec<Multiaddr>) {
    let all: Vec<Arc<ListenerHandle>> =
        std::iter::once(handle.clone()).chain(handle.guests.lock().iter().cloned()).collect();
    let before: Vec<Multiaddr> = all.iter().flat_map(|handle| handle.addresses()).collect();
    *handle.reachable.lock() = addresses.clone();
    all[1..].iter().for_each(|guest| guest.follow(&addresses));
    let after: Vec<Multiaddr> = all.iter().flat_map(|handle| handle.addresses()).collect();
    for address in before.iter().filter(|address| !after.contains(address)) {
        let address = address::with_peer(address, shared.peer_id());
        shared.events.emit(|| Event::ListenerClosed { address, error: None });
    }
    let new: Vec<Multiaddr> = after.into_iter().filter(|address| !before.contains(address)).collect();
    announce(shared, &new);
}

fn take_in(
    shared: &Arc<Shared>,
    active: Arc<ActiveConfig>,
    handle: &Arc<ListenerHandle>,
    incoming: Incoming,
    place: Place,
) {
    let (shared, handle) = (shared.clone(), handle.clone());
    let env = shared.env.clone();
    env.spawn_detached("arriving connection", async move {
        let remote = incoming.remote.clone();
        if let Err(error) = place.run(upgrade(&shared, &active, &handle, incoming, &place)).await {
            shared.refused(&error, Who::Host(admission::Host::of(&remote)));
            failed(&shared, remote, error);
        }
    });
}

async fn upgrade(
    shared: &Arc<Shared>,
    active: &Arc<ActiveConfig>,
    handle: &Arc<ListenerHandle>,
    incoming: Incoming,
    place: &Place,
) -> Result<()> {
    let Incoming { remote, local, open } = incoming;
    // A handshake costs more than a connection is worth for which there is no room; for some it is done all the same, so
    // that they can be told.
    let host = Some(admission::Host::of(&remote));
    let room = life::room_for(shared, &shared.state.lock(), host, None).map(drop);
    let _refusing = match room {
        Ok(()) => None,
        Err(error) => Some(shared.farewells.try_acquire().map_err(|_| error)?),
    };
    let begin = shared.env.now();
    let limit = active.stack.settings.timeouts.handshake;
    let budget = shared.scopes.connection(&remote);
    let descriptors = budget.take(Resource::Descriptors, handle.transport.descriptors())?;
    let mut arrived = Arrived { handle: handle.clone(), remote, local, budget };
    let opening = shared.env.timeout(limit, "opening a connection", arrived.open(shared, open));
    let stage = opening.await.map_err(|e| e.at(Layer::Transport, arrived.handle.transport.name()))?;
    let took = shared.env.now().saturating_duration_since(begin);
    let (stage, watched) =
        traffic::watch(&shared.paces, stage, &arrived.remote, active.stack.settings.timeouts.write_stall, &shared.env);
    place.watch(&watched.meter);
    let fixed = arrived.handle.asked.fixed().clone();
    let start = Start {
        stage,
        role: Role::Listener,
        expected: None,
        remote: arrived.remote,
        local: Some(arrived.local.with_fixed(fixed.clone())),
        fixed,
        may_meet: false,
        transport: arrived.handle.transport.name(),
        round_trips: 0,
        took,
        since: begin,
        limit,
        budget: arrived.budget,
    };
    let upgraded = active.upgrader.upgrade(start).await?;
    life::adopt(shared, active, Reached { upgraded, watched, descriptors }, Origin::Inbound).map(drop)
}

/// A connection at a listener, which may turn out to be a guest's.
struct Arrived {
    handle: Arc<ListenerHandle>,
    remote: Multiaddr,
    local: Multiaddr,
    budget: Budget,
}

impl Arrived {
    async fn open(&mut self, shared: &Shared, open: BoxFuture<'static, Result<Opened>>) -> Result<Stage> {
        let opened = open.await?;
        self.remote = opened.remote.unwrap_or_else(|| self.remote.clone());
        let guests = self.handle.guests.lock().clone();
        let pipe = match opened.stage {
            Stage::Raw(pipe) if !guests.is_empty() => pipe,
            stage => return Ok(stage),
        };
        let (guest, pipe) = peek(pipe, |first| whose(&guests, first)).await?;
        let Some(guest) = guest else { return Ok(Stage::Raw(pipe)) };
        let own = suffix(&*guest.transport, &guest.asked.without_fixed());
        let extend = |address: &Multiaddr| own.iter().fold(address.without_fixed(), |all, part| all.with(part));
        let remote = extend(&self.remote);
        let carrier_remote = std::mem::replace(&mut self.remote, remote);
        self.local = extend(&self.local);
        self.handle = guest;
        let over = Over::new(pipe, &self.local, &carrier_remote, &shared.identity, &shared.env)
            .with_budget(self.budget.clone());
        let opened = self.handle.transport.accept_over(over).await?;
        self.remote = opened.remote.unwrap_or_else(|| self.remote.clone());
        Ok(opened.stage)
    }
}
