//! A host without a node: what a protocol, router or discovery is tested with.
//!
//! Two fakes that were [connected](connect) open streams to each other over pipes in memory; the other side's
//! protocol serves them. There is no negotiation, no muxer and no limit.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use stackwire_core::{
    Budget, ClosedBy, Conduct, Connection, ConnectionApi, ConnectionId, ConnectionInfo, ConnectionStats, DialOptions,
    End, Env, Error, Event, EventStream, ExternalAddress, Host, HostApi, Keypair, Kind, KnownAddress, Listener,
    LocalInfo, Metrics, Multiaddr, Note, Path, Peer, PeerId, Peers, PluginEvent, Protocol, ProtocolId, Reason,
    Registration, RemoteInfo, Result, Role, Services, StopGuard, Store, Stream, Task, Traffic, Trust, address::Origin,
    store::Bounds,
};
use tokio::sync::{mpsc, watch};

use crate::{env_seeded, in_time, pipes};

/// A host for tests. It remembers every event and serves its protocols to the fakes it is connected with.
pub struct FakeHost {
    me: Weak<FakeHost>,
    identity: Keypair,
    env: Env,
    /// Those that it began with.
    protocols: Vec<Arc<dyn Protocol>>,
    state: Mutex<State>,
    /// Of what it knows of its peers.
    revision: watch::Sender<u64>,
    budget: Budget,
    trust: Trust,
    metrics: Metrics,
    stopping: watch::Sender<bool>,
    /// Who has something to do when it stops holds a receiver.
    winding_up: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    local: LocalInfo,
    links: Vec<Link>,
    emitted: Vec<Event>,
    subscribers: Vec<mpsc::UnboundedSender<Event>>,
    traffic: Option<Traffic>,
    external: Vec<ExternalAddress>,
    remotes: HashMap<PeerId, Arc<RemoteInfo>>,
    addresses: HashMap<PeerId, Vec<(Multiaddr, Origin)>>,
    /// What tests say that it knows, beside all that.
    known: BTreeMap<PeerId, Peer>,
    /// Protocols that plug-ins serve beside those that it began with.
    registered: Vec<Arc<dyn Protocol>>,
    services: Services,
    reports: Vec<(PeerId, Conduct)>,
    notes: Vec<(PeerId, Note)>,
}

#[derive(Clone)]
struct Link {
    info: Arc<ConnectionInfo>,
    peer: Weak<FakeHost>,
    theirs: ConnectionId,
    ended: watch::Sender<Option<End>>,
}

struct FakeConnection {
    host: Weak<FakeHost>,
    link: Link,
}

#[async_trait]
impl ConnectionApi for FakeConnection {
    fn info(&self) -> &Arc<ConnectionInfo> {
        &self.link.info
    }
    fn stats(&self) -> ConnectionStats {
        let mut stats = ConnectionStats::default();
        stats.traffic = self.host.upgrade().and_then(|host| host.traffic(self.link.info.id));
        stats
    }
    fn close(&self, reason: Reason, detail: &str) {
        if let Some(host) = self.host.upgrade() {
            host.close_link(&self.link, reason, detail);
        }
    }
    async fn closed(&self) -> End {
        let mut ended = self.link.ended.subscribe();
        let end = ended.wait_for(Option::is_some).await.expect("we hold the sender");
        end.clone().expect("it has ended")
    }
    async fn open_stream(&self, ids: &[ProtocolId]) -> Result<Stream> {
        let host = self.host.upgrade().ok_or_else(|| Error::closed("opening a stream"))?;
        host.open_stream_on(self.link.info.id, ids).await
    }
}

