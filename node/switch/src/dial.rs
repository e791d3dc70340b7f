//! Dialing: from a peer or an address to a connection.
//!
//! A dial is shared by everyone who wants it: whoever joins brings its addresses into the race. It stops when nobody
//! waits for it any more. A place among the dials that are under way (`max_pending_dials`) is taken by an attempt at one
//! address, not while names are resolved or routers are asked.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::OptionFuture, stream, stream::BoxStream};
use stackwire_core::{
    AddressFailure, Dial, DialOptions, Error, Event, Gate as _, Host, Kind, Layer, PeerId, Resource, Result, Role,
    Route, Target,
    address::{self, Origin},
};
use stackwire_upgrade::Start;

use crate::{
    active_config::ActiveConfig,
    connection::{self, Connection},
    dial_places::DialPlace,
    life::{self, Reached},
    pending::{By, Joined, PendingDial, Whom},
    race::{Next, Source, race},
    refusals::Who,
    resolve::{Candidate, MAX_ADDRESSES, Named, Resolver},
    shared::Shared,
    traffic, trusted,
};

/// Connects to `peer`, or to whoever is at the addresses of `options`, and gives the connection there is if it may.
pub(crate) async fn connect(
    shared: &Arc<Shared>,
    peer: Option<PeerId>,
    options: DialOptions,
) -> Result<Arc<Connection>> {
    let DialOptions { addresses, origin, use_routers, fresh, deadline, background, .. } = options;
    let mut named = Vec::new();
    let mut whom = peer;
    for address in addresses {
        let (address, of) = address::split_peer(&address);
        if whom.is_some() && of.is_some() && of != whom {
            let why = format!("{address} belongs to another peer than the one to connect with");
            return Err(Error::new(Kind::AddressInvalid, why).at(Layer::Node, "dialer"));
        }
        whom = whom.or(of);
        named.push(Named { address, origin });
    }
    let by = if background { By::Background } else { By::Request };
    let work = async {
        match (whom, named.first().map(|named| named.address.clone())) {
            (None, None) => {
                Err(Error::new(Kind::AddressInvalid, "a dial needs a peer or an address").at(Layer::Node, "dialer"))
            }
            (whom, first) if fresh => {
                let connection = beside(shared, whom, named, use_routers).await?;
                if let (None, Some(address)) = (whom, first) {
                    shared.state.lock().answered.insert(address, connection.info.peer);
                }
                Ok(connection)
            }
            (Some(peer), _) => join(shared, Whom::Peer(peer), named, by, use_routers).await,
            (None, Some(address)) => join(shared, Whom::Address(address), named, by, use_routers).await,
        }
    };
    match deadline {
        Some(limit) => shared.env.timeout(limit, "connecting", work).await,
        None => work.await,
    }
}

/// Connects to `peer` at the addresses that the routers find. An existing connection is used.
pub(crate) async fn peer(shared: &Arc<Shared>, peer: PeerId) -> Result<Arc<Connection>> {
    join(shared, Whom::Peer(peer), Vec::new(), By::Request, true).await
}

/// Makes a connection beside `old`, with the peer at its other end.
pub(crate) async fn again(shared: &Arc<Shared>, old: &Connection) -> Result<Arc<Connection>> {
    // It has led there before, whoever named it then.
    let named = Named { address: old.info.path.remote.clone(), origin: Origin::Operator };
    beside(shared, Some(old.info.peer), vec![named], true).await
}

