//! A network of a node: a switch, what plug-ins do on it on their own, and whom it wants to be connected with.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use stackwire_config::Stack;
use stackwire_core::{
    Connection, ConnectionId, ConnectionInfo, DialOptions, Env, Event, EventStream, ExternalAddress, Host, Metrics,
    Multiaddr, NatKind, Note, PeerId, Peers, ProtocolId, PublicKey, Reason, RemoteInfo, Result, Stream, Tag, Traffic,
    Trust,
    address::{Origin, Transport},
};
use stackwire_switch::{Changes, Holding, Refused, Switch};

use crate::{connector::Connector, tasks::PluginTasks, trust_sources::TrustSources};

/// One of the networks that a node is in: an identity, a stack, limits and peers of its own. Most nodes are in one, and their
/// [`Node`](crate::Node) is used as its network.
pub struct Network {
    name: Arc<str>,
    pub(crate) switch: Switch,
    plugins: PluginTasks,
    connector: Connector,
    trust: TrustSources,
    /// One change of the configuration at a time, with all that follows from it.
    reloading: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.switch.stop();
    }
}

impl Network {
    pub(crate) fn new(name: &str, switch: Switch) -> Self {
        Self {
            name: name.into(),
            switch,
            plugins: PluginTasks::default(),
            connector: Connector::default(),
            trust: TrustSources::default(),
            reloading: tokio::sync::Mutex::default(),
        }
    }

    /// Brings it up, and listens on `listen` beside what its settings say.
    pub(crate) async fn begin(&self, listen: Vec<Multiaddr>) -> Result<()> {
        // Before anybody can come.
        self.trust.stage(&self.switch, &self.switch.stack().settings.trust)?.commit(&self.switch);
        self.follow();
        self.switch.begin().await?;
        for address in listen {
            self.switch.listen(&address).await?;
        }
        Ok(())
    }

    /// Swaps in what `after` makes of the stack that there is. On error nothing has changed.
    pub(crate) async fn reload(&self, after: impl FnOnce(&Stack) -> Result<Stack>) -> Result<Changes> {
        let _one_at_a_time = self.reloading.lock().await;
        let mut staged = None;
        let after = |before: &Stack| {
            let stack = after(before)?;
            staged = Some(self.trust.stage(&self.switch, &stack.settings.trust)?);
            Ok(stack)
        };
        let changes = self.switch.reload(after).await?;
        if let Some(staged) = staged {
            staged.commit(&self.switch);
        }
        self.follow();
        self.switch.emit(|| Event::Configured);
        self.switch.emit(|| Event::LocalChanged);
        Ok(changes)
    }

    /// Does what the stack says, beside what the switch does.
    fn follow(&self) {
        let stack = self.switch.stack();
        self.connector.configure(&self.switch, &stack.settings);
        self.plugins.follow(&self.switch, &self.connector, &stack);
    }

    /// Its name, as the config spells it; `default` where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Our peer id.
    pub fn peer_id(&self) -> PeerId {
        self.switch.peer_id()
    }

    /// Time, randomness, tasks.
    pub fn env(&self) -> &Env {
        self.switch.env()
    }

    /// Whom the network trusts: what the config, its file and its address say, and what code adds under a source of its own
    /// ([`Trust::replace`]).
    pub fn trust(&self) -> Trust {
        self.switch.trust()
    }

    /// Whether a peer with this id is trusted.
    pub(crate) fn trusts(&self, peer: &PeerId) -> bool {
        let trusted = self.trust().current();
        match PublicKey::of_peer(peer) {
            Some(key) => trusted.of_identity(&key).is_some(),
            None => trusted.of_peer(peer).is_some(),
        }
    }

    /// The node as its plug-ins see it.
    pub fn host(&self) -> Host {
        self.switch.host()
    }

    /// Listens on one more address; returns those it is reachable at, with `/p2p/…`.
    pub async fn listen(&self, address: &Multiaddr) -> Result<Vec<Multiaddr>> {
        self.switch.listen(address).await
    }

