//! Dialing: from a peer or an address to a connection.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use stackwire_core::{
    AddressFailure, Dial, Error, Event, Kind, Layer, Multiaddr, PeerId, Result, Role, Target, address,
};
use stackwire_upgrade::{Climbed, Start};
use stackwire_wrap::Meter;

use crate::{
    connection::{self, Connection},
    host::NodeHost,
    race::race,
    renew,
    resolve::{MAX_ADDRESSES, resolve},
    setup::Setup,
    shared::Shared,
    traffic,
};

/// Connects to `address`; its `/p2p/…`, if any, must be who answers. An existing connection with that peer is used.
pub(crate) async fn address(shared: &Arc<Shared>, address: &Multiaddr) -> Result<Arc<Connection>> {
    let (bare, peer) = address::split_peer(address);
    match peer {
        Some(peer) => self::peer(shared, peer, vec![bare]).await,
        None => {
            let result = dial(shared, None, vec![bare]).await;
            report(shared, None, result)
        }
    }
}

/// Connects to `peer` at `known` addresses and at those the routers find. An existing connection is used; a dial that
/// is under way is joined. It stops when nobody waits for it any more.
pub(crate) async fn peer(shared: &Arc<Shared>, peer: PeerId, known: Vec<Multiaddr>) -> Result<Arc<Connection>> {
    if let Some(connection) = shared.connection_with(&peer) {
        return Ok(connection);
    }
    if peer == shared.peer_id() {
        return Err(Error::new(Kind::AddressInvalid, "a node does not dial itself").at(Layer::Node, "dialer"));
    }
    let joined = {
        let mut state = shared.state.lock();
        state.dials.retain(|_, dial| dial.upgrade().is_some());
        match state.dials.get(&peer).and_then(|dial| dial.upgrade()) {
            Some(dial) => dial,
            None => {
                let node = shared.clone();
                let dial = async move {
                    let result = async {
                        let mut addresses = known;
                        addresses.extend(route(&node, peer).await);
                        dial(&node, Some(peer), addresses).await
                    };
                    let result = result.await;
                    node.state.lock().dials.remove(&peer);
                    report(&node, Some(peer), result)
                };
                let dial = dial.boxed().shared();
                state.dials.extend(dial.downgrade().map(|weak| (peer, weak)));
                dial
            }
        }
    };
    joined.await
}

fn report(shared: &Shared, peer: Option<PeerId>, result: Result<Arc<Connection>>) -> Result<Arc<Connection>> {
    if let Err(error) = &result {
        shared.events.emit(|| Event::DialFailed { peer, error: error.clone() });
    }
    result
}

/// Where the routers think `peer` is.
pub(crate) async fn route(shared: &Arc<Shared>, peer: PeerId) -> Vec<Multiaddr> {
    let mut found = Vec::new();
    let host = NodeHost::host(shared);
    for router in &shared.setup().stack.routers {
        let mut routes = router.find(&Target::Peer(peer), &host);
        while let Some(route) = routes.next().await {
            if route.peer == peer && !found.contains(&route.address) {
                found.push(route.address);
            }
            if found.len() == MAX_ADDRESSES {
                return found;
            }
        }
    }
    found
}

/// Makes a connection, whatever others there are.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    peer: Option<PeerId>,
    addresses: Vec<Multiaddr>,
) -> Result<Arc<Connection>> {
    shared.check_open()?;
    connection::room_for(shared, &shared.state.lock(), None, peer.as_ref())?;
    let setup = shared.setup();
    let _permit = setup.dialing.acquire().await.map_err(|_| Error::closed("the node is shutting down"))?;
    let (candidates, mut failures) = expand(shared, peer, addresses).await;
    let mut candidates = candidates.into_iter();
    let delay = setup.stack.settings.timeouts.dial_attempt_delay;
    let attempts = race(&shared.env, delay, || {
        let (address, peer) = candidates.next()?;
        let setup = &setup;
        Some(async move {
            match attempt_unless_met(shared, setup, &address, peer).await {
                Ok(climbed) => Ok((address, climbed)),
                Err(error) => Err(AddressFailure { address, error }),
            }
        })
    });
    match attempts.await {
        Ok((address, (climbed, meter))) => {
            shared.learn(climbed.peer.peer_id(), &[address]);
            let connection = connection::adopt(shared, climbed, meter)?;
            renew::if_outdated(shared, &setup, &connection);
            Ok(connection)
        }
        Err(failed) => {
            failures.extend(failed);
            Err(all_failed(peer, failures))
        }
    }
}