impl FakeHost {
    /// A host with the identity and randomness of `seed` that serves `protocols`.
    pub fn new(seed: u8, protocols: Vec<Arc<dyn Protocol>>) -> Arc<Self> {
        let local = LocalInfo {
            agent: format!("fake/{seed}"),
            protocol_version: "fake/1.0.0".into(),
            listen: Vec::new(),
            protocols: protocols.iter().flat_map(|p| p.ids()).collect(),
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            identity: Keypair::ed25519_from_seed([seed; 32]),
            env: env_seeded(seed.into()),
            protocols,
            state: Mutex::new(State { local, ..State::default() }),
            revision: watch::Sender::new(0),
            budget: Budget::root("max_memory", usize::MAX),
            trust: Trust::default(),
            metrics: Metrics::default(),
            stopping: watch::Sender::new(false),
            winding_up: watch::Sender::new(()),
        })
    }

    /// The handle that plug-ins get.
    pub fn host(&self) -> Host {
        Host::new(self.arc())
    }

    /// Who this is.
    pub fn peer(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Runs the protocols' own tasks until the result is dropped.
    pub fn start(&self) -> Vec<Task> {
        let run = |protocol: &Arc<dyn Protocol>| {
            let (protocol, host) = (protocol.clone(), self.host());
            self.env.spawn("protocol", async move { protocol.run(&host).await })
        };
        self.protocols.iter().map(run).collect()
    }

    /// Changes what the host says about itself and emits `LocalChanged`.
    pub fn change_local(&self, change: impl FnOnce(&mut LocalInfo)) {
        change(&mut self.state.lock().local);
        self.emit(Event::LocalChanged);
    }

    /// What every connection is said to have moved from now on; before this is called it is not known.
    pub fn set_traffic(&self, traffic: Traffic) {
        self.state.lock().traffic = Some(traffic);
    }

    /// Where others are said to reach the host from now on.
    pub fn set_external_addresses(&self, external: Vec<ExternalAddress>) {
        self.state.lock().external = external;
    }

    /// What plug-ins have reported of peers, in order.
    pub fn reports(&self) -> Vec<(PeerId, Conduct)> {
        self.state.lock().reports.clone()
    }

    /// What was noted about peers, in order.
    pub fn notes(&self) -> Vec<(PeerId, Note)> {
        self.state.lock().notes.clone()
    }

    /// Begins to stop, and waits until those who wait for that have wound up.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        self.winding_up.closed().await;
    }

    fn moved(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn emit(&self, event: Event) {
        let mut state = self.state.lock();
        state.emitted.push(event.clone());
        state.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }

    /// Every event so far.
    pub fn emitted(&self) -> Vec<Event> {
        self.state.lock().emitted.clone()
    }

    /// The addresses that were added for `peer`, in order.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        let state = self.state.lock();
        state.addresses.get(peer).into_iter().flatten().map(|(address, _)| address.clone()).collect()
    }

    /// Has its snapshots show `peer` like this, with the connections and addresses that it has come to know by itself.
    pub fn set_known(&self, peer: Peer) {
        self.state.lock().known.insert(peer.id, peer);
        self.moved();
    }

    /// The first event, of the past or to come, that `pick` takes. Panics naming `what` if there is none in time.
    pub async fn wait_for<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        let (past, mut coming) = {
            let mut state = self.state.lock();
            (state.emitted.clone(), state.subscribe())
        };
        if let Some(found) = past.iter().find_map(&pick) {
            return found;
        }
        in_time(what, async {
            loop {
                let event = coming.next().await.expect("the host lives and keeps the sender");
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        })
        .await
    }

    fn arc(&self) -> Arc<Self> {
        self.me.upgrade().expect("a fake host is only used through its Arc")
    }

    fn link(&self, connection: ConnectionId) -> Option<Link> {
        self.state.lock().links.iter().find(|link| link.info.id == connection).cloned()
    }

    fn add_link(&self, link: Link) {
        let connection = link.info.clone();
        self.state.lock().links.push(link);
        self.moved();
        self.emit(Event::Connected { connection });
    }

    /// Ends a connection at both ends, as a node's close does.
    fn close_link(&self, link: &Link, reason: Reason, detail: &str) {
        self.end_link(link.info.id, End::new(ClosedBy::Us, reason, detail));
        if let Some(peer) = link.peer.upgrade() {
            peer.end_link(link.theirs, End::new(ClosedBy::Peer, Reason::of(reason.code()), ""));
        }
    }

    fn remove_link(&self, connection: ConnectionId, reason: &str, error: Option<Error>) {
        let by = if error.is_some() { ClosedBy::Nobody } else { ClosedBy::Us };
        self.end_link(connection, End::new(by, Reason::Normal, reason).with_error(error));
    }

    fn end_link(&self, connection: ConnectionId, end: End) {
        let removed = {
            let mut state = self.state.lock();
            let index = state.links.iter().position(|link| link.info.id == connection);
            index.map(|index| state.links.remove(index))
        };
        if let Some(link) = removed {
            link.ended.send_replace(Some(end.clone()));
            self.emit(Event::Disconnected { connection, peer: link.info.peer, end });
            self.moved();
        }
    }

    /// Adds a service, as a plug-in of the host has one.
    pub fn add_service<S: ?Sized + Send + Sync + 'static>(&self, service: Arc<S>) {
        self.state.lock().services.insert(service);
    }

    /// What it serves now.
    fn served(&self) -> Vec<Arc<dyn Protocol>> {
        self.protocols.iter().chain(&self.state.lock().registered).cloned().collect()
    }

    fn take_in(&self, stream: Stream) {
        let (host, me) = (self.host(), self.arc());
        let id = stream.protocol().clone();
        let Some(protocol) = self.served().into_iter().find(|p| p.ids().contains(&id)) else { return };
        let serving = async move {
            let (connection, peer) = (stream.connection(), stream.peer());
            if let Err(error) = protocol.serve(stream, &host).await {
                me.emit(Event::StreamFailed { connection, peer, protocol: Some(id), error });
            }
        };
        self.env.spawn("stream", serving).detach();
    }
}

