//! Listening: one task a listener, one a connection that is arriving.

use std::sync::Arc;

use stackwire_core::{Error, Event, Incoming, Kind, Layer, Listen, Listener, Multiaddr, Result, Role, address};
use stackwire_upgrade::Start;
use tokio::sync::OwnedSemaphorePermit;

use crate::{connection, shared::Shared, traffic};

/// Listens on `address` and returns the addresses it is reachable at, with `/p2p/…`.
pub(crate) async fn listen(shared: &Arc<Shared>, address: &Multiaddr) -> Result<Vec<Multiaddr>> {
    shared.check_open()?;
    let Some(transport) = shared.transports.iter().find(|t| t.can_listen(address)) else {
        let names: Vec<&str> = shared.transports.iter().map(|t| t.name()).collect();
        let why = format!("no transport of this stack listens on {address}; it has: {}", names.join(", "));
        return Err(Error::new(Kind::AddressInvalid, why).at(Layer::Node, "listener"));
    };
    let name = transport.name();
    let listen = Listen { address, identity: &shared.identity, env: &shared.env };
    let listener = transport.listen(listen).await.map_err(|e| e.at(Layer::Transport, name))?;
    let addresses = listener.addresses();
    let full: Vec<Multiaddr> = addresses.iter().map(|a| address::with_peer(a, shared.peer_id())).collect();
    shared.state.lock().listening.extend(addresses.iter().cloned());
    for address in &full {
        shared.events.emit(|| Event::Listening { address: address.clone() });
    }
    shared.events.emit(|| Event::LocalChanged);
    let node = shared.clone();
    shared.keep(async move { run(&node, listener, addresses, name).await });
    Ok(full)
}

async fn run(
    shared: &Arc<Shared>,
    mut listener: Box<dyn Listener>,
    addresses: Vec<Multiaddr>,
    transport: &'static str,
) {
    let error = loop {
        let incoming = match listener.accept().await {
            Ok(incoming) => incoming,
            Err(error) => break error.at(Layer::Transport, transport),
        };
        // Where too many are arriving, this one waits here and the next ones in the transport's own queue.
        let Ok(permit) = shared.arriving.clone().acquire_owned().await else { return };
        take_in(shared, incoming, transport, permit);
    };
    shared.state.lock().listening.retain(|address| !addresses.contains(address));
    for address in addresses {
        let address = address::with_peer(&address, shared.peer_id());
        shared.events.emit(|| Event::ListenerClosed { address, error: Some(error.clone()) });
    }
    shared.events.emit(|| Event::LocalChanged);
}

fn take_in(shared: &Arc<Shared>, incoming: Incoming, transport: &'static str, permit: OwnedSemaphorePermit) {
    let shared = shared.clone();
    let env = shared.env.clone();
    env.spawn(async move {
        let remote = incoming.remote.clone();
        if let Err(error) = climb(&shared, incoming, transport).await {
            shared.events.emit(|| Event::IncomingFailed { remote, error });
        }
        drop(permit);
    })
    .detach();
}

async fn climb(shared: &Arc<Shared>, incoming: Incoming, transport: &'static str) -> Result<()> {
    let Incoming { remote, local, open } = incoming;
    // Checked before the handshake, which costs more than the connection is worth when there is no room for it.
    connection::room_for(shared, &shared.state.lock(), None)?;
    let begin = shared.env.now();
    let limit = shared.settings.timeouts.handshake;
    let opening = shared.env.timeout(limit, "opening a connection", open);
    let stage = opening.await.map_err(|e| e.at(Layer::Transport, transport))?;
    let took = shared.env.now().saturating_duration_since(begin);
    let (stage, meter) = traffic::count(stage);
    let start = Start {
        stage,
        role: Role::Listener,
        expected: None,
        remote,
        local: Some(local),
        transport,
        round_trips: 0,
        took,
        since: begin,
        limit,
    };
    let climbed = shared.upgrader.climb(start).await?;
    connection::adopt(shared, climbed, meter)?;
    Ok(())
}