/// Names resolved, doubles and excess dropped; with the addresses that could not even be resolved.
async fn expand(
    shared: &Shared,
    peer: Option<PeerId>,
    addresses: Vec<Multiaddr>,
) -> (Vec<(Multiaddr, Option<PeerId>)>, Vec<AddressFailure>) {
    let mut candidates: Vec<(Multiaddr, Option<PeerId>)> = Vec::new();
    let mut failures = Vec::new();
    let limit = shared.setup().stack.settings.timeouts.dial;
    for address in addresses {
        let resolving = resolve(&*shared.lookup, &address, peer);
        match shared.env.timeout(limit, "resolving a name", resolving).await {
            Ok(found) => {
                for candidate in found {
                    if !candidates.contains(&candidate) {
                        candidates.push(candidate);
                    }
                }
            }
            Err(error) => failures.push(AddressFailure { address, error }),
        }
    }
    candidates.truncate(MAX_ADDRESSES);
    (candidates, failures)
}

fn all_failed(peer: Option<PeerId>, failures: Vec<AddressFailure>) -> Error {
    let whom = peer.map_or_else(String::new, |peer| format!(" peer {peer}"));
    if failures.is_empty() {
        return Error::new(Kind::Unreachable, format!("no address is known of{whom}")).at(Layer::Node, "dialer");
    }
    Error::new(Kind::DialFailed(failures), format!("dialing{whom}"))
}

/// One attempt at one address. Where the peer dialed us in the same moment and neither side could listen, another one a
/// moment later, which is not the same on both sides.
async fn attempt_unless_met(
    shared: &Shared,
    setup: &Setup,
    address: &Multiaddr,
    peer: Option<PeerId>,
) -> Result<(Climbed, Arc<Meter>)> {
    let first = attempt(shared, setup, address, peer).await;
    if !first.as_ref().is_err_and(|error| *error.kind() == Kind::SimultaneousOpen) {
        return first;
    }
    let moment = Duration::from_millis(u64::from(u8::from_be_bytes(shared.env.random())));
    shared.env.sleep(moment).await;
    attempt(shared, setup, address, peer).await
}

/// One attempt at one address, to the top of the ladder.
async fn attempt(
    shared: &Shared,
    setup: &Setup,
    address: &Multiaddr,
    peer: Option<PeerId>,
) -> Result<(Climbed, Arc<Meter>)> {
    let bare = address.without_fixed();
    let transport = setup.transport(Role::Dialer, address, |transport| transport.can_dial(&bare))?;
    let timeouts = &setup.stack.settings.timeouts;
    let name = transport.name();
    let begin = shared.env.now();
    let budget = shared.memory.scope(address);
    let dial = Dial::new(&bare, &shared.identity, &shared.env).to(peer).with_budget(budget.clone());
    let dialing = shared.env.timeout(timeouts.dial, "connecting", transport.dial(dial));
    let dialed = dialing.await.map_err(|e| e.at(Layer::Transport, name))?;
    let now = shared.env.now();
    let (stage, meter) = traffic::watch(dialed.stage, timeouts.write_stall, &shared.env);
    let start = Start {
        stage,
        role: Role::Dialer,
        expected: peer,
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
    Ok((setup.upgrader.climb(start).await?, meter))
}