impl State {
    fn subscribe(&mut self) -> EventStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.push(sender);
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) })
            .boxed()
    }
}

#[async_trait]
impl HostApi for FakeHost {
    fn identity(&self) -> &Keypair {
        &self.identity
    }
    fn env(&self) -> &Env {
        &self.env
    }
    fn local(&self) -> LocalInfo {
        self.state.lock().local.clone()
    }
    fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.state.lock().links.iter().map(|link| link.info.clone()).collect()
    }
    fn peers(&self) -> Arc<Peers> {
        let state = self.state.lock();
        let mut peers = state.known.clone();
        for (id, addresses) in &state.addresses {
            let peer = peers.entry(*id).or_insert_with(|| Peer::new(*id));
            for (address, origin) in addresses.iter().filter(|(address, _)| !address.is_empty()) {
                match peer.addresses.iter_mut().find(|known| known.address == *address) {
                    Some(known) => known.origin = known.origin.min(*origin),
                    None => peer.addresses.push(KnownAddress::new(address.clone(), *origin)),
                }
            }
        }
        for link in &state.links {
            let id = link.info.peer;
            let peer = peers.entry(id).or_insert_with(|| Peer::new(id));
            peer.connections.push(link.info.clone());
            peer.remote = state.remotes.get(&id).cloned();
        }
        Arc::new(Peers::new(*self.revision.borrow(), peers.into_values().map(Arc::new)))
    }
    async fn peers_after(&self, revision: u64) -> Arc<Peers> {
        // The sender is ours.
        let _ = self.revision.subscribe().wait_for(|now| *now > revision).await;
        self.peers()
    }
    fn connection(&self, id: ConnectionId) -> Option<Connection> {
        let link = self.link(id)?;
        Some(Connection::new(Arc::new(FakeConnection { host: self.me.clone(), link })))
    }
    async fn connect(&self, peer: Option<PeerId>, options: DialOptions) -> Result<Connection> {
        let wanted = |link: &&Link| match peer {
            Some(peer) => link.info.peer == peer,
            None => options.addresses.contains(&link.info.path.remote),
        };
        let found = self.state.lock().links.iter().find(wanted).map(|link| link.info.id);
        found
            .and_then(|id| self.connection(id))
            .ok_or_else(|| Error::new(Kind::Unreachable, "a fake host dials nobody"))
    }
    fn disconnect(&self, peer: &PeerId, reason: Reason, detail: &str) {
        let links = self.state.lock().links.clone();
        for link in links.iter().filter(|link| link.info.peer == *peer) {
            self.close_link(link, reason, detail);
        }
    }
    fn traffic(&self, connection: ConnectionId) -> Option<Traffic> {
        self.link(connection)?;
        self.state.lock().traffic
    }
    fn give_up(&self, connection: ConnectionId, error: Error) {
        self.remove_link(connection, "it was given up", Some(error));
    }
    fn events(&self) -> EventStream {
        self.state.lock().subscribe()
    }
    fn tell(&self, source: &'static str, fact: Arc<dyn PluginEvent>) {
        self.emit(Event::Plugin { source, fact });
    }
    fn measured(&self, peer: PeerId, round_trip: Duration) {
        self.emit(Event::Pinged { peer, round_trip });
    }
    fn stream_failed(&self, connection: ConnectionId, protocol: ProtocolId, error: Error) {
        if let Some(link) = self.link(connection) {
            let (peer, protocol) = (link.info.peer, Some(protocol));
            self.emit(Event::StreamFailed { connection, peer, protocol, error });
        }
    }
    fn observe(&self, connection: ConnectionId, address: Multiaddr) {
        if let Some(link) = self.link(connection) {
            self.emit(Event::Observed { connection, peer: link.info.peer, address });
        }
    }
    fn external_addresses(&self) -> Vec<ExternalAddress> {
        self.state.lock().external.clone()
    }
    fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }
    fn store(&self, namespace: &str, bounds: Bounds) -> Result<Arc<dyn Store>> {
        let _ = bounds;
        Err(Error::new(Kind::Unsupported, format!("a fake host keeps nothing, not even {namespace}")))
    }
    async fn bind(&self, address: &Multiaddr) -> Result<Box<dyn Listener>> {
        Err(Error::new(Kind::Unsupported, format!("a fake host listens nowhere, not even on {address}")))
    }
    fn report(&self, peer: &PeerId, conduct: Conduct) {
        self.state.lock().reports.push((*peer, conduct));
    }
    fn count_message(&self, _: &PeerId) -> Result<()> {
        Ok(())
    }
    fn note(&self, peer: &PeerId, note: Note) -> Result<()> {
        self.state.lock().notes.push((*peer, note));
        Ok(())
    }
    fn trust(&self) -> Trust {
        self.trust.clone()
    }
    fn scope(&self, name: &'static str) -> Budget {
        self.budget.child(name, usize::MAX)
    }
    async fn stopping(&self) -> StopGuard {
        let counted = self.winding_up.subscribe();
        let mut stopping = self.stopping.subscribe();
        // The sender is ours.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        StopGuard::new(counted)
    }
    fn services(&self) -> Services {
        self.state.lock().services.clone()
    }
    fn advertise(&self, address: Multiaddr, _: &'static str) -> Result<Registration> {
        self.change_local(|local| local.listen.push(address.clone()));
        let me = self.me.clone();
        Ok(Registration::new(move || {
            let Some(host) = me.upgrade() else { return };
            host.change_local(|local| {
                if let Some(at) = local.listen.iter().position(|known| *known == address) {
                    local.listen.remove(at);
                }
            });
        }))
    }
    fn serve(&self, protocol: Arc<dyn Protocol>) -> Result<Registration> {
        let ids = protocol.ids();
        self.state.lock().registered.push(protocol.clone());
        self.change_local(|local| local.protocols.extend(ids.clone()));
        let me = self.me.clone();
        Ok(Registration::new(move || {
            let Some(host) = me.upgrade() else { return };
            host.state.lock().registered.retain(|other| !Arc::ptr_eq(other, &protocol));
            host.change_local(|local| local.protocols.retain(|id| !ids.contains(id)));
        }))
    }
    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let named = addresses.iter().map(|address| (address.clone(), origin));
        self.state.lock().addresses.entry(peer).or_default().extend(named);
        self.moved();
    }
    fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.state.lock().remotes.get(peer).cloned()
    }
    fn set_remote(&self, peer: PeerId, info: RemoteInfo) {
        let info = Arc::new(info);
        self.state.lock().remotes.insert(peer, info.clone());
        self.moved();
        self.emit(Event::Identified { peer, info });
    }
    async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        let connection = self.connections().into_iter().find(|c| c.peer == peer);
        let connection = connection.ok_or_else(|| Error::new(Kind::Unreachable, "opening a stream"))?;
        self.open_stream_on(connection.id, ids).await
    }
    async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        let gone = || Error::closed("opening a stream");
        let link = self.link(connection).ok_or_else(gone)?;
        let peer = link.peer.upgrade().ok_or_else(gone)?;
        let theirs: Vec<ProtocolId> = peer.served().iter().flat_map(|p| p.ids()).collect();
        let Some(id) = ids.iter().find(|id| theirs.contains(id)) else {
            let offered = ids.iter().map(ToString::to_string).collect();
            return Err(Error::new(Kind::NoCommonProtocol { offered, supported: Vec::new() }, "opening a stream"));
        };
        let (near, far) = pipes::pair();
        let theirs = peer.link(link.theirs).ok_or_else(gone)?;
        peer.take_in(Stream::new(far, id.clone(), theirs.info));
        Ok(Stream::new(near, id.clone(), link.info))
    }
}