async fn join(
    shared: &Arc<Shared>,
    whom: Whom,
    named: Vec<Named>,
    by: By,
    use_routers: bool,
) -> Result<Arc<Connection>> {
    if let Whom::Peer(peer) = whom
        && peer == shared.peer_id()
    {
        return Err(Error::new(Kind::AddressInvalid, "a node does not dial itself").at(Layer::Node, "dialer"));
    }
    let dial = {
        let active = shared.active();
        let mut state = shared.state.lock();
        let answering = match &whom {
            Whom::Peer(peer) => Some(*peer),
            Whom::Address(address) => state.answered.get(address),
        };
        if let Some(connection) = answering.and_then(|peer| state.connection_with(&peer, &active)) {
            return Ok(connection);
        }
        state.dials.retain(|_, dial| dial.is_wanted());
        // A router that dials must not wait for a dial that waits for it: it has a dial of its own, for nobody to join.
        let pending = state.dials.get(&whom).filter(|_| use_routers);
        match pending.and_then(|dial| dial.join(&named, by)) {
            Some(dial) => dial,
            None => {
                let joined = Arc::new(Joined::new(by));
                let begun = begin(shared.clone(), whom.clone(), named, joined.clone(), use_routers);
                // In a task of the node's runtime, whoever polls this.
                let env = shared.env.clone();
                let work = async move { env.run("dial", begun).await }.boxed().shared();
                if use_routers && let Some(weak) = work.downgrade() {
                    state.dials.insert(whom, PendingDial::new(weak, joined));
                }
                work
            }
        }
    };
    dial.await
}

async fn begin(
    shared: Arc<Shared>,
    whom: Whom,
    named: Vec<Named>,
    joined: Arc<Joined>,
    use_routers: bool,
) -> Result<Arc<Connection>> {
    let peer = whom.peer();
    let origin = connection::Origin::Dialed(shared.env.now());
    let dialed = dial(&shared, peer, named, &joined, use_routers).await;
    let result = dialed.and_then(|dialed| adopt(&shared, dialed, origin));
    {
        let mut state = shared.state.lock();
        if state.dials.get(&whom).is_some_and(|dial| dial.is_of(&joined)) {
            state.dials.remove(&whom);
        }
        if let (Whom::Address(address), Ok(connection)) = (whom, &result) {
            state.answered.insert(address, connection.info.peer);
        }
    }
    if let Err(error) = &result {
        shared.metrics.dials_failed.inc();
        shared.events.emit(|| Event::DialFailed { peer, error: error.clone() });
    }
    result
}

/// Makes a connection whatever others there are. Joins no other dial, and none joins it.
async fn beside(
    shared: &Arc<Shared>,
    peer: Option<PeerId>,
    named: Vec<Named>,
    use_routers: bool,
) -> Result<Arc<Connection>> {
    let node = shared.clone();
    let work = async move {
        let dialed = dial(&node, peer, named, &Joined::new(By::Request), use_routers).await?;
        adopt(&node, dialed, connection::Origin::Fresh)
    };
    shared.env.run("dial", work).await
}

/// What has come of a dial, before the node knows of it.
struct Dialed {
    active: Arc<ActiveConfig>,
    candidate: Candidate,
    reached: Reached,
}

fn adopt(shared: &Arc<Shared>, dialed: Dialed, origin: connection::Origin) -> Result<Arc<Connection>> {
    let Dialed { active, candidate, reached } = dialed;
    let connection = life::adopt(shared, &active, reached, origin)?;
    let peer = connection.info.peer;
    shared.add_addresses(peer, std::slice::from_ref(&candidate.address), candidate.origin);
    shared.book.dialed(peer, &candidate.address, true, shared.env.unix_time());
    Ok(connection)
}

