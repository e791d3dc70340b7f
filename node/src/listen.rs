//! Listening: one task a listener, one a connection that is arriving.
//!
//! A transport that runs over another one's channel shares the port with a listener of that one: it is a *guest* there,
//! and the first bytes of a connection tell whose it is.

use std::sync::{Arc, Weak};

use futures::{StreamExt, future::BoxFuture, stream};
use parking_lot::Mutex;
use stackwire_core::{
    Budget, Event, Incoming, Layer, Listen, Listener, Multiaddr, Opened, Over, Recognition, Result, Role, Stage,
    Transport, address, address::FixedPath, peek,
};
use stackwire_upgrade::Start;
use tokio_util::sync::CancellationToken;

use crate::{
    active_config::ActiveConfig,
    admission,
    arriving::{Arriving, Place},
    connection,
    host::NodeHost,
    renew,
    shared::Shared,
    traffic,
};

/// An address we listen on.
pub(crate) struct ListenerHandle {
    /// As it was asked for.
    pub(crate) asked: Multiaddr,
    pub(crate) transport: Arc<dyn Transport>,
    /// Whether a configuration asked for it.
    pub(crate) configured: bool,
    /// What is fixed for dialers.
    fixed: FixedPath,
    /// Where it is reachable, fixed paths left out.
    reachable: Mutex<Vec<Multiaddr>>,
    /// Whose port it shares, for a guest.
    host: Option<Weak<ListenerHandle>>,
    /// Who shares its port.
    guests: Mutex<Vec<Arc<ListenerHandle>>>,
    /// Places for those that come here; guests use their host's.
    arriving: Arc<Arriving>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

/// A listener that is bound but takes no connections yet.
pub(crate) struct Bound {
    pub(crate) handle: Arc<ListenerHandle>,
    /// A guest has none of its own.
    listener: Option<Box<dyn Listener>>,
}

impl ListenerHandle {
    /// Where it is reachable, without `/p2p/…`.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        self.reachable.lock().iter().map(|address| address.clone().with_fixed(self.fixed.clone())).collect()
    }

    /// The address of the socket it needs.
    pub(crate) fn socket(&self) -> Multiaddr {
        socket(&*self.transport, &self.asked)
    }

    /// Whether it holds what `socket` needs.
    pub(crate) fn clashes(&self, socket: &Multiaddr) -> bool {
        let parts = |address: &Multiaddr| address::split_socket(address).map(|(socket, kind, _)| (socket, kind));
        let held = [self.socket()].into_iter().chain(self.reachable.lock().clone());
        held.into_iter().any(|held| match (parts(&held), parts(socket)) {
            (Some((held, tcp)), Some((wanted, also_tcp))) => {
                let any = held.ip().is_unspecified() || wanted.ip().is_unspecified();
                tcp == also_tcp && held.port() == wanted.port() && held.port() != 0 && (any || held.ip() == wanted.ip())
            }
            _ => held == *socket,
        })
    }

    /// The address of the listener whose port it shares.
    pub(crate) fn hosted_by(&self) -> Option<Multiaddr> {
        self.host.as_ref().and_then(Weak::upgrade).map(|host| host.asked.clone())
    }

    /// Where a guest is reachable, its host being at `addresses`.
    fn follow(&self, addresses: &[Multiaddr]) {
        let own = suffix(&*self.transport, &self.asked.without_fixed());
        let all = addresses.iter().map(|address| own.iter().fold(address.clone(), |all, part| all.with(part)));
        *self.reachable.lock() = all.collect();
    }

    /// Stops it and waits until its address is free.
    pub(crate) async fn end(&self, shared: &Shared) {
        shared.listeners.lock().retain(|handle| !std::ptr::eq(&**handle, self));
        if let Some(host) = self.host.as_ref().and_then(Weak::upgrade) {
            host.guests.lock().retain(|guest| !std::ptr::eq(&**guest, self));
            self.stopped.cancel();
        }
        self.stop.cancel();
        self.stopped.cancelled().await;
        for address in self.addresses() {
            let address = address::with_peer(&address, shared.peer_id());
            shared.events.emit(|| Event::ListenerClosed { address, error: None });
        }
    }
}

/// The address of the socket that `transport` needs to listen on `address`.
pub(crate) fn socket(transport: &dyn Transport, address: &Multiaddr) -> Multiaddr {
    let bare = address.without_fixed();
    transport.carrier(&bare).unwrap_or(bare)
}