/// What a node would know of a connection with `peer`, for streams that no host has made.
pub fn connection_info(id: u64, peer: PeerId) -> Arc<ConnectionInfo> {
    let path =
        Path { role: Role::Listener, local: None, remote: Multiaddr::empty(), relayed: false, rungs: Vec::new() };
    Arc::new(ConnectionInfo::new(ConnectionId(id), peer, path))
}

/// Connects two hosts at made-up memory addresses. Returns the connection as each of them names it.
pub fn connect(dialer: &Arc<FakeHost>, listener: &Arc<FakeHost>) -> (ConnectionId, ConnectionId) {
    let address = |n: u64| Multiaddr::empty().with(stackwire_core::AddressPart::Memory(n));
    connect_at(dialer, address(1), listener, address(2))
}

/// As [`connect`], by a security that has no channel binding.
pub fn connect_unbound(dialer: &Arc<FakeHost>, listener: &Arc<FakeHost>) -> (ConnectionId, ConnectionId) {
    let address = |n: u64| Multiaddr::empty().with(stackwire_core::AddressPart::Memory(n));
    let next = next_connections();
    connect_by(next, None, (dialer, address(1)), (listener, address(2)))
}

/// Connects two hosts that see each other at these addresses.
pub fn connect_at(
    dialer: &Arc<FakeHost>,
    dialer_address: Multiaddr,
    listener: &Arc<FakeHost>,
    listener_address: Multiaddr,
) -> (ConnectionId, ConnectionId) {
    let next = next_connections();
    let mut binding = [0; 32];
    binding[..8].copy_from_slice(&next.0.0.to_be_bytes());
    connect_by(next, Some(binding), (dialer, dialer_address), (listener, listener_address))
}