/// Reaches a peer, whatever connections there are, at `named` addresses, at those that the routers find, and at those
/// that `joined` brings.
async fn dial(
    shared: &Arc<Shared>,
    peer: Option<PeerId>,
    named: Vec<Named>,
    joined: &Joined,
    use_routers: bool,
) -> Result<Dialed> {
    shared.check_open()?;
    peer.map_or(Ok(()), |peer| shared.check_ban(&peer))?;
    life::room_for(shared, &shared.state.lock(), None, peer.as_ref())?;
    let active = shared.active();
    if peer.is_some() && named.iter().all(|named| named.address.fixed().noise_ik().is_none()) {
        // Before anybody is asked where it is.
        let authentication = active.stack.settings.trust.authentication;
        trusted::may_dial(authentication, &shared.trust.current(), peer.as_ref(), None)?;
    }
    let timeouts = &active.stack.settings.timeouts;
    let host = shared.host();
    let routes = peer.filter(|_| use_routers).map(|peer| {
        let target = Target::Peer(peer);
        let found = stream::select_all(active.stack.parts.routers.iter().map(|router| router.find(&target, &host)));
        let of_others = move |found: &Result<Route>| found.as_ref().is_ok_and(|route| route.peer != peer);
        let found = found.filter(move |found| std::future::ready(!of_others(found))).take(MAX_ADDRESSES);
        found.take_until(shared.env.sleep(timeouts.dial)).boxed()
    });
    let mut resolver = Resolver::new(&shared.env, timeouts.dial, peer, shared.listening());
    named.into_iter().for_each(|named| resolver.add(named));
    let mut addresses = Addresses { resolver, routes, joined, failed: None };
    let attempts = race(&shared.env, timeouts.dial_attempt_delay, &mut addresses, |candidate| {
        let (active, host) = (&active, &host);
        async move {
            let candidate = candidate?;
            let reached = attempt_unless_met(shared, host, active, &candidate, joined).await?;
            Ok((candidate, reached))
        }
    });
    let reached = attempts.await;
    let failed = addresses.failed.take();
    drop(addresses);
    let (candidate, reached) = reached.map_err(|failures| all_failed(peer, failures, failed))?;
    Ok(Dialed { active, candidate, reached })
}

/// The candidates of a dial, from all who have some.
struct Addresses<'a> {
    resolver: Resolver<'a>,
    /// What routers find, until they have found all.
    routes: Option<BoxStream<'a, Result<Route>>>,
    joined: &'a Joined,
    /// How the first router failed that did.
    failed: Option<Error>,
}

impl Source for Addresses<'_> {
    type Candidate = Result<Candidate, AddressFailure>;

    async fn next(&mut self) -> Option<Next<Self::Candidate>> {
        let routes = OptionFuture::from(self.routes.as_mut().map(|routes| routes.next()));
        tokio::select! {
            biased;
            brought = self.joined.take() => {
                self.resolver.join(brought);
                None
            }
            candidate = self.resolver.next() => candidate,
            Some(route) = routes => {
                match route {
                    Some(Ok(Route { address, origin, .. })) => self.resolver.add(Named { address, origin }),
                    Some(Err(error)) => self.failed = self.failed.take().or(Some(error)),
                    None => self.routes = None,
                }
                None
            }
        }
    }

    fn close(&mut self) -> bool {
        self.routes.is_none() && self.resolver.is_done() && self.joined.close()
    }
}

/// Why a dial failed whose attempts at addresses ended so. `router` is how a router failed that was asked for some.
fn all_failed(peer: Option<PeerId>, failures: Vec<AddressFailure>, router: Option<Error>) -> Error {
    let failed = |kind, why: String| Error::new(kind, why).at(Layer::Node, "dialer");
    match (peer, failures.is_empty()) {
        (Some(peer), true) => match router {
            Some(error) => failed(Kind::Unreachable, format!("no address was found of peer {peer}")).caused_by(error),
            None => {
                let why = "its name does not say where it is, as /ip4/192.0.2.1/tcp/4001/p2p/… would";
                failed(Kind::Unreachable, format!("no address is known of peer {peer}, and {why}"))
            }
        },
        (None, true) => failed(Kind::AddressInvalid, "an address is empty".to_string()),
        (Some(peer), false) => Error::new(Kind::DialFailed(failures), format!("dialing peer {peer}")),
        (None, false) => Error::new(Kind::DialFailed(failures), "dialing"),
    }
}