/// The parts that `transport` adds to its carrier's address.
fn suffix(transport: &dyn Transport, address: &Multiaddr) -> Multiaddr {
    let below = transport.carrier(address).map_or(0, |carrier| carrier.iter().count());
    address.iter().skip(below).collect()
}

/// Who would share its port with `address`, of those that listen and those that are about to.
pub(crate) fn host_of(
    transport: &dyn Transport,
    address: &Multiaddr,
    handles: &[Arc<ListenerHandle>],
) -> Option<Arc<ListenerHandle>> {
    let carrier = transport.carrier(&address.without_fixed())?;
    // Port 0 asks for a port of one's own.
    if address::split_socket(&carrier).is_some_and(|(socket, ..)| socket.port() == 0) {
        return None;
    }
    handles.iter().find(|handle| handle.host.is_none() && handle.asked.without_fixed() == carrier).cloned()
}

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
    let host = NodeHost::host(shared);
    let listen =
        Listen::new(&bare, &shared.identity, &shared.env).with_budgets(shared.memory.scopes()).with_host(&host);
    let listener = transport.listen(listen).await.map_err(|e| e.at(Layer::Transport, transport.name()))?;
    Ok(Bound { handle: handle(listener.addresses()), listener: Some(listener) })
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
        shared.keep(async move { run(&node, &handle, listener).await });
    }
}

fn announce(shared: &Shared, addresses: &[Multiaddr]) {
    for address in addresses {
        shared.events.emit(|| Event::Listening { address: address::with_peer(address, shared.peer_id()) });
    }
    shared.events.emit(|| Event::LocalChanged);
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

async fn run(shared: &Arc<Shared>, handle: &Arc<ListenerHandle>, mut listener: Box<dyn Listener>) {
    // However it ends, the address is free then.
    let _stopped = handle.stopped.clone().drop_guard();
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
        let active = shared.active();
        let place = handle.arriving.admit(&incoming.remote, &active.stack.settings.limits);
        take_in(shared, active, handle, incoming, place);
    };
    let error = error.at(Layer::Transport, handle.transport.name());
    let gone = |other: &Arc<ListenerHandle>| {
        Arc::ptr_eq(other, handle) || other.host.as_ref().is_some_and(|host| host.as_ptr() == Arc::as_ptr(handle))
    };
    let ended: Vec<_> = shared.listeners.lock().extract_if(.., |other| gone(other)).collect();
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
    env.spawn_detached(async move {
        let remote = incoming.remote.clone();
        if let Err(error) = place.run(upgrade(&shared, &active, &handle, incoming, &place)).await {
            shared.events.emit(|| Event::IncomingFailed { remote, error });
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
    let room = connection::room_for(shared, &shared.state.lock(), host, None).map(drop);
    let _refusing = match room {
        Ok(()) => None,
        Err(error) => Some(shared.farewells.try_acquire().map_err(|_| error)?),
    };
    let begin = shared.env.now();
    let limit = active.stack.settings.timeouts.handshake;
    let budget = shared.memory.scope(&remote);
    let mut arrived = Arrived { handle: handle.clone(), remote, local, budget };
    let opening = shared.env.timeout(limit, "opening a connection", arrived.open(shared, open));
    let stage = opening.await.map_err(|e| e.at(Layer::Transport, arrived.handle.transport.name()))?;
    let took = shared.env.now().saturating_duration_since(begin);
    let (stage, meter) = traffic::watch(stage, active.stack.settings.timeouts.write_stall, &shared.env);
    place.watch(&meter);
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
    let connection = connection::adopt(shared, upgraded, meter)?;
    renew::if_outdated(shared, active, &connection);
    Ok(())
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

/// The guest whose connection begins with `first`; `Some(None)` where it is the host's own, `None` while that can't be
/// told.
fn whose(guests: &[Arc<ListenerHandle>], first: &[u8]) -> Option<Option<Arc<ListenerHandle>>> {
    let mut undecided = false;
    for guest in guests {
        match guest.transport.recognizes(&guest.asked, first) {
            Recognition::Yes => return Some(Some(guest.clone())),
            Recognition::More => undecided = true,
            Recognition::No => {}
        }
    }
    (!undecided).then_some(None)
}