/// The names of a connection at its two ends.
fn next_connections() -> (ConnectionId, ConnectionId) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let first = NEXT.fetch_add(2, Ordering::Relaxed);
    (ConnectionId(first), ConnectionId(first + 1))
}

fn connect_by(
    (near, far): (ConnectionId, ConnectionId),
    binding: Option<[u8; 32]>,
    (dialer, dialer_address): (&Arc<FakeHost>, Multiaddr),
    (listener, listener_address): (&Arc<FakeHost>, Multiaddr),
) -> (ConnectionId, ConnectionId) {
    let link = |id, role, peer: &Arc<FakeHost>, theirs, local: &Multiaddr, remote: &Multiaddr| Link {
        info: Arc::new(
            ConnectionInfo::new(
                id,
                peer.peer(),
                Path { role, local: Some(local.clone()), remote: remote.clone(), relayed: false, rungs: Vec::new() },
            )
            .with_binding(binding),
        ),
        peer: Arc::downgrade(peer),
        theirs,
        ended: watch::Sender::new(None),
    };
    let (a, b) = (dialer_address, listener_address);
    // The listener first: by the time the dialer hears of the connection, both ends have it.
    let at_listener = link(far, Role::Listener, dialer, near, &b, &a);
    let at_dialer = link(near, Role::Dialer, listener, far, &a, &b);
    listener.add_link(at_listener);
    dialer.add_link(at_dialer);
    (near, far)
}

/// Ends `connection` of `host` at both ends. Streams that are open stay with whoever holds them.
pub fn disconnect(host: &Arc<FakeHost>, connection: ConnectionId) {
    let Some(link) = host.link(connection) else { return };
    host.remove_link(connection, "the test said so", None);
    if let Some(peer) = link.peer.upgrade() {
        peer.remove_link(link.theirs, "the test said so", None);
    }
}

/// A protocol that serves the streams of `id` by calling `serve`: a peer that says whatever the test wants.
pub fn handler<F, Serving>(id: &'static str, serve: F) -> Arc<dyn Protocol>
where
    F: Fn(Stream, Host) -> Serving + Send + Sync + 'static,
    Serving: Future<Output = Result<()>> + Send + 'static,
{
    Arc::new(Handler { id, serve })
}

struct Handler<F> {
    id: &'static str,
    serve: F,
}

#[async_trait]
impl<F, Serving> Protocol for Handler<F>
where
    F: Fn(Stream, Host) -> Serving + Send + Sync + 'static,
    Serving: Future<Output = Result<()>> + Send + 'static,
{
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(self.id)]
    }
    async fn serve(&self, stream: Stream, host: &Host) -> Result<()> {
        (self.serve)(stream, host.clone()).await
    }
}