/// One attempt at one address. Where the peer dialed us in the same moment and neither side could listen, another one a
/// moment later, which is not the same on both sides.
async fn attempt_unless_met(
    shared: &Shared,
    host: &Host,
    active: &ActiveConfig,
    candidate: &Candidate,
    joined: &Joined,
) -> Result<Reached, AddressFailure> {
    let first = attempt(shared, host, active, candidate, joined).await;
    if !first.as_ref().is_err_and(|failure| *failure.error.kind() == Kind::SimultaneousOpen) {
        return first;
    }
    let moment = Duration::from_millis(u64::from(u8::from_be_bytes(shared.env.random())));
    shared.env.sleep(moment).await;
    attempt(shared, host, active, candidate, joined).await
}

/// Waits for a place among the dials that are under way. One that nobody waits for joins the others once somebody does.
async fn place<'a>(shared: &'a Shared, joined: &Joined) -> DialPlace<'a> {
    tokio::select! {
        biased;
        () = joined.requested() => shared.dial_places.take(false).await,
        place = shared.dial_places.take(true) => place,
    }
}

/// One attempt at one address, to the top of the ladder.
async fn attempt(
    shared: &Shared,
    host: &Host,
    active: &ActiveConfig,
    candidate: &Candidate,
    joined: &Joined,
) -> Result<Reached, AddressFailure> {
    let Candidate { address, peer, .. } = candidate;
    let bare = address.without_fixed();
    let mut reached = false;
    let upgrading = async {
        peer.map_or(Ok(()), |peer| shared.check_ban(&peer))?;
        let authentication = active.stack.settings.trust.authentication;
        trusted::may_dial(authentication, &shared.trust.current(), peer.as_ref(), Some(address))?;
        shared.gate.dial(peer.as_ref(), address)?;
        let transport = active.transport(Role::Dialer, address, |transport| transport.can_dial(&bare))?;
        let _place = place(shared, joined).await;
        let timeouts = &active.stack.settings.timeouts;
        let name = transport.name();
        let begin = shared.env.now();
        let budget = shared.scopes.connection(address);
        let taken = budget.take(Resource::Descriptors, transport.descriptors());
        let descriptors = taken.inspect_err(|error| shared.refused(error, Who::Us))?;
        let dial =
            Dial::new(&bare, &shared.identity, &shared.env).to(*peer).with_budget(budget.clone()).with_host(host);
        let dialing = shared.env.timeout(timeouts.dial, "connecting", transport.dial(dial));
        let dialed = dialing.await.map_err(|e| e.at(Layer::Transport, name))?;
        reached = true;
        let now = shared.env.now();
        let (stage, watched) = traffic::watch(&shared.paces, dialed.stage, address, timeouts.write_stall, &shared.env);
        let start = Start {
            stage,
            role: Role::Dialer,
            expected: *peer,
            remote: address.clone(),
            local: dialed.local,
            fixed: address.fixed().clone(),
            may_meet: transport.may_meet(&bare),
            transport: name,
            round_trips: dialed.round_trips,
            took: now.saturating_duration_since(begin),
            since: now,
            limit: timeouts.handshake,
            budget,
        };
        Ok(Reached { upgraded: active.upgrader.upgrade(start).await?, watched, descriptors })
    };
    let upgraded: Result<_> = upgrading.await;
    if let (Some(peer), Err(error)) = (peer, &upgraded)
        && !is_ours(error.kind())
    {
        shared.book.dialed(*peer, address, false, shared.env.unix_time());
    }
    upgraded.map_err(|error| AddressFailure { address: address.clone(), error, reached })
}

/// Whether an attempt failed for a reason that says nothing about the address.
fn is_ours(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Gated { .. }
            | Kind::LimitExceeded { .. }
            | Kind::Unsupported
            | Kind::ConfigInvalid
            | Kind::SimultaneousOpen
            | Kind::Internal
    )
}