    /// Where the node is reachable, with `/p2p/…`: where it listens, and what its plug-ins advertise.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.switch.addresses()
    }

    /// What plug-ins advertise beside, without `/p2p/…`, each with the names of those that do.
    pub fn advertised(&self) -> Vec<(Multiaddr, Vec<&'static str>)> {
        self.switch.advertised()
    }

    /// The addresses at which others reach the node beside those that it listens on, and who says so: what four peers on
    /// different networks have seen, what plug-ins advertise, what the config names in `external`.
    pub fn external_addresses(&self) -> Vec<ExternalAddress> {
        self.switch.external_addresses()
    }

    /// How a NAT maps our sockets of this transport; `None` until nine peers on different networks have told what they see.
    pub fn nat_kind(&self, transport: Transport) -> Option<NatKind> {
        self.switch.nat_kind(transport)
    }

    /// Numbers about this network; [`Metrics::encode`] writes them for Prometheus.
    pub fn metrics(&self) -> Metrics {
        self.switch.metrics()
    }

    /// Connects to `address`, or returns the connection there is with its `/p2p/…`, or with who has answered there. The
    /// error lists every address that was tried. Dropping the future stops the dial, unless others wait for it.
    pub async fn connect(&self, address: &Multiaddr) -> Result<Arc<ConnectionInfo>> {
        self.connect_with(None, DialOptions::new().at([address.clone()], Origin::Operator)).await
    }

    /// Connects to `address` by a connection of its own, whatever others there are. Its `/p2p/…`, if any, must be who
    /// answers. The error lists every address that was tried. Dropping the future stops the dial.
    pub async fn connect_fresh(&self, address: &Multiaddr) -> Result<Arc<ConnectionInfo>> {
        let options = DialOptions::new().at([address.clone()], Origin::Operator).without_routers().fresh();
        self.connect_with(None, options).await
    }

    /// Connects to `peer` at the addresses the routers know, or returns the connection there is.
    pub async fn connect_peer(&self, peer: PeerId) -> Result<Arc<ConnectionInfo>> {
        self.connect_with(Some(peer), DialOptions::new()).await
    }

    /// Connects to `peer`, or to whoever is at the addresses of `options`; see [`DialOptions`].
    pub async fn connect_with(&self, peer: Option<PeerId>, options: DialOptions) -> Result<Arc<ConnectionInfo>> {
        Ok(self.switch.connect(peer, options).await?.info().clone())
    }

    /// Wants connections with the peers at `addresses`, as with those that a discovery names: each with or without `/p2p/…`, or
    /// `/p2p/…` alone for one that routers find. They take the place of those that were last named under the same `set`, at
    /// once; what discoveries or other sets name stays. Connections with those who are no longer named stay, too, unless the
    /// config says `exclusive`.
    ///
    /// Waits while the node is busy; cancel-safe. Fails with `LimitExceeded` beyond 16 384 addresses or a name of 64 characters,
    /// with `AddressInvalid` for an empty address, and with `Closed` when the node is stopping.
    pub async fn want(&self, set: &str, addresses: impl IntoIterator<Item = Multiaddr>) -> Result<()> {
        self.connector.want(&self.switch, set, addresses.into_iter().collect()).await
    }

    /// No longer wants those who were named under this `set`.
    pub async fn unwant(&self, set: &str) -> Result<()> {
        self.want(set, []).await
    }

    /// Must be connected with `peer`, which may be at `addresses` beside those that routers know: it is dialed before all others,
    /// again and again, and its connections are not closed to make room. It stays so whatever config comes, until
    /// [`Network::remove_must_have`]; said again, it replaces the addresses. Fails with `LimitExceeded` beyond 1024 peers, or 64
    /// addresses of one.
    pub fn add_must_have(&self, peer: PeerId, addresses: &[Multiaddr]) -> Result<()> {
        self.connector.add_must_have(&self.switch, peer, addresses)
    }

    /// Takes back what [`Network::add_must_have`] has said of `peer`. What the config says of it stays. Connections stay.
    pub fn remove_must_have(&self, peer: &PeerId) {
        self.connector.remove_must_have(peer);
    }

    /// Puts into the peer book where `peer` may be reached, and tells the routers. The addresses are the application's own:
    /// whoever passes on what strangers say
    /// goes through [`Host`], with its origin.
    pub fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr]) {
        self.switch.add_addresses(peer, addresses, Origin::Operator);
    }

    /// Opens a stream to `peer`, dialing if there is no connection, for the first of `ids` (newest version first)
    /// that the peer takes. With one id the answer is not waited for: a refusal shows on the first read, as an error
    /// that wraps `NoCommonProtocol`.
    pub async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        self.switch.open_stream(peer, ids).await
    }

    /// Opens a stream on one connection.
    pub async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        self.switch.open_stream_on(connection, ids).await
    }

    /// Everything that happens from now on. It ends when the node has stopped.
    pub fn events(&self) -> EventStream {
        self.switch.events()
    }

    /// Live connections, oldest first, each with its path.
    pub fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.switch.connections()
    }

    /// A live connection: what it moves and holds, and how it ends.
    pub fn connection(&self, connection: ConnectionId) -> Option<Connection> {
        self.switch.connection(connection)
    }

    /// What a live connection has moved so far; `None` once it has ended.
    pub fn traffic(&self, connection: ConnectionId) -> Option<Traffic> {
        self.switch.traffic(connection)
    }

    /// Bytes that are held for others now: what waits to be read or sent, and open streams.
    pub fn held(&self) -> usize {
        self.switch.held()
    }

    /// Who holds what: the node, this network, and every scope that holds something, those with the most memory first.
    pub fn holdings(&self) -> Vec<Holding> {
        self.switch.holdings()
    }

    /// What was refused because of limits, to whom and how often, the most frequent first.
    pub fn refused(&self) -> Vec<Refused> {
        self.switch.refused()
    }

    /// Whom the node knows, connected or not, as a snapshot. Costs nothing.
    pub fn peers(&self) -> Arc<Peers> {
        self.switch.peers()
    }

    /// Waits for a snapshot whose revision is greater than `revision`. Several changes may be in one; none is left out.
    /// Cancel-safe.
    pub async fn peers_after(&self, revision: u64) -> Arc<Peers> {
        self.switch.peers_after(revision).await
    }

    /// Notes something about `peer`, which every snapshot from then on shows. It is written down within some seconds, a ban at
    /// once; [`Network::save_peers`] waits for that. Fails with `LimitExceeded` where a bound is met, and with
    /// `PeerMisbehaved` for a record that is not the peer's.
    pub fn note(&self, peer: PeerId, note: Note) -> Result<()> {
        self.switch.note(&peer, note)
    }

    /// Refuses `peer` from now on, for `term` (`None`: until [`Network::unban`]), and closes its connections. When it returns
    /// `Ok`, the ban survives a crash, if there is a folder for what survives. Dropping the future leaves the ban in force.
    /// Fails with `LimitExceeded` where there are too many that last longer, and as the store does: then the ban is in force
    /// and not written down yet.
    pub async fn ban(&self, peer: PeerId, term: Option<Duration>, why: &str) -> Result<()> {
        self.note(peer, Note::Ban { term, why: why.into() })?;
        self.save_peers().await
    }

    /// Refuses `peer` no more. As [`Network::ban`].
    pub async fn unban(&self, peer: PeerId) -> Result<()> {
        self.note(peer, Note::Unban)?;
        self.save_peers().await
    }

    /// Says what `peer` is worth to `name`, in the place of what that name said before; `None`: nothing any more. Whose
    /// connections are closed to make room have the lowest sum. Fails with `LimitExceeded`.
    pub fn tag(&self, peer: PeerId, name: &str, tag: Option<Tag>) -> Result<()> {
        let note = match tag {
            Some(tag) => Note::Tag(name.into(), tag),
            None => Note::Untag(name.into()),
        };
        self.note(peer, note)
    }

    /// Has connections with `peer` stay when room is made, for this reason. Several reasons stand side by side. Fails with
    /// `LimitExceeded`.
    pub fn protect(&self, peer: PeerId, reason: &str) -> Result<()> {
        self.note(peer, Note::Protect(reason.into()))
    }

    /// This reason is gone; others may be left. Fails as [`Network::protect`] does.
    pub fn unprotect(&self, peer: PeerId, reason: &str) -> Result<()> {
        self.note(peer, Note::Unprotect(reason.into()))
    }

    /// Keeps something of the application's own about `peer`; `None` removes it. At most 16 keys of a peer, 64 bytes a key,
    /// 4 KiB a value: beyond that it fails with `LimitExceeded`.
    pub fn set_metadata(&self, peer: PeerId, key: &str, value: Option<Bytes>) -> Result<()> {
        self.note(peer, Note::Metadata(key.into(), value))
    }

    /// Ends when all that is known of peers now is as durable as the store is; without a folder nothing is. Fails where the
    /// store does; it is tried again then. Cancel-safe.
    pub async fn save_peers(&self) -> Result<()> {
        self.switch.save_peers().await
    }

    /// What a connected peer told about itself.
    pub fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.switch.remote(peer)
    }

    /// Closes a connection: what its streams accepted is sent, then the peer is told. Harmless when it has ended.
    pub fn disconnect(&self, connection: ConnectionId) {
        if let Some(connection) = self.connection(connection) {
            connection.close(Reason::Normal, "asked to");
        }
    }
}
